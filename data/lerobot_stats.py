"""The statistics that LeRobot keeps of each feature, of an episode and of a whole dataset."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

QUANTILES = {"q01": 0.01, "q10": 0.10, "q50": 0.50, "q90": 0.90, "q99": 0.99}
FRAMES = 100  # of an episode's pictures, at most: more would change the third digit
SIDE_PX = 150  # of larger pictures, every n-th pixel

Stats = dict[str, np.ndarray]


def describe(values: np.ndarray) -> Stats:
    """Statistics over steps of (n, D) numbers, each (D,), or over pixels of (n, H, W, 3) pictures, each (3, 1, 1).

    Pictures are scaled to [0, 1]; `count` is the number of steps, (1,).
    """
    pictures = values.ndim == 4
    if pictures:
        chosen = np.unique(np.linspace(0, len(values) - 1, min(FRAMES, len(values))).astype(int))
        stride = max(1, min(values.shape[1:3]) // SIDE_PX)
        rows = values[chosen, ::stride, ::stride].reshape(-1, 3) / 255.0
        count = len(chosen)
    else:
        rows, count = values.astype(np.float64), len(values)
    stats = {"min": rows.min(0), "max": rows.max(0), "mean": rows.mean(0), "std": rows.std(0)}
    stats |= dict(zip(QUANTILES, np.quantile(rows, list(QUANTILES.values()), axis=0), strict=True))
    if pictures:
        stats = {name: value.reshape(3, 1, 1) for name, value in stats.items()}
    return stats | {"count": np.array([count])}


def pool(parts: Sequence[Stats]) -> Stats:
    """Of several episodes: exact but for the quantiles, which are means weighted by length, as LeRobot makes them."""
    count = np.array([p["count"][0] for p in parts])

    def mean(key: str) -> Any:
        return np.average([p[key] for p in parts], axis=0, weights=count)

    centre = mean("mean")
    variance = np.average([p["std"] ** 2 + (p["mean"] - centre) ** 2 for p in parts], axis=0, weights=count)
    return {
        "min": np.min([p["min"] for p in parts], axis=0),
        "max": np.max([p["max"] for p in parts], axis=0),
        "mean": centre,
        "std": np.sqrt(variance),
        **{q: mean(q) for q in QUANTILES},
        "count": np.array([count.sum()]),
    }
