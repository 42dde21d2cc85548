"""Targets as vectors and back: what actions are in stores, and named vectors on topics."""

from __future__ import annotations

from typing import Literal

import numpy as np

from robot_learning.drivers.interfaces import EeTarget, JointTarget, RobotState, Target
from robot_learning.rig_parts.robot import RobotConfig
from robot_learning.rotation import matrix_to_rotation_6d, quaternion_to_matrix

Kind = Literal["ee_target", "joint_target"]  # as in a rig's `robot.command`


def to_target(robot: RobotConfig, values: np.ndarray, stamp_ns: int) -> Target:
    """An action as a target.

    Args:
        values: position (3) [m], rotation_6d (6) and width (1) [m]; or joints (J), width (1) [m] and, with a mobile
            base, its velocity (2) [m/s, rad/s].
    """
    if robot.command == "ee_target":
        return EeTarget(stamp_ns, values[:3], values[3:9], float(values[9]))
    n = robot.joints
    return JointTarget(stamp_ns, values[:n], float(values[n]), values[n + 1 :] if robot.base else None)


def flatten(target: Target) -> np.ndarray:
    """A target as an action: (10,) for a tool target, (J + 1,) for joints, (J + 3,) with a mobile base."""
    if isinstance(target, EeTarget):
        return np.concatenate([target.position, target.rotation_6d, [target.gripper_width]])
    base = () if target.base_velocity is None else target.base_velocity
    return np.concatenate([target.position, [target.gripper_width], base])


def at_rest(robot: RobotConfig, values: np.ndarray) -> np.ndarray:
    """An action (Da,) to hold for a while: a base, where there is one, stands, for its part is a velocity."""
    return np.append(values[:-2], np.zeros(2)) if robot.base else values


def measured(kind: Kind, state: RobotState, stamp_ns: int) -> Target:
    """The target that asks a robot to be where it is, at rest."""
    width = float(state.gripper_width[0])
    if kind == "ee_target":
        rotation = matrix_to_rotation_6d(quaternion_to_matrix(state.ee_orientation))
        return EeTarget(stamp_ns, state.ee_position, rotation, width)
    base = None if state.base_velocity is None else np.zeros(2)
    return JointTarget(stamp_ns, state.joint_position, width, base)
