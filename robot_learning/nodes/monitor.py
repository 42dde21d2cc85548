"""How well a topic comes in: rate, jitter, age, holes. Plain Python; `/diagnostics` shows it.

One thread may feed a monitor while another reads it.
"""

from __future__ import annotations

from collections import deque

import numpy as np

from robot_learning.clock import NS_PER_S

_KEPT = 512


class Monitor:
    """Watches one source of samples.

    Args:
        rate_hz: its nominal rate.

    Attributes:
        received, dropped, refused: counts since the start: dropped are holes in the source's own count.
    """

    def __init__(self, name: str, rate_hz: float) -> None:
        self.name, self.rate_hz = name, rate_hz
        self.received = self.dropped = self.refused = 0
        self.fault = ""
        self._times: deque[tuple[int, int]] = deque(maxlen=_KEPT)  # received, stamp

    def saw(self, stamp_ns: int, received_ns: int, missing: int = 0) -> None:
        """One sample came; `missing` were lost just before it."""
        self.received += 1
        self.dropped += missing
        self.fault = ""
        self._times.append((received_ns, stamp_ns))

    def refuse(self, fault: str) -> None:
        """One message could not be used."""
        self.refused += 1
        self.fault = fault

    def forget(self) -> None:
        """Time was set: what came before can't be compared with what comes after. Counts stay."""
        self._times.clear()

    @property
    def last_ns(self) -> int | None:
        """When the newest sample came [ns]; None: never."""
        return self._times[-1][0] if self._times else None

    def silent_s(self, now_ns: int) -> float:
        """How long nothing has come [s]; infinite where nothing ever did."""
        return float("inf") if self.last_ns is None else (now_ns - self.last_ns) / NS_PER_S

    def summary(self, now_ns: int) -> dict[str, float | int | str]:
        """Rate [Hz], jitter [ms] (standard deviation of the period), age [ms] of stamps at reception, counts."""
        times = list(self._times)
        received = np.array([r for r, _ in times if r > now_ns - 5 * NS_PER_S], dtype=np.int64)
        ages = np.array([r - s for r, s in times], dtype=np.int64)
        periods = np.diff(received) / NS_PER_S
        return {
            "rate_hz": round(float(1 / periods.mean()), 2) if len(periods) and periods.mean() > 0 else 0.0,
            "nominal_hz": self.rate_hz,
            "jitter_ms": round(float(periods.std() * 1e3), 3) if len(periods) else 0.0,
            "age_ms": round(float(ages.mean() / 1e6), 3) if len(ages) else 0.0,
            "silent_s": round(self.silent_s(now_ns), 3),
            "received": self.received,
            "dropped": self.dropped,
            "refused": self.refused,
            "fault": self.fault,
        }

    def complaint(self, now_ns: int) -> str:
        """What is wrong with it, as a sentence without its subject; empty where nothing is."""
        if self.fault:
            return self.fault
        if self.last_ns is None:
            return "nothing has come yet"
        if self.silent_s(now_ns) > max(0.5, 5 / self.rate_hz):
            return f"silent for {self.silent_s(now_ns):.1f} s"
        rate = float(self.summary(now_ns)["rate_hz"])
        if self.received > 20 and rate < 0.8 * self.rate_hz:
            return f"{rate:.1f} Hz instead of {self.rate_hz:g}"
        return ""
