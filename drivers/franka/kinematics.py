"""Forward and inverse kinematics of a Franka arm with the rig's tool.

FR3 and Panda have the same Denavit-Hartenberg parameters (https://frankarobotics.github.io/docs/robot_specifications.html),
so the simulated Panda's serve for both; only the joints' ranges differ, and those are the rig's.
"""

from __future__ import annotations

import mujoco
import numpy as np

from robot_learning.drivers.mujoco.kinematics import Kinematics
from robot_learning.rig import Rig
from robot_learning.rotation import matrix_to_quaternion, quaternion_to_matrix


class FrankaKinematics(Kinematics):
    """The simulated Panda's, with the tool's centre where the rig file says.

    Args:
        tool_position: (3,) of the tool in the flange's frame [m].
        tool_quaternion: (4,) scalar first.
    """

    def __init__(
        self,
        home: np.ndarray,
        low: np.ndarray,
        high: np.ndarray,
        tool_position: np.ndarray,
        tool_quaternion: np.ndarray,
    ) -> None:
        super().__init__(home, low, high)
        self._tool = tool_position, tool_quaternion
        # The site is placed in the frame of the hand's body, which sits at the flange, turned.
        hand = np.empty(9)
        mujoco.mju_quat2Mat(hand, self._model.body("hand").quat)
        back = hand.reshape(3, 3).T
        self._model.site_pos[self._site] = back @ tool_position
        self._model.site_sameframe[self._site] = 0  # MuJoCo would skip a rotation that was none when it compiled
        self._model.site_quat[self._site] = matrix_to_quaternion(back @ quaternion_to_matrix(tool_quaternion))

    @classmethod
    def of(cls, rig: Rig) -> FrankaKinematics:
        """The kinematics of a rig's arm, leaning home."""
        assert rig.franka is not None
        return cls(
            np.array(rig.robot.home_joint_position),
            np.array(rig.limits.joint_position_min),
            np.array(rig.limits.joint_position_max),
            np.array(rig.franka.flange_to_tool_position_m),
            np.array(rig.franka.flange_to_tool_quaternion_wxyz),
        )

    def twin(self) -> FrankaKinematics:
        return FrankaKinematics(self._home, self._low, self._high, *self._tool)
