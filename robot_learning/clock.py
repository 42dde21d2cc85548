"""Time as a dependency: everything about time takes a clock, so that tests can own it."""

from __future__ import annotations

import time
from typing import Protocol

NS_PER_S = 1_000_000_000


def seconds_to_ns(seconds: float) -> int:
    """Seconds to integer nanoseconds, rounded to the nearest."""
    return round(seconds * NS_PER_S)


class Clock(Protocol):
    """A source of nanosecond stamps."""

    def now_ns(self) -> int:
        """The present instant [ns]; never runs backwards."""
        ...

    def sleep_until(self, stamp_ns: int) -> None:
        """Return once `now_ns() >= stamp_ns`."""
        ...


class SystemClock:
    """Wall-clock epoch at start plus the monotonic clock, so that NTP steps can't reorder stamps."""

    def __init__(self) -> None:
        self._offset_ns = time.time_ns() - time.monotonic_ns()

    def now_ns(self) -> int:
        return time.monotonic_ns() + self._offset_ns

    def sleep_until(self, stamp_ns: int) -> None:
        while (left := stamp_ns - self.now_ns()) > 0:
            time.sleep(left / NS_PER_S)


class FakeClock:
    """A clock that moves only when told to; simulation and tests run on it."""

    def __init__(self, now_ns: int = 0) -> None:
        self._now_ns = now_ns

    def now_ns(self) -> int:
        return self._now_ns

    def sleep_until(self, stamp_ns: int) -> None:
        self._now_ns = max(self._now_ns, stamp_ns)

    def advance(self, seconds: float) -> None:
        """Move forward by `seconds` [s]; negative steps are refused."""
        if seconds < 0:
            raise ValueError(f"a clock can't run backwards; got {seconds} s")
        self._now_ns += seconds_to_ns(seconds)
