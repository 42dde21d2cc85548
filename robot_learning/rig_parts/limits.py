"""The part of a rig file that the gate enforces."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator

from robot_learning.contract import Frozen
from robot_learning.rig_parts.numbers import Joints, Positive, Vector3


class BaseLimits(Frozen):
    """What the gate allows a mobile base."""

    speed_max_m_s: Positive
    acceleration_max_m_s2: Positive
    angular_speed_max_rad_s: Positive
    angular_acceleration_max_rad_s2: Positive


class Limits(Frozen):
    """What the gate enforces. Arrays are per joint, in its unit, or x, y, z in the robot's base frame."""

    on_violation: Literal["clip", "refuse"] = "refuse"
    joint_position_min: Joints
    joint_position_max: Joints
    joint_velocity_max: Joints
    joint_acceleration_max: Joints
    workspace_min_m: Vector3
    workspace_max_m: Vector3
    ee_speed_max_m_s: Positive
    ee_acceleration_max_m_s2: Positive
    ee_angular_speed_max_rad_s: Positive
    ee_angular_acceleration_max_rad_s2: Positive
    tracking_distance_max_m: Positive
    tracking_distance_max_rad: Positive
    first_target_distance_max_m: Positive
    first_target_distance_max_rad: Positive
    gripper_width_min_m: Annotated[float, Field(ge=0)]
    gripper_width_max_m: Positive
    command_age_max_s: Positive
    base: BaseLimits | None = None

    @model_validator(mode="after")
    def _check(self) -> Limits:
        for low, high in (
            ("joint_position_min", "joint_position_max"),
            ("workspace_min_m", "workspace_max_m"),
        ):
            for i, (a, b) in enumerate(zip(getattr(self, low), getattr(self, high), strict=True)):
                if a >= b:
                    raise ValueError(f"{low}[{i}] = {a} must be below {high}[{i}] = {b}")
        for key in ("joint_velocity_max", "joint_acceleration_max"):
            if min(getattr(self, key)) <= 0:
                raise ValueError(f"{key} must be positive; got {list(getattr(self, key))}")
        if self.gripper_width_min_m >= self.gripper_width_max_m:
            raise ValueError(
                f"gripper_width_min_m = {self.gripper_width_min_m} must be below "
                f"gripper_width_max_m = {self.gripper_width_max_m}"
            )
        return self


class WatchdogConfig(Frozen):
    """Silence for `timeout_s` [s] makes the robot slow down over `deceleration_time_s` [s] and hold."""

    timeout_s: Positive
    deceleration_time_s: Positive
