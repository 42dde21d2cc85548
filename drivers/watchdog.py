"""The watchdog: commands that stop coming must not leave a robot in motion."""

from __future__ import annotations

from robot_learning.clock import Clock, seconds_to_ns
from robot_learning.drivers.gate import Gate
from robot_learning.rig import WatchdogConfig


class Watchdog:
    """Stops the gate, under the name `watchdog`, once no command passed it for `timeout_s`.

    The robot then slows down over `deceleration_time_s` and holds the pose it measures: see
    :class:`robot_learning.drivers.braking.Braking`. Whoever sends commands calls `feed` for each that
    passed; a timer of its own calls `poll`. To forget `feed` stops the robot, never the other way round.
    """

    def __init__(self, gate: Gate, config: WatchdogConfig, clock: Clock) -> None:
        self._gate, self._clock = gate, clock
        self._timeout_ns = seconds_to_ns(config.timeout_s)
        self._fed_ns: int | None = None

    def feed(self) -> None:
        """A command passed just now."""
        self._fed_ns = self._clock.now_ns()

    def poll(self) -> bool:
        """Stop the gate if it is time to; True in the call that does so.

        Silence counts from the first poll that sees an active gate, or from the last `feed`.
        """
        if self._gate.state != "active":
            self._fed_ns = None
            return False
        now = self._clock.now_ns()
        if self._fed_ns is None:
            self._fed_ns = now
        if now - self._fed_ns <= self._timeout_ns:
            return False
        self._gate.stop("watchdog")
        return True
