"""The robot's own time on the clock of this computer."""

from __future__ import annotations

_BUCKET_NS = 100_000_000
_JUMP_NS = 500_000_000


class RobotTime:
    """Turns the robot's time stamps into this computer's, as the shortest recent delay says.

    A state is received some delay after its stamp, never before. The smallest difference `received - robot` is
    therefore the offset between the clocks plus the shortest delay of the network, about 0.1 ms; waiting in queues,
    which makes most of the jitter, is not in it. It is the smallest of the last 0.1 to 0.2 s, so that a clock that runs
    slow is followed: a robot's by some parts in 100 000, a simulator's on a busy computer by some in a hundred. A robot
    that restarted, or whose time jumped, begins anew.

    The stamps made only grow, and are never later than the reception.
    """

    def __init__(self) -> None:
        self._offset_ns: int | None = None
        self._before_ns = 0  # the smallest of the bucket before
        self._bucket_end_ns = 0
        self._robot_ns = 0
        self._stamp_ns = 0

    def stamp(self, robot_ms: int, received_ns: int) -> int:
        """The instant of a state that the robot stamped `robot_ms` [ms] and that came at `received_ns` [ns]."""
        robot_ns = robot_ms * 1_000_000
        offset = received_ns - robot_ns
        if self._offset_ns is None or robot_ns < self._robot_ns or abs(offset - self._offset_ns) > _JUMP_NS:
            self._offset_ns = self._before_ns = offset
            self._bucket_end_ns = received_ns + _BUCKET_NS
        elif received_ns > self._bucket_end_ns:
            self._before_ns, self._offset_ns = self._offset_ns, offset
            self._bucket_end_ns = received_ns + _BUCKET_NS
        self._offset_ns = min(self._offset_ns, offset)
        self._robot_ns = robot_ns
        estimate = robot_ns + min(self._offset_ns, self._before_ns)
        self._stamp_ns = min(max(estimate, self._stamp_ns + 1), received_ns)
        return self._stamp_ns
