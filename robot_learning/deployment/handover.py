"""How a person goes on where a policy left the robot."""

from __future__ import annotations

import numpy as np

from robot_learning.rig import Rig
from robot_learning.rotation import rotation_6d_to_matrix, rotation_distance


class Handover:
    """A person's targets, from the instant at which they were given command.

    They are passed on from when they are as near to what the robot was told last as a first target must be: the
    gate can't check that itself, for it sees one source of commands. The gripper keeps what it was told until the
    person changes it: teleoperation knows nothing of what a policy has grasped.

    Args:
        last: the last action sent (Da,), or None where the robot was not commanded.

    Attributes:
        joined: whether targets are passed on.
    """

    def __init__(self, rig: Rig, last: np.ndarray | None) -> None:
        self._rig, self._last = rig, last
        self._n = rig.robot.joints
        self._width = 9 if rig.robot.command == "ee_target" else self._n  # where an action has the gripper's width
        self._persons_width = 0.0
        self._keeps_width = last is not None
        self.joined = False

    def join(self, action: np.ndarray) -> str:
        """Begin with an action (Da,), or say why it can't be passed on yet."""
        too_far = self._too_far(action)
        if not too_far and not self.joined:
            self.joined, self._persons_width = True, float(action[self._width])
        return too_far

    def passed(self, action: np.ndarray) -> np.ndarray:
        """What to send for a person's action (Da,)."""
        if self._last is None or not self._keeps_width or action[self._width] != self._persons_width:
            self._keeps_width = False
            return action
        kept = action.copy()
        kept[self._width] = self._last[self._width]
        return kept

    def _too_far(self, action: np.ndarray) -> str:
        if self._last is None or self.joined:
            return ""
        limits, last = self._rig.limits, self._last
        if self._rig.robot.command == "ee_target":
            metres = float(np.linalg.norm(action[:3] - last[:3]))
            a, b = rotation_6d_to_matrix(np.stack([action[3:9], last[3:9]]))
            radians = float(rotation_distance(a, b))
        else:
            away = np.abs(action[: self._n] - last[: self._n])
            slides = np.array([unit == "m" for unit in self._rig.robot.joint_units])
            metres, radians = (float(away[which].max(initial=0.0)) for which in (slides, ~slides))
        most_m, most_rad = limits.first_target_distance_max_m, limits.first_target_distance_max_rad
        if metres <= most_m and radians <= most_rad:
            return ""
        return (
            f"they are {metres:.3f} m and {radians:.3f} rad from where the robot was sent, "
            f"at most {most_m:g} m and {most_rad:g} rad are allowed"
        )
