"""Which Stretches there are: model, end of arm, and the joints that they have."""

from __future__ import annotations

from dataclasses import dataclass

from robot_learning.drivers.stretch.body import ARM, LIFT, PAN, PITCH, ROLL, TILT, UNITS, YAW
from robot_learning.errors import ConfigError, closest, unknown_name
from robot_learning.rig import Rig
from robot_learning.rig_parts.stretch import StretchConfig

HEAD = (PAN, TILT)
_PLAIN = (LIFT, ARM, YAW)
_DEXTEROUS = (LIFT, ARM, YAW, PITCH, ROLL)
# Ends of arm as stretch_body 0.7 calls them (`supported_eoa` in its robot_params_*.py), and the joints with each.
_TOOLS: dict[str, dict[str, tuple[str, ...]]] = {
    "RE1V0": {"tool_stretch_gripper": _PLAIN, "tool_stretch_dex_wrist": _DEXTEROUS},
    "RE2V0": {
        "tool_stretch_gripper": _PLAIN,
        "tool_stretch_dex_wrist": _DEXTEROUS,
        "eoa_wrist_dw3_tool_sg3": _DEXTEROUS,
    },
    "SE3": {"eoa_wrist_dw3_tool_sg3": _DEXTEROUS, "eoa_wrist_dw3_tool_sg3_pro": _DEXTEROUS},
}


@dataclass(frozen=True)
class Model:
    """One kind of Stretch with a gripper.

    Attributes:
        joints: between base and tool, that a rig must name; the head's two may be named beside them.
    """

    name: str
    tool: str
    joints: tuple[str, ...]


def model_of(rig: Rig) -> Model:
    """The rig's Stretch, whose joints are those that `robot.joint_names` has.

    Raises:
        UnknownName: no such end of arm on that model.
        ConfigError: names or units of joints that such a robot does not have.
    """
    config = rig.stretch or StretchConfig()
    tools = _TOOLS[config.model]
    if config.tool not in tools:
        raise unknown_name(f"end of arm with a gripper of a {config.model}", config.tool, tools)
    model = Model(config.model, config.tool, tools[config.tool])
    names, allowed = rig.robot.joint_names, (*model.joints, *HEAD)
    for name in names:
        if name not in allowed:
            raise ConfigError(
                f"robot.joint_names: a {model.name} with {model.tool} has no joint '{name}'{closest(name, allowed)} "
                f"Allowed: {', '.join(allowed)}."
            )
    missing = [name for name in model.joints if name not in names]
    if (PAN in names) != (TILT in names):
        missing += [name for name in HEAD if name not in names]
    if missing or len(set(names)) != len(names):
        raise ConfigError(
            f"robot.joint_names must name each of {', '.join(model.joints)} once, and perhaps {' and '.join(HEAD)}; "
            f"got {', '.join(names)}."
        )
    units = tuple(UNITS[name] for name in names)
    if units != rig.robot.joint_units:
        raise ConfigError(
            f"robot.joint_units must be {list(units)} for these joints; got {list(rig.robot.joint_units)}."
        )
    return model
