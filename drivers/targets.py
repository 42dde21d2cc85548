"""Targets as vectors and back: what actions are in stores, and named vectors on topics."""

from __future__ import annotations

from typing import Literal

import numpy as np

from robot_learning.drivers.interfaces import EeTarget, JointTarget, RobotState, Target
from robot_learning.rotation import matrix_to_rotation_6d, quaternion_to_matrix

Kind = Literal["ee_target", "joint_target"]  # as in a rig's `robot.command`


def to_target(kind: Kind, values: np.ndarray, stamp_ns: int) -> Target:
    """An action as a target: position (3) [m], rotation_6d (6) and width (1) [m], or joints (J) [rad] and width."""
    if kind == "ee_target":
        return EeTarget(stamp_ns, values[:3], values[3:9], float(values[9]))
    return JointTarget(stamp_ns, values[:-1], float(values[-1]))


def flatten(target: Target) -> np.ndarray:
    """A target as an action: (10,) for a tool target, (J + 1,) for joints."""
    if isinstance(target, EeTarget):
        return np.concatenate([target.position, target.rotation_6d, [target.gripper_width]])
    return np.concatenate([target.position, [target.gripper_width]])


def measured(kind: Kind, state: RobotState, stamp_ns: int) -> Target:
    """The target that asks a robot to be where it is."""
    width = float(state.gripper_width[0])
    if kind == "ee_target":
        rotation = matrix_to_rotation_6d(quaternion_to_matrix(state.ee_orientation))
        return EeTarget(stamp_ns, state.ee_position, rotation, width)
    return JointTarget(stamp_ns, state.joint_position, width)
