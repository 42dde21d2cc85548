"""The ROS clock as a `Clock`: system time, or simulated time where `use_sim_time` says so."""

from __future__ import annotations

import time
from collections.abc import Callable

from rclpy.clock import JumpThreshold, TimeJump
from rclpy.duration import Duration
from rclpy.node import Node

from robot_learning.clock import NS_PER_S, seconds_to_ns

_STEP_S = 0.1  # between system and monotonic clock, from one look to the next: a step, not a slew


class RosClock:
    """Stamps as every other node makes them.

    Args:
        jumped: called with the jump [ns] when time is set: `use_sim_time` with a clock that restarts, or
            somebody setting the system's clock. What was buffered before can't be compared with what comes after.
    """

    def __init__(self, node: Node, jumped: Callable[[int], None]) -> None:
        self._clock, self._jumped = node.get_clock(), jumped
        self.simulated = bool(node.get_parameter("use_sim_time").value)
        threshold = JumpThreshold(
            min_forward=Duration(nanoseconds=seconds_to_ns(1.0)), min_backward=Duration(nanoseconds=-1)
        )
        self._handle = self._clock.create_jump_callback(threshold, post_callback=self._on_jump)
        self._ahead_ns = time.time_ns() - time.monotonic_ns()

    def now_ns(self) -> int:
        return int(self._clock.now().nanoseconds)

    def sleep_until(self, stamp_ns: int) -> None:
        while (left := stamp_ns - self.now_ns()) > 0:
            time.sleep(min(left / NS_PER_S, 0.01))

    def look(self) -> None:
        """See whether the system's clock was set since the last look; ROS tells of simulated time only."""
        if self.simulated:
            return
        ahead = time.time_ns() - time.monotonic_ns()
        step, self._ahead_ns = ahead - self._ahead_ns, ahead
        if abs(step) > seconds_to_ns(_STEP_S):
            self._jumped(step)

    def _on_jump(self, jump: TimeJump) -> None:
        self._jumped(int(jump.delta.nanoseconds))
