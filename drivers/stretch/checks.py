"""What keeps a Stretch from moving, and what a rig must say of it."""

from __future__ import annotations

from collections.abc import Mapping

from robot_learning.drivers.stretch.body import GRIPPER, BodyModel, BodyStatus
from robot_learning.drivers.stretch.models import model_of
from robot_learning.errors import ConfigError
from robot_learning.rig import Rig
from robot_learning.rig_parts.stretch import StretchConfig

_TOLERANCE = 1e-6


def check_rig(rig: Rig) -> None:
    """What can be known without a robot; raises ConfigError."""
    model_of(rig)
    if rig.robot.joint_effort:
        raise ConfigError(
            "robot.joint_effort must be false for a Stretch: it measures effort in per cent of a motor's most, which "
            "diagnostics show, not in newtons."
        )


def check_model(rig: Rig, model: BodyModel) -> None:
    """Whether the robot is the rig's and can do what its limits allow; raises ConfigError with both numbers."""
    config = rig.stretch or StretchConfig()
    for key, asked, found in (("model", config.model, model.name), ("tool", config.tool, model.tool)):
        if asked != found:
            raise ConfigError(
                f"stretch.{key} is {asked}, but this robot's parameters say {found}; correct the rig file."
            )
    limits = rig.limits
    for i, name in enumerate(rig.robot.joint_names):
        if name not in model.joints:
            raise ConfigError(f"robot.joint_names: this robot has no {name}; it has {', '.join(model.joints)}.")
        span = model.joints[name]
        _within(f"limits.joint_position_min of {name}", limits.joint_position_min[i], span.low, None)
        _within(f"limits.joint_position_max of {name}", limits.joint_position_max[i], None, span.high)
        _within(f"limits.joint_velocity_max of {name}", limits.joint_velocity_max[i], None, span.velocity_max)
        _within(
            f"limits.joint_acceleration_max of {name}", limits.joint_acceleration_max[i], None, span.acceleration_max
        )
    if GRIPPER not in model.joints:
        raise ConfigError("this robot has no gripper; the driver needs one.")
    _within("limits.gripper_width_max_m", limits.gripper_width_max_m, None, model.joints[GRIPPER].high)
    if limits.base is not None:
        # The library cuts each wheel by itself, which would bend the path.
        wheel = limits.base.speed_max_m_s + limits.base.angular_speed_max_rad_s * model.wheel_separation_m / 2
        _within(
            "speed_max_m_s and angular_speed_max_rad_s of limits.base together need of a wheel, in m/s,",
            wheel,
            None,
            model.base_speed_max_m_s,
        )
        _within(
            "limits.base.acceleration_max_m_s2",
            limits.base.acceleration_max_m_s2,
            None,
            model.base_acceleration_max_m_s2,
        )
    if rig.robot.state_rate_hz > model.status_rate_hz + _TOLERANCE:
        raise ConfigError(
            f"robot.state_rate_hz = {rig.robot.state_rate_hz:g} is above the {model.status_rate_hz:g} Hz at which this "
            "robot reads its joints; lower it, or raise robot.rates.NonDXLStatusThread_Hz in its "
            "stretch_user_params.yaml (30 Hz is what Hello Robot's own ROS driver uses)."
        )


def _within(what: str, value: float, low: float | None, high: float | None) -> None:
    if low is not None and value < low - _TOLERANCE:
        raise ConfigError(f"{what} is {value:.4g}, below the robot's own {low:.4g}; raise it.")
    if high is not None and value > high + _TOLERANCE:
        raise ConfigError(f"{what} is {value:.4g}, above the robot's own {high:.4g}; lower it.")


def refusal(status: BodyStatus, homed: bool) -> str:
    """Why nothing may move now, and what to do about it; empty: it may."""
    if status.fault:
        return f"{status.fault}; end this node, see to the robot, and start again."
    if status.runstop:
        return (
            "the runstop is on; see that the way is clear, hold its button for two seconds until it beeps, "
            "then ask to recover."
        )
    if status.busy:
        return f"it is {status.busy}; wait until it is done."
    if not homed:
        return "it is not homed; run robot_learning.drivers.stretch.prepare home."
    return ""


def trouble(status: BodyStatus, counts: Mapping[str, int]) -> str:
    """A guarded contact since `counts` were taken; empty: none."""
    touched = [name for name, count in status.contact_count.items() if count != counts.get(name, count)]
    if not touched:
        return ""
    return (
        f"{', '.join(touched)} met more force than its guard allows and stopped; clear the way and ask to recover, or "
        "raise its guard (stretch.guards_percent) if the task must push."
    )
