"""Forward and inverse kinematics of simulated robots."""

from __future__ import annotations

from collections.abc import Callable
from typing import Self

import mujoco
import numpy as np

from robot_learning.drivers.mujoco.layout import Layout
from robot_learning.drivers.mujoco.panda import JOINT_NAMES, scene_xml
from robot_learning.rig import Rig
from robot_learning.rotation import matrix_to_rotation_vector

_DAMPING = 0.03  # [m or rad] keeps joint steps small near singular poses
_POSTURE_GAIN = 0.1  # share of the way home, within the null space, per solution
_ITERATIONS = 12
_TOLERANCE = 1e-6


class Kinematics:
    """Damped least squares (Wampler 1986; Buss 2004, eq. 11) with a pull home in the null space.

    This one is the Panda's; another robot's names its own joints and scene. A base stands at the origin.

    Args:
        home: (J,) the posture that redundant joints lean to [rad, or m].
        low, high: (J,) joint ranges.

    Attributes:
        names: the joints in the scene, in the rig's order.
        scene: MJCF of the robot.
    """

    names: tuple[str, ...] = JOINT_NAMES
    scene: Callable[[], str] = staticmethod(scene_xml)

    def __init__(self, home: np.ndarray, low: np.ndarray, high: np.ndarray) -> None:
        self._model = mujoco.MjModel.from_xml_string(self.scene())
        self._data = mujoco.MjData(self._model)
        layout = Layout.of(self._model, self.names)
        self._q, self._v, self._site = layout.q, layout.v, layout.tool
        self._home, self._low, self._high = home, low, high
        self._jacobian = np.zeros((6, self._model.nv))

    @classmethod
    def of(cls, rig: Rig) -> Self:
        """The kinematics of a rig's robot, leaning home."""
        low, high = rig.limits.joint_position_min, rig.limits.joint_position_max
        return cls(np.array(rig.robot.home_joint_position), np.array(low), np.array(high))

    def twin(self) -> Self:
        """Another like this one, for another thread."""
        return type(self)(self._home, self._low, self._high)

    def forward(self, q: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Tool position (3,) [m] and rotation (3, 3) at joints (J,), base frame."""
        self._data.qpos[self._q] = q
        mujoco.mj_kinematics(self._model, self._data)
        return self._data.site_xpos[self._site].copy(), self._data.site_xmat[self._site].reshape(3, 3).copy()

    def position(self, q: np.ndarray) -> np.ndarray:
        """Tool position (3,) at joints (J,)."""
        return self.forward(q)[0]

    def jacobian(self, q: np.ndarray) -> np.ndarray:
        """Of the tool, (6, J) at joints (J,): linear part first, base frame."""
        self._data.qpos[self._q] = q
        mujoco.mj_kinematics(self._model, self._data)
        return self._arm_jacobian()

    def inverse(self, position: np.ndarray, rotation: np.ndarray, start: np.ndarray) -> np.ndarray:
        """Joints (J,) whose tool pose is nearest to the one asked for, searched from `start`."""
        q = start.copy()
        error = np.empty(6)
        for i in range(_ITERATIONS):
            p, R = self.forward(q)
            error[:3] = position - p
            error[3:] = matrix_to_rotation_vector(rotation @ R.T)
            if i and np.abs(error).max() < _TOLERANCE:
                break
            J = self._arm_jacobian()
            # The damping shrinks with the error, so that the last iterations converge as Newton's do.
            damping = _DAMPING * min(1.0, float(np.abs(error).max()) * 10 + 0.03)
            JJ = J @ J.T
            JJ.flat[::7] += damping**2
            step = J.T @ np.linalg.solve(JJ, error)
            if i == 0:
                posture = _POSTURE_GAIN * (self._home - q)
                step += posture - J.T @ np.linalg.solve(JJ, J @ posture)
            q = np.clip(q + step, self._low, self._high)
        return q

    def _arm_jacobian(self) -> np.ndarray:
        mujoco.mj_comPos(self._model, self._data)
        mujoco.mj_jacSite(self._model, self._data, self._jacobian[:3], self._jacobian[3:], self._site)
        return self._jacobian[:, self._v]
