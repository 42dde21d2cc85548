"""From an operator's hands to targets: shaped, limited, begun where the robot is. No ROS."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np

from robot_learning.clock import NS_PER_S, Clock, seconds_to_ns
from robot_learning.drivers.interfaces import EeTarget, JointTarget, RobotState, Target
from robot_learning.drivers.teleop.hands import MOTION_WORDS, Hands, shape
from robot_learning.errors import ConfigError
from robot_learning.rig import Rig
from robot_learning.rotation import (
    matrix_to_rotation_6d,
    matrix_to_rotation_vector,
    quaternion_to_matrix,
    rotation_vector_to_matrix,
)

if TYPE_CHECKING:
    from robot_learning.drivers.robots import Kinematics

Mode = Literal["ee", "joint"]
_REACH = 0.7  # share of the gate's tracking distance that a target may be ahead of the measured pose
_RISE_S = 0.25  # from rest to full speed, and back
_MARGIN = 0.7  # share of the rig's acceleration limits that is used at most
_SETTLE_S = 0.5  # after this much rest, the robot has come to where it was told to be
_MOVED_M, _MOVED_RAD = 0.02, 0.1  # farther from there, somebody else has moved it
_FASTER, _SLOWEST = 1.25, 0.05


@dataclass(frozen=True)
class Motion:
    """What one tick makes of the hands.

    Attributes:
        target: to be sent; None: nothing may be sent now.
        linear, angular: (3,) the tool's commanded velocity [m/s], [rad/s]; zero in joint mode.
        dead_man: whether it is held.
        note: what the operator should know, in a sentence; empty: nothing new.
    """

    target: Target | None
    linear: np.ndarray
    angular: np.ndarray
    dead_man: bool
    note: str


class Teleop:
    """Integrates what the hands ask for, from the measured pose.

    Nothing is sent before the dead-man has been closed once, or the operator has asked to take over. From then on every
    tick gives a target, for silence is a fault to the robot's watchdog: while the dead-man is open the last target, at
    rest. A stop of the gate, state that is old, or a lost device end that, until the dead-man closes anew.

    In mode `joint` the first axis moves the chosen joint.

    Args:
        kinematics: of the arm, for tool motion on a rig that takes joint targets.

    Attributes:
        mode, joint: what the axes move.
        speed_scale: of the rig's teleoperation speeds.

    Raises:
        ConfigError: a mode that the rig's kind of command does not allow.
    """

    def __init__(self, rig: Rig, clock: Clock, speed_scale: float = 1.0, kinematics: Kinematics | None = None) -> None:
        self._rig, self._clock, self._kinematics = rig, clock, kinematics
        self._config, self._limits = rig.teleop, rig.limits
        self.mode: Mode = rig.teleop.mode
        self.joint = 0
        self.speed_scale = speed_scale
        self._period_s = 1 / rig.teleop.rate_hz
        self._takes_joints = rig.robot.command == "joint_target"
        self._check_mode(self.mode)
        self._begun, self._armed, self._was_held = False, False, False
        self._note = ""
        self._rest()

    def let_go(self, why: str, dead_man: bool = True, tell: bool = False) -> Motion:
        """Send no more until the dead-man has been open and closes anew, from the pose measured then.

        Args:
            why: for the operator, who is told where something was sent before, or where `tell` says so.
            dead_man: whether it is held, or might be.
        """
        if self._begun or tell:
            self._note = why
        self._begun, self._armed = False, not dead_man
        self._rest()
        return self._motion(None, dead_man)

    def tick(self, hands: Hands, state: RobotState | None, stopped: str = "") -> Motion:
        """One period.

        Args:
            state: newest measured; None: none has come yet.
            stopped: why the gate stopped; empty: it has not.
        """
        now = self._clock.now_ns()
        pressed, self._was_held = hands.dead_man and not self._was_held, hands.dead_man
        self._armed |= not hands.dead_man
        if state is None or now - state.stamp_ns > seconds_to_ns(self._limits.command_age_max_s):
            return self.let_go("the robot's state does not come: nothing is sent", hands.dead_man, pressed)
        if stopped:
            why = f"the robot is stopped: {stopped}; recover, then hold the dead-man anew"
            return self.let_go(why, hands.dead_man, pressed)
        for word in hands.words:
            self._heed(word)
        # Who takes over from a policy must be heard before: at rest, so that nothing moves by it.
        if not self._begun and ((hands.dead_man and self._armed) or "take_over" in hands.words):
            self._begin(state)
        if not self._begun:
            return self._motion(None, hands.dead_man)
        self._accelerate(hands if hands.dead_man else Hands())
        self._advance(state)
        self._notice_others(state, now)
        return self._motion(self._target(state, now), hands.dead_man)

    # Inside: the state that is integrated

    def _rest(self) -> None:
        self._linear, self._angular = np.zeros(3), np.zeros(3)
        self._joints_speed = np.zeros(len(self._limits.joint_position_min))
        self._moving_ns = 0

    def _begin(self, state: RobotState) -> None:
        """Where the robot is, at rest."""
        self._begun = True
        self._position, self._rotation = state.ee_position.copy(), quaternion_to_matrix(state.ee_orientation)
        self._joints = state.joint_position.copy()
        self._width = float(state.gripper_width[0])
        self._rest()
        self._moving_ns = self._clock.now_ns()

    def _heed(self, word: str) -> None:
        limits = self._limits
        if word not in MOTION_WORDS:
            return
        if word == "gripper" and self._begun:
            middle = (limits.gripper_width_min_m + limits.gripper_width_max_m) / 2
            self._width = limits.gripper_width_min_m if self._width > middle else limits.gripper_width_max_m
            self._note = "gripper closes" if self._width < middle else "gripper opens"
        elif word == "mode":
            self._switch()
        elif word in ("joint_up", "joint_down") and self.mode == "joint":
            self.joint = (self.joint + (1 if word == "joint_up" else -1)) % len(self._joints_speed)
            self._note = f"joint {self.joint + 1} ({self._rig.robot.joint_names[self.joint]})"
        elif word in ("faster", "slower"):
            scale = self.speed_scale * (_FASTER if word == "faster" else 1 / _FASTER)
            self.speed_scale = min(max(scale, _SLOWEST), 1.0)
            self._note = f"speed {self.speed_scale:.0%}"

    def _switch(self) -> None:
        other: Mode = "ee" if self.mode == "joint" else "joint"
        try:
            self._check_mode(other)
        except ConfigError as error:
            self._note = str(error)
            return
        self.mode, self._begun, self._armed = other, False, False  # begins anew, at the measured pose
        self._rest()
        self._note = "the axes move " + ("the tool" if other == "ee" else f"joint {self.joint + 1}")

    def _check_mode(self, mode: Mode) -> None:
        if mode == "joint" and not self._takes_joints:
            raise ConfigError("teleop mode joint is for rigs with robot.command: joint_target; this one takes tools.")
        if mode == "ee" and self._takes_joints and self._kinematics is None:
            raise ConfigError(
                f"teleop mode ee on a rig that takes joint targets needs the kinematics of a {self._rig.robot.type}, "
                "which are not known; set teleop.mode: joint."
            )

    def _accelerate(self, hands: Hands) -> None:
        """Velocities towards what the hands ask for, within accelerations."""
        config, limits = self._config, self._limits
        axes = self.speed_scale * shape(hands.axes, config.dead_zone, config.response)
        wanted_joints = np.zeros_like(self._joints_speed)
        wanted = np.zeros(6)
        if self.mode == "joint":
            wanted_joints[self.joint] = axes[0] * config.joint_speed_rad_s
        else:
            wanted = axes * np.repeat([config.linear_speed_m_s, config.angular_speed_rad_s], 3)
        linear = min(_MARGIN * limits.ee_acceleration_max_m_s2, config.linear_speed_m_s / _RISE_S)
        angular = min(_MARGIN * limits.ee_angular_acceleration_max_rad_s2, config.angular_speed_rad_s / _RISE_S)
        joint = np.minimum(_MARGIN * np.array(limits.joint_acceleration_max), config.joint_speed_rad_s / _RISE_S)
        self._linear = _towards(wanted[:3], self._linear, linear * self._period_s)
        self._angular = _towards(wanted[3:], self._angular, angular * self._period_s)
        step = joint * self._period_s
        self._joints_speed = self._joints_speed + np.clip(wanted_joints - self._joints_speed, -step, step)

    def _advance(self, state: RobotState) -> None:
        """One step of the target, kept within limits and near the measured pose."""
        limits, T = self._limits, self._period_s
        if self.mode == "joint":
            reach = _REACH * limits.tracking_distance_max_rad
            q = self._joints + self._joints_speed * T
            q = np.clip(q, state.joint_position - reach, state.joint_position + reach)
            self._joints = np.clip(q, limits.joint_position_min, limits.joint_position_max)
            return
        away = self._position + self._linear * T - state.ee_position
        away = _shorten(away, _REACH * limits.tracking_distance_max_m)
        self._position = np.clip(state.ee_position + away, limits.workspace_min_m, limits.workspace_max_m)
        measured = quaternion_to_matrix(state.ee_orientation)
        turned = rotation_vector_to_matrix(self._angular * T) @ self._rotation
        turn = _shorten(matrix_to_rotation_vector(turned @ measured.T), _REACH * limits.tracking_distance_max_rad)
        self._rotation = rotation_vector_to_matrix(turn) @ measured

    def _notice_others(self, state: RobotState, now: int) -> None:
        """At rest, a robot far from where it was told to be was moved by somebody else: hold it where it is."""
        if any(np.any(v) for v in (self._linear, self._angular, self._joints_speed)):
            self._moving_ns = now
        if now - self._moving_ns < _SETTLE_S * NS_PER_S:
            return
        turn = matrix_to_rotation_vector(self._rotation @ quaternion_to_matrix(state.ee_orientation).T)
        moved = (
            np.abs(self._joints - state.joint_position).max() > _MOVED_RAD
            if self.mode == "joint"
            else np.linalg.norm(self._position - state.ee_position) > _MOVED_M or np.linalg.norm(turn) > _MOVED_RAD
        )
        if moved:
            width = self._width
            self._begin(state)
            self._width = width

    def _target(self, state: RobotState, now: int) -> Target:
        if not self._takes_joints:
            return EeTarget(now, self._position.copy(), matrix_to_rotation_6d(self._rotation), self._width)
        if self.mode == "ee":
            assert self._kinematics is not None
            self._joints = self._kinematics.inverse(self._position, self._rotation, self._joints)
        return JointTarget(now, self._joints.copy(), self._width, np.zeros(2) if self._rig.robot.base else None)

    def _motion(self, target: Target | None, dead_man: bool) -> Motion:
        note, self._note = self._note, ""
        return Motion(target, self._linear, self._angular, dead_man, note)


def _shorten(x: np.ndarray, longest: float) -> np.ndarray:
    return x * min(1.0, longest / max(float(np.linalg.norm(x)), 1e-12))


def _towards(wanted: np.ndarray, present: np.ndarray, step: float) -> np.ndarray:
    """`wanted`, or as near to it as one `step` from the present value comes."""
    return present + _shorten(wanted - present, step)
