"""What Franka's arms can do, and whether a rig file asks for more.

Franka Research 3 and Panda (FER): https://frankarobotics.github.io/docs/robot_specifications.html, section "Limits";
the same numbers for the Panda: https://frankaemika.github.io/docs/control_parameters.html. Torque rate and
accelerations also stand in libfranka's rate_limiting.h (0.9 for the Panda, 0.10 and later for the FR3).
"""

from __future__ import annotations

from dataclasses import dataclass

from robot_learning.errors import ConfigError
from robot_learning.rig import Rig
from robot_learning.rig_parts.franka import FrankaConfig

SOURCE = "https://frankarobotics.github.io/docs/robot_specifications.html"
HAND_WIDTH_MAX_M = 0.08
JOINTS = 7


@dataclass(frozen=True)
class ArmLimits:
    """One model's limits; (7,) per joint [rad, rad/s, rad/s^2, Nm], tool [m/s, m/s^2, rad/s, rad/s^2].

    The FR3 allows less joint speed near the ends of the ranges than this; the robot checks that itself.
    """

    name: str
    joint_position_min: tuple[float, ...]
    joint_position_max: tuple[float, ...]
    joint_velocity_max: tuple[float, ...]
    joint_acceleration_max: tuple[float, ...]
    joint_torque_max: tuple[float, ...]
    torque_rate_max_nm_s: float
    ee_speed_max_m_s: float
    ee_acceleration_max_m_s2: float
    ee_angular_speed_max_rad_s: float
    ee_angular_acceleration_max_rad_s2: float


_TORQUE = (87.0, 87.0, 87.0, 87.0, 12.0, 12.0, 12.0)
ARMS = {
    "fr3": ArmLimits(
        name="Franka Research 3",
        joint_position_min=(-2.7437, -1.7837, -2.9007, -3.0421, -2.8065, 0.5445, -3.0159),
        joint_position_max=(2.7437, 1.7837, 2.9007, -0.1518, 2.8065, 4.5169, 3.0159),
        joint_velocity_max=(2.62, 2.62, 2.62, 2.62, 5.26, 4.18, 5.26),
        joint_acceleration_max=(10.0,) * JOINTS,
        joint_torque_max=_TORQUE,
        torque_rate_max_nm_s=1000.0,
        ee_speed_max_m_s=3.0,
        ee_acceleration_max_m_s2=9.0,
        ee_angular_speed_max_rad_s=2.5,
        ee_angular_acceleration_max_rad_s2=17.0,
    ),
    "panda": ArmLimits(
        name="Panda",
        joint_position_min=(-2.8973, -1.7628, -2.8973, -3.0718, -2.8973, -0.0175, -2.8973),
        joint_position_max=(2.8973, 1.7628, 2.8973, -0.0698, 2.8973, 3.7525, 2.8973),
        joint_velocity_max=(2.175, 2.175, 2.175, 2.175, 2.61, 2.61, 2.61),
        joint_acceleration_max=(15.0, 7.5, 10.0, 12.5, 15.0, 20.0, 20.0),
        joint_torque_max=_TORQUE,
        torque_rate_max_nm_s=1000.0,
        ee_speed_max_m_s=1.7,
        ee_acceleration_max_m_s2=13.0,
        ee_angular_speed_max_rad_s=2.5,
        ee_angular_acceleration_max_rad_s2=25.0,
    ),
}


def check(rig: Rig) -> FrankaConfig:
    """The rig's section `franka`; ConfigError where it lacks one or its limits are beyond the arm's."""
    franka = rig.franka
    if franka is None:
        raise ConfigError(
            f"{rig.name}: robot.type is franka, but there is no section 'franka'; give at least its model and address "
            "(docs/hardware/franka.md has one to start from)."
        )
    if rig.robot.joints != JOINTS or set(rig.robot.joint_units) != {"rad"}:
        raise ConfigError(
            f"{rig.name}: a Franka has {JOINTS} joints that turn; got {', '.join(rig.robot.joint_names)}."
        )
    arm, limits = ARMS[franka.model], rig.limits
    for key in ("joint_position_min", "joint_position_max", "joint_velocity_max", "joint_acceleration_max"):
        for i, (asked, allowed) in enumerate(zip(getattr(limits, key), getattr(arm, key), strict=True)):
            if asked < allowed if key.endswith("_min") else asked > allowed:
                raise _beyond(rig, f"limits.{key}[{i}]", asked, allowed, arm)
    for key in (
        "ee_speed_max_m_s", "ee_acceleration_max_m_s2",
        "ee_angular_speed_max_rad_s", "ee_angular_acceleration_max_rad_s2",
    ):  # fmt: skip
        if getattr(limits, key) > getattr(arm, key):
            raise _beyond(rig, f"limits.{key}", getattr(limits, key), getattr(arm, key), arm)
    if franka.hand is not None and limits.gripper_width_max_m > HAND_WIDTH_MAX_M:
        raise ConfigError(
            f"{rig.name}: limits.gripper_width_max_m = {limits.gripper_width_max_m} is wider than the Franka Hand "
            f"opens, {HAND_WIDTH_MAX_M} m; give at most that."
        )
    home = rig.robot.home_joint_position
    for i, (low, q, high) in enumerate(zip(limits.joint_position_min, home, limits.joint_position_max, strict=True)):
        if not low <= q <= high:
            raise ConfigError(f"{rig.name}: robot.home_joint_position[{i}] = {q} is outside limits [{low}, {high}].")
    return franka


def _beyond(rig: Rig, key: str, asked: float, allowed: float, arm: ArmLimits) -> ConfigError:
    return ConfigError(
        f"{rig.name}: {key} = {asked} is beyond what a {arm.name} can do, {allowed} ({SOURCE}); "
        "tighten it, or correct franka.model."
    )
