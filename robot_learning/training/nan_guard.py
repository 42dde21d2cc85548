"""A loss or gradient that is not finite stops training before it reaches the weights, and its batch is kept.

Look at what was kept with `python -m robot_learning.training.nan_guard OUTPUT/nan`.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import safetensors.numpy
from torch import Tensor

from robot_learning.errors import StoreError, UserError
from robot_learning.output import write_json

BATCH, REPORT = "batch.safetensors", "report.json"


class TrainingDiverged(UserError):
    """The loss or its gradient is not finite."""


def keep(
    folder: Path, what: str, step: int, batch: Mapping[str, Any], windows: np.ndarray, episodes: list[str]
) -> TrainingDiverged:
    """Write the batch and a report, and return the error to raise.

    Args:
        what: "loss" or "gradient", with its value.
        windows: (B,) numbers of the windows in the batch.
        episodes: (B,) the episode of each.
    """
    folder.mkdir(parents=True, exist_ok=True)
    arrays = {f"observation.{k}": v.detach().cpu().numpy() for k, v in batch["observation"].items()}
    arrays |= {k: v.detach().cpu().numpy() for k, v in batch.items() if isinstance(v, Tensor)}
    safetensors.numpy.save_file(arrays | {"windows": np.ascontiguousarray(windows)}, folder / BATCH)
    write_json(folder / REPORT, {"step": step, "what": what, "episodes": episodes})
    return TrainingDiverged(
        f"training diverged at step {step}: the {what}; the weights before it are saved, the batch is in "
        f"{folder / BATCH}: look at it with 'python -m robot_learning.training.nan_guard {folder}', then mend or "
        "delete the episodes that it names, or train with a smaller --lr."
    )


def describe(folder: Path) -> str:
    """A table of what was kept: per tensor its range, and in which windows and episodes it is not finite."""
    try:
        report = json.loads((folder / REPORT).read_text(encoding="utf-8"))
        arrays = safetensors.numpy.load_file(folder / BATCH)
    except (OSError, ValueError, safetensors.SafetensorError) as error:
        raise StoreError(f"{folder} does not hold a batch kept by the NaN guard: {error}.") from None
    lines = [f"step {report['step']}: {report['what']}", ""]
    for name, array in sorted(arrays.items()):
        values = array.astype(np.float64).reshape(len(array), -1)
        finite = np.isfinite(values)
        span = f"{values[finite].min():.6g} to {values[finite].max():.6g}" if finite.any() else "nothing finite"
        bad = np.flatnonzero(~finite.all(1))
        where = sorted({report["episodes"][i] for i in bad})
        lines.append(
            f"{name:<32} {array.shape!s:<20} {span}" + (f"  NOT FINITE in episodes {where}" if len(bad) else "")
        )
    return "\n".join(lines)


if __name__ == "__main__":
    try:
        print(describe(Path(sys.argv[1] if len(sys.argv) > 1 else "nan")))
    except UserError as mistake:
        sys.exit(f"nan_guard: {mistake}")
