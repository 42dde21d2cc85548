"""The scripted expert of the Panda tasks: a smooth function of the state, with a little seeded variation."""

from __future__ import annotations

import math

import numpy as np

from robot_learning.drivers.interfaces import EeTarget, RobotState, Target
from robot_learning.drivers.mujoco.kinematics import Kinematics
from robot_learning.rig import Rig
from robot_learning.rotation import (
    matrix_to_rotation_6d,
    matrix_to_rotation_vector,
    quaternion_to_matrix,
    rotation_6d_to_matrix,
    rotation_vector_to_matrix,
)
from robot_learning.sim.tabletop import Task

_GAIN = 0.35  # share of the way to the waypoint that one step asks for
_SPEED_M_S = 0.45
_ANGULAR_SPEED_RAD_S = 1.8
_MARGIN = 0.7  # share of the rig's limits that it uses, so that the gate has nothing to clip
_WANDER_M = 0.008
_WANDER_MEMORY = 0.9  # of the wander from one step to the next; uncorrelated noise would only shake the arm
_STEADY_M = 0.10  # closer to the waypoint than this, the wander shrinks with the distance


class PandaExpert:
    """Steers the tool towards the task's waypoint, slower as it comes near.

    It keeps no phase and no timer: the waypoint follows from the measured state alone, as a policy's
    actions must, and the speed differs from the present one by no more than the limits allow. While
    the tool is far from its waypoint the path wanders, so that demonstrations show states beside the
    straight path and what to do there.

    It knows nothing of where the state comes from: the simulated environment or topics.

    Args:
        kinematics: the arm's, for rigs that take joint targets.
        wander_m: standard deviation of the wander [m].
    """

    def __init__(self, rig: Rig, task: Task, kinematics: Kinematics, wander_m: float = _WANDER_M) -> None:
        self._task, self._kinematics, self._wander_m = task, kinematics, wander_m
        self._ee = rig.robot.command == "ee_target"
        self._period_s = 1 / rig.policy.rate_hz
        limits = rig.limits
        self._speed = min(_SPEED_M_S, _MARGIN * limits.ee_speed_max_m_s)
        self._speed_step = _MARGIN * limits.ee_acceleration_max_m_s2 * self._period_s
        self._turn = min(_ANGULAR_SPEED_RAD_S, _MARGIN * limits.ee_angular_speed_max_rad_s)
        self._turn_step = _MARGIN * limits.ee_angular_acceleration_max_rad_s2 * self._period_s
        self.reset()

    def reset(self) -> None:
        """Stand still."""
        self._velocity, self._angular, self._wander = np.zeros(3), np.zeros(3), np.zeros(3)

    def act(
        self,
        state: RobotState,
        objects: dict[str, np.ndarray],
        reference: Target | None,
        rng: np.random.Generator,
    ) -> np.ndarray:
        """The next action of the rig, one period after the last.

        Args:
            objects: newest values of the task's own streams.
            reference: where the robot was last told to be; None at first.
            rng: where the wander comes from.
        """
        T = self._period_s
        want = self._task.expert(objects, state)
        position, R = self._pose(reference, state)
        away = want.position - position
        draw = rng.normal(0, self._wander_m, 3)
        self._wander = _WANDER_MEMORY * self._wander + math.sqrt(1 - _WANDER_MEMORY**2) * draw
        away = away + self._wander * min(1.0, math.sqrt(away @ away) / _STEADY_M)
        self._velocity = _towards(_shorten(_GAIN / T * away, self._speed), self._velocity, self._speed_step)
        # Fingers down, turned by the yaw: the tool's x and y axes in the base frame.
        c, s = math.cos(want.yaw), math.sin(want.yaw)
        down = np.array([[c, s, 0.0], [s, -c, 0.0], [0.0, 0.0, -1.0]])
        turn = _shorten(_GAIN / T * matrix_to_rotation_vector(down @ R.T), self._turn)
        self._angular = _towards(turn, self._angular, self._turn_step)
        rotation = rotation_vector_to_matrix(self._angular * T) @ R
        position = position + self._velocity * T
        if self._ee:
            return np.concatenate([position, matrix_to_rotation_6d(rotation), [want.gripper_width]])
        return np.append(self._kinematics.inverse(position, rotation, state.joint_position), want.gripper_width)

    def _pose(self, reference: Target | None, state: RobotState) -> tuple[np.ndarray, np.ndarray]:
        """Where the tool was last told to be; at first, where it is."""
        if isinstance(reference, EeTarget):
            return reference.position, rotation_6d_to_matrix(reference.rotation_6d)
        if reference is not None:
            return self._kinematics.forward(reference.position)
        return state.ee_position, quaternion_to_matrix(state.ee_orientation)


def _shorten(x: np.ndarray, longest: float) -> np.ndarray:
    return x * min(1.0, longest / max(math.sqrt(x @ x), 1e-12))


def _towards(wanted: np.ndarray, present: np.ndarray, step: float) -> np.ndarray:
    """`wanted`, or as near to it as one `step` from the present value comes."""
    return present + _shorten(wanted - present, step)
