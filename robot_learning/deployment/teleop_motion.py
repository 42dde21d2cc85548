"""From speeds that hands ask for to where the robot should be: ramped, limited, near where it is. No ROS."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import numpy as np

from robot_learning.drivers.interfaces import EeTarget, JointTarget, RobotState, Target
from robot_learning.drivers.teleop.hands import Hands
from robot_learning.rig import Rig
from robot_learning.rig_parts.teleop_inputs import BASE, CHOSEN_JOINT, TOOL
from robot_learning.rotation import (
    matrix_to_rotation_6d,
    matrix_to_rotation_vector,
    quaternion_to_matrix,
    rotation_vector_to_matrix,
)

if TYPE_CHECKING:
    from robot_learning.drivers.robots import Kinematics

Mode = Literal["ee", "joint", "base", "mixed"]
_REACH = 0.7  # share of the gate's tracking distance that a target may be ahead of the measured pose
_RISE_S = 0.25  # from rest to full speed, and back
_MARGIN = 0.7  # share of the rig's acceleration limits that is used at most
_MOVED_M, _MOVED_RAD = 0.02, 0.1  # farther from where it was told to be, somebody else has moved it


class Course:
    """Where the tool, the joints and the base should be. Holds nothing before `begin`.

    Args:
        kinematics: of the arm, for tool motion on a rig that takes joint targets.

    Attributes:
        linear, angular: (3,) the tool's velocity as the hands give it, in their frame [m/s], [rad/s].
    """

    def __init__(self, rig: Rig, kinematics: Kinematics | None) -> None:
        config, limits, robot = rig.teleop, rig.limits, rig.robot
        self._config, self._limits, self._robot, self._kinematics = config, limits, robot, kinematics
        self._period_s = 1 / config.rate_hz
        slides = np.array([unit == "m" for unit in robot.joint_units])

        def by_unit(metres: float, radians: float) -> np.ndarray:
            return np.where(slides, metres, radians)

        self._reach = _REACH * by_unit(limits.tracking_distance_max_m, limits.tracking_distance_max_rad)
        self._moved = by_unit(_MOVED_M, _MOVED_RAD)
        wanted = np.minimum(by_unit(config.joint_speed_m_s, config.joint_speed_rad_s), limits.joint_velocity_max)
        self._joint_speed = wanted
        self._joint_acceleration = np.minimum(_MARGIN * np.array(limits.joint_acceleration_max), wanted / _RISE_S)
        self._base_speed, self._base_acceleration = np.zeros(2), np.zeros(2)
        if base := limits.base:
            most = np.array([base.speed_max_m_s, base.angular_speed_max_rad_s])
            rise = np.array([base.acceleration_max_m_s2, base.angular_acceleration_max_rad_s2])
            self._base_speed = np.minimum([config.base_speed_m_s, config.base_angular_speed_rad_s], most)
            self._base_acceleration = np.minimum(_MARGIN * rise, self._base_speed / _RISE_S)
        self.rest()

    def rest(self) -> None:
        """No velocity."""
        self.linear, self.angular = np.zeros(3), np.zeros(3)
        self._joints_velocity, self._base = np.zeros(self._robot.joints), np.zeros(2)

    @property
    def rests(self) -> bool:
        """Whether nothing has a velocity."""
        return not any(np.any(v) for v in (self.linear, self.angular, self._joints_velocity, self._base))

    def begin(self, state: RobotState) -> None:
        """Where the robot is, at rest."""
        self._position, self._rotation = state.ee_position.copy(), quaternion_to_matrix(state.ee_orientation)
        self._joints = state.joint_position.copy()
        self.rest()

    def accelerate(self, hands: Hands, mode: Mode, joint: int, scale: float) -> None:
        """Velocities towards what the hands ask for, within accelerations.

        Args:
            joint: the chosen one, for mode `joint`.
            scale: of the rig's speeds.
        """
        config, limits, T = self._config, self._limits, self._period_s
        tool, base, joints = np.zeros(6), np.zeros(2), np.zeros(self._robot.joints)
        if mode == "ee":
            tool = hands.of(TOOL)
        if mode == "joint":
            joints[joint] = hands.of([CHOSEN_JOINT])[0]
        if mode == "mixed":
            joints = hands.of(self._robot.joint_names)
        if mode in ("base", "mixed"):
            base = hands.of(BASE)
        tool = scale * tool * np.repeat([config.linear_speed_m_s, config.angular_speed_rad_s], 3)
        linear = min(_MARGIN * limits.ee_acceleration_max_m_s2, config.linear_speed_m_s / _RISE_S)
        angular = min(_MARGIN * limits.ee_angular_acceleration_max_rad_s2, config.angular_speed_rad_s / _RISE_S)
        self.linear = _towards(tool[:3], self.linear, linear * T)
        self.angular = _towards(tool[3:], self.angular, angular * T)
        wanted, step = scale * joints * self._joint_speed, self._joint_acceleration * T
        self._joints_velocity = self._joints_velocity + np.clip(wanted - self._joints_velocity, -step, step)
        wanted, step = scale * base * self._base_speed, self._base_acceleration * T
        self._base = self._base + np.clip(wanted - self._base, -step, step)

    def advance(self, state: RobotState, mode: Mode) -> None:
        """One step, kept within limits and near the measured pose."""
        limits, T = self._limits, self._period_s
        if mode != "ee":
            q = self._joints + self._joints_velocity * T
            q = np.clip(q, state.joint_position - self._reach, state.joint_position + self._reach)
            self._joints = np.clip(q, limits.joint_position_min, limits.joint_position_max)
            return
        linear, angular = self.tool_velocity()
        away = _shorten(self._position + linear * T - state.ee_position, _REACH * limits.tracking_distance_max_m)
        self._position = np.clip(state.ee_position + away, limits.workspace_min_m, limits.workspace_max_m)
        measured = quaternion_to_matrix(state.ee_orientation)
        turned = rotation_vector_to_matrix(angular * T) @ self._rotation
        turn = _shorten(matrix_to_rotation_vector(turned @ measured.T), _REACH * limits.tracking_distance_max_rad)
        self._rotation = rotation_vector_to_matrix(turn) @ measured

    def tool_velocity(self) -> tuple[np.ndarray, np.ndarray]:
        """The tool's (3,) and (3,) in the base frame [m/s], [rad/s]."""
        if self._config.frame == "base" or not (self.linear.any() or self.angular.any()):
            return self.linear, self.angular
        return self._rotation @ self.linear, self._rotation @ self.angular

    def elsewhere(self, state: RobotState, mode: Mode) -> bool:
        """Whether the robot is far from here."""
        if mode != "ee":
            return bool((np.abs(self._joints - state.joint_position) > self._moved).any())
        turn = matrix_to_rotation_vector(self._rotation @ quaternion_to_matrix(state.ee_orientation).T)
        away = np.linalg.norm(self._position - state.ee_position)
        return bool(away > _MOVED_M or np.linalg.norm(turn) > _MOVED_RAD)

    def target(self, stamp_ns: int, mode: Mode, width: float) -> Target:
        """What to send; `width` is the gripper's [m]."""
        if self._robot.command == "ee_target":
            return EeTarget(stamp_ns, self._position.copy(), matrix_to_rotation_6d(self._rotation), width)
        if mode == "ee":
            assert self._kinematics is not None
            self._joints = self._kinematics.inverse(self._position, self._rotation, self._joints)
        return JointTarget(stamp_ns, self._joints.copy(), width, self._base.copy() if self._robot.base else None)


def _shorten(x: np.ndarray, longest: float) -> np.ndarray:
    return x * min(1.0, longest / max(float(np.linalg.norm(x)), 1e-12))


def _towards(wanted: np.ndarray, present: np.ndarray, step: float) -> np.ndarray:
    """`wanted`, or as near to it as one `step` from the present value comes."""
    return present + _shorten(wanted - present, step)
