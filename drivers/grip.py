"""What a gripper does with the width that it is told: the rig's `robot.gripper`, alike for every driver."""

from __future__ import annotations

from robot_learning.rig import Rig

_CLOSE_BELOW, _OPEN_ABOVE = 0.4, 0.6  # shares of the gripper's range


class Grip:
    """Follows the width, or opens and closes: between the two thresholds it keeps what it does.

    Attributes:
        width: what it was told last [m]; None: nothing yet, and then a wish between the thresholds is taken as it is.
    """

    def __init__(self, rig: Rig, width: float | None = None) -> None:
        self._follows = rig.robot.gripper == "width"
        self._closed, self._opened = rig.limits.gripper_width_min_m, rig.limits.gripper_width_max_m
        self.width = width

    def to(self, wish: float) -> float:
        """The width [m] to tell the gripper."""
        if self._follows:
            return wish
        share = (wish - self._closed) / (self._opened - self._closed)
        if share < _CLOSE_BELOW:
            self.width = self._closed
        elif share > _OPEN_ABOVE:
            self.width = self._opened
        return wish if self.width is None else self.width
