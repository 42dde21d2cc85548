"""When a process that failed may be started again."""

from __future__ import annotations

from robot_learning.clock import Clock, seconds_to_ns

LIMIT = 5  # failures within a minute; what fails more often does not mend itself
WINDOW_S = 60.0
FIRST_DELAY_S = 1.0


class Restarts:
    """Counts the failures of one process: waits twice as long after each, and gives up after `LIMIT` in `WINDOW_S`."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._failures: list[int] = []

    def delay_s(self) -> float | None:
        """Count one failure; how long to wait before the next start [s], or None: not again."""
        now = self._clock.now_ns()
        self._failures = [stamp for stamp in self._failures if now - stamp < seconds_to_ns(WINDOW_S)]
        self._failures.append(now)
        if len(self._failures) > LIMIT:
            return None
        return FIRST_DELAY_S * 2 ** (len(self._failures) - 1)
