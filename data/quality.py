"""The quality record of an episode: what was measured of each stream while it was written."""

from __future__ import annotations

from typing import Any

import numpy as np

from robot_learning.clock import NS_PER_S
from robot_learning.contract import StreamSpec

GAP = 1.5  # an interval above 1.5 nominal periods is a gap
MATCH_WINDOW = 4096  # commands kept while their gated counterpart has not arrived


class StreamMeter:
    """Running statistics of one stream, in constant memory."""

    def __init__(self, spec: StreamSpec) -> None:
        self._period_ns = NS_PER_S / spec.rate_hz
        self.floating = np.issubdtype(np.dtype(spec.dtype), np.floating)
        self.count = 0
        self._first_ns = self._last_ns = self._last_sequence = 0
        self._missing = self._gaps = self._backwards = self._repeats = self._nan = 0
        self._longest_ns = self._sum_latency_ns = self._worst_latency_ns = 0
        self._mean_ns = self._square_ns = 0.0

    def times(self, times: np.ndarray) -> None:
        """Account for (n, 3) new rows of stamp, received, sequence."""
        stamps, received, sequence = times[:, 0], times[:, 1], times[:, 2]
        if self.count == 0:
            self._first_ns = int(stamps[0])
            intervals, steps = np.diff(stamps), np.diff(sequence)
        else:
            intervals = np.diff(stamps, prepend=self._last_ns)
            steps = np.diff(sequence, prepend=self._last_sequence)
        seen = max(0, self.count - 1)
        self.count += len(times)
        self._last_ns, self._last_sequence = int(stamps[-1]), int(sequence[-1])
        self._missing += int(np.maximum(steps - 1, 0).sum())
        self._repeats += int((steps <= 0).sum())
        self._backwards += int((intervals <= 0).sum())
        self._gaps += int((intervals > GAP * self._period_ns).sum())
        latency = received - stamps
        self._sum_latency_ns += int(latency.sum())
        self._worst_latency_ns = max(self._worst_latency_ns, int(latency.max()))
        if len(intervals):  # Chan et al. 1979: mean and sum of squared deviations of two sets joined
            self._longest_ns = max(self._longest_ns, int(intervals.max()))
            n, mean = len(intervals), float(intervals.mean())
            delta = mean - self._mean_ns
            self._square_ns += float(((intervals - mean) ** 2).sum()) + delta**2 * seen * n / (seen + n)
            self._mean_ns += delta * n / (seen + n)

    def values(self, values: np.ndarray) -> None:
        """Count the samples among (n, *shape) that hold a NaN or an infinity."""
        if self.floating and not np.isfinite(values).all():
            self._nan += int((~np.isfinite(values)).reshape(len(values), -1).any(axis=1).sum())

    def record(self) -> dict[str, Any]:
        """The stream's entry in the quality record; docs/store.md explains each key."""
        span_s = (self._last_ns - self._first_ns) / NS_PER_S
        intervals = max(1, self.count - 1)
        return {
            "samples": self.count,
            "first_ns": self._first_ns if self.count else None,
            "last_ns": self._last_ns if self.count else None,
            "rate_hz": (self.count - 1) / span_s if span_s > 0 else 0.0,
            "missing": self._missing,
            "repeated_sequence": self._repeats,
            "not_increasing": self._backwards,
            "gaps": self._gaps,
            "longest_interval_s": self._longest_ns / NS_PER_S,
            "jitter_s": (self._square_ns / intervals) ** 0.5 / NS_PER_S,
            "latency_mean_s": self._sum_latency_ns / max(1, self.count) / NS_PER_S,
            "latency_max_s": self._worst_latency_ns / NS_PER_S,
            "not_finite": self._nan,
        }


class ClipMeter:
    """Counts commands that the gate changed: `action_commanded` and `action_gated` of one stamp that differ."""

    STREAMS = ("action_commanded", "action_gated")

    def __init__(self) -> None:
        self._waiting: tuple[dict[int, np.ndarray], dict[int, np.ndarray]] = ({}, {})
        self.compared = 0
        self.clipped = 0

    def update(self, stream: str, stamps: np.ndarray, values: np.ndarray) -> None:
        """Account for new samples of one of the two streams; others are ignored."""
        if stream not in self.STREAMS:
            return
        side = self.STREAMS.index(stream)
        mine, others = self._waiting[side], self._waiting[1 - side]
        for stamp, value in zip(stamps.tolist(), values, strict=True):
            other = others.pop(stamp, None)
            if other is None:
                mine[stamp] = value.copy()
                if len(mine) > MATCH_WINDOW:
                    del mine[next(iter(mine))]
            else:
                self.compared += 1
                self.clipped += not np.array_equal(value, other, equal_nan=True)

    def record(self) -> dict[str, int]:
        """The entry in the quality record."""
        return {"compared": self.compared, "clipped": self.clipped}
