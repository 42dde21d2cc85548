"""Targets as flat vectors, the way contracts, policies and named vectors have them."""

from __future__ import annotations

import numpy as np

from robot_learning.drivers.interfaces import EeTarget, JointTarget, RobotState, Target
from robot_learning.rig import Rig
from robot_learning.rotation import matrix_to_rotation_6d, quaternion_to_matrix


def action_size(rig: Rig) -> int:
    """How many numbers an action of this rig has."""
    return 10 if rig.robot.command == "ee_target" else len(rig.robot.joint_names) + 1


def to_target(rig: Rig, values: np.ndarray, stamp_ns: int) -> Target:
    """An action (Da,) in the order of `topics.action_names` as the rig's kind of target.

    Raises:
        ValueError: another number of values.
    """
    if values.shape != (action_size(rig),):
        raise ValueError(f"an action of {rig.name} has shape ({action_size(rig)},), got {values.shape}")
    if rig.robot.command == "ee_target":
        return EeTarget(stamp_ns, values[:3], values[3:9], float(values[9]))
    return JointTarget(stamp_ns, values[:-1], float(values[-1]))


def to_values(target: Target) -> np.ndarray:
    """A target as an action (Da,)."""
    if isinstance(target, EeTarget):
        return np.concatenate([target.position, target.rotation_6d, [target.gripper_width]])
    return np.concatenate([target.position, [target.gripper_width]])


def measured_target(rig: Rig, state: RobotState, stamp_ns: int) -> Target:
    """The target that asks the robot to stay where it is measured."""
    width = float(state.gripper_width[0])
    if rig.robot.command == "ee_target":
        rotation = matrix_to_rotation_6d(quaternion_to_matrix(state.ee_orientation))
        return EeTarget(stamp_ns, state.ee_position, rotation, width)
    return JointTarget(stamp_ns, state.joint_position, width)
