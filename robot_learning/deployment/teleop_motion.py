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
_HARD = 0.95  # the same for coming to rest before the end of the reach: a robot that is only slow is not to be slowed
_MOVED_M, _MOVED_RAD = 0.02, 0.1  # farther at rest, and it was moved by others, or is kept from where it was told to be
_THERE = 0.1  # of that is near enough


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
        self._linear_acceleration = min(_MARGIN * limits.ee_acceleration_max_m_s2, config.linear_speed_m_s / _RISE_S)
        self._angular_acceleration = min(
            _MARGIN * limits.ee_angular_acceleration_max_rad_s2, config.angular_speed_rad_s / _RISE_S
        )
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
        tool, base, joints = np.zeros(6), np.zeros(2), np.zeros(self._robot.joints)
        if mode == "ee":
            tool = hands.of(TOOL)
        if mode == "joint":
            joints[joint] = hands.of([CHOSEN_JOINT])[0]
        if mode == "mixed":
            joints = hands.of(self._robot.joint_names)
        if mode in ("base", "mixed"):
            base = hands.of(BASE)
        config = self._config
        self._ramp(
            scale * tool[:3] * config.linear_speed_m_s,
            scale * tool[3:] * config.angular_speed_rad_s,
            scale * joints * self._joint_speed,
            scale * base * self._base_speed,
        )

    def approach(self, state: RobotState, mode: Mode) -> None:
        """Velocities towards where the robot is, within the rig's speeds: what keeps it away is no longer pressed."""
        config, T = self._config, self._period_s
        joints, linear, angular = np.zeros(self._robot.joints), np.zeros(3), np.zeros(3)
        if mode == "ee":
            away, turn = self._away(state)
            linear = _homing(away, _THERE * _MOVED_M, config.linear_speed_m_s, self._linear_acceleration, T)
            angular = _homing(turn, _THERE * _MOVED_RAD, config.angular_speed_rad_s, self._angular_acceleration, T)
            if config.frame == "tool":
                linear, angular = linear @ self._rotation, angular @ self._rotation
        else:
            away = self._joints - state.joint_position
            speed = np.minimum(self._joint_speed, _braking(np.abs(away), self._joint_acceleration, T))
            joints = np.where(np.abs(away) > _THERE * self._moved, -np.sign(away) * speed, 0.0)
        self._ramp(linear, angular, joints, np.zeros(2))

    def _ramp(self, linear: np.ndarray, angular: np.ndarray, joints: np.ndarray, base: np.ndarray) -> None:
        """Velocities nearer to those wanted, by what a period allows."""
        T = self._period_s
        self.linear = _towards(linear, self.linear, self._linear_acceleration * T)
        self.angular = _towards(angular, self.angular, self._angular_acceleration * T)
        step = self._joint_acceleration * T
        self._joints_velocity = self._joints_velocity + np.clip(joints - self._joints_velocity, -step, step)
        step = self._base_acceleration * T
        self._base = self._base + np.clip(base - self._base, -step, step)

    def advance(self, state: RobotState, mode: Mode) -> None:
        """One step, kept within limits and near the measured pose: before either it brakes."""
        if mode == "ee":
            self._advance_tool(state)
        else:
            self._advance_joints(state)

    def _advance_joints(self, state: RobotState) -> None:
        limits, T = self._limits, self._period_s
        hard = _HARD * np.array(limits.joint_acceleration_max)
        for low, high, a in (
            (np.array(limits.joint_position_min), np.array(limits.joint_position_max), self._joint_acceleration),
            (state.joint_position - self._reach, state.joint_position + self._reach, hard),
        ):
            slowest, fastest = -_braking(self._joints - low, a, T), _braking(high - self._joints, a, T)
            self._joints_velocity = np.clip(self._joints_velocity, slowest, fastest)
        q = self._joints + self._joints_velocity * T
        q = np.clip(q, state.joint_position - self._reach, state.joint_position + self._reach)
        self._joints = np.clip(q, limits.joint_position_min, limits.joint_position_max)

    def _advance_tool(self, state: RobotState) -> None:
        limits, T, a = self._limits, self._period_s, self._linear_acceleration
        reach_m, reach_rad = _REACH * limits.tracking_distance_max_m, _REACH * limits.tracking_distance_max_rad
        linear, angular = self.tool_velocity()
        away, turn = self._away(state)
        linear = _not_beyond(linear, away, reach_m, _HARD * limits.ee_acceleration_max_m_s2, T)
        angular = _not_beyond(angular, turn, reach_rad, _HARD * limits.ee_angular_acceleration_max_rad_s2, T)
        low, high = np.array(limits.workspace_min_m), np.array(limits.workspace_max_m)
        linear = np.clip(linear, -_braking(self._position - low, a, T), _braking(high - self._position, a, T))
        self._set_tool_velocity(linear, angular)
        away = _shorten(away + linear * T, reach_m)
        self._position = np.clip(state.ee_position + away, low, high)
        measured = quaternion_to_matrix(state.ee_orientation)
        turned = rotation_vector_to_matrix(angular * T) @ self._rotation
        turn = _shorten(matrix_to_rotation_vector(turned @ measured.T), reach_rad)
        self._rotation = rotation_vector_to_matrix(turn) @ measured

    def _away(self, state: RobotState) -> tuple[np.ndarray, np.ndarray]:
        """How far the tool should be from where it is: (3,) [m] and (3,) [rad], base frame."""
        turn = matrix_to_rotation_vector(self._rotation @ quaternion_to_matrix(state.ee_orientation).T)
        return self._position - state.ee_position, turn

    def _set_tool_velocity(self, linear: np.ndarray, angular: np.ndarray) -> None:
        """The inverse of `tool_velocity`."""
        turned = self._config.frame == "tool" and (linear.any() or angular.any())
        self.linear, self.angular = (v @ self._rotation if turned else v for v in (linear, angular))

    def tool_velocity(self) -> tuple[np.ndarray, np.ndarray]:
        """The tool's (3,) and (3,) in the base frame [m/s], [rad/s]."""
        if self._config.frame == "base" or not (self.linear.any() or self.angular.any()):
            return self.linear, self.angular
        return self._rotation @ self.linear, self._rotation @ self.angular

    def elsewhere(self, state: RobotState, mode: Mode) -> bool:
        """Whether the robot is farther from here than one that follows."""
        if mode == "ee":
            away, turn = (float(np.linalg.norm(v)) for v in self._away(state))
            return away > _MOVED_M or turn > _MOVED_RAD
        return bool((np.abs(self._joints - state.joint_position) > self._moved).any())

    def out_of_reach(self, state: RobotState, mode: Mode) -> bool:
        """Whether it is so far that only others can have moved it."""
        if mode == "ee":
            away, turn = (float(np.linalg.norm(v)) for v in self._away(state))
            return away > self._limits.tracking_distance_max_m or turn > self._limits.tracking_distance_max_rad
        return bool((np.abs(self._joints - state.joint_position) > self._reach / _REACH).any())

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


def _braking(room: np.ndarray, acceleration: np.ndarray | float, period_s: float) -> np.ndarray:
    """The speed from which steps of one period come to rest within `room`."""
    room = np.maximum(room, 0.0)
    return acceleration * (np.sqrt(period_s**2 + 2 * room / acceleration) - period_s)


def _homing(away: np.ndarray, there: float, speed: float, acceleration: float, period_s: float) -> np.ndarray:
    """The velocity (3,) that brings what is `away` (3,) back, at most at this speed; none once it is `there`."""
    distance = float(np.linalg.norm(away))
    if distance < there:
        return np.zeros(3)
    return -away / distance * min(speed, float(_braking(np.array(distance), acceleration, period_s)))


def _not_beyond(
    velocity: np.ndarray, away: np.ndarray, reach: float, acceleration: float, period_s: float
) -> np.ndarray:
    """A velocity (3,) of what is `away` (3,) from a centre, so that it comes to rest within `reach` of it."""
    distance = float(np.linalg.norm(away))
    if distance < 1e-9:
        return velocity
    outward = away / distance
    excess = float(velocity @ outward) - float(_braking(np.array(reach - distance), acceleration, period_s))
    return velocity - outward * max(0.0, excess)
