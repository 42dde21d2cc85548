"""The part of a rig file about a Hello Robot Stretch."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator

from robot_learning.contract import Frozen
from robot_learning.rig_parts.numbers import Positive

Guard = tuple[Annotated[float, Field(ge=-100, le=0)], Annotated[float, Field(ge=0, le=100)]]


class StretchConfig(Frozen):
    """How a Hello Robot Stretch is reached and moved; for `robot.type: stretch`.

    Attributes:
        model: as the robot's own `robot.model_name` has it.
        tool: end of arm, as the robot's own `robot.tool` has it; it decides which joints there are.
        python: interpreter that has `stretch_body`; empty: the one that runs this.
        fleet_path, fleet_id: folder with the robot's parameters; empty: from HELLO_FLEET_PATH and HELLO_FLEET_ID.
        urdf: the robot's own description, variables allowed; empty: the nominal one of model and tool.
        guards_percent: effort below and above which lift and arm stop by a guarded contact, by joint; those not named
            keep the robot's own (`contact_thresh_default`).
        collision_manager: Hello Robot's own watch for collisions of the robot with itself. It is off by default in
            `stretch_body`, and on here.
        base_timeout_s: the base stops by itself this long after its last velocity, as in stretch_ros2.
        silence_s: the library's process brakes by itself this long after the driver's last word.
        startup_timeout_s: for the library to open every device.
        gripper_velocity_m_s: how fast the opening changes.
        squeeze_m: told to close, the gripper goes so far beyond its fingers' touch, so that it holds what is between.
        low_battery_v: below, doctor and diagnostics warn.
    """

    model: Literal["RE1V0", "RE2V0", "SE3"] = "SE3"
    tool: str = "eoa_wrist_dw3_tool_sg3"
    python: str = ""
    fleet_path: str = ""
    fleet_id: str = ""
    urdf: str = ""
    guards_percent: dict[Literal["joint_lift", "wrist_extension"], Guard] = {}
    collision_manager: bool = True
    base_timeout_s: Annotated[float, Field(gt=0, le=1)] = 0.5
    silence_s: Annotated[float, Field(gt=0, le=2)] = 0.5
    startup_timeout_s: Positive = 60.0
    gripper_velocity_m_s: Positive = 0.1
    squeeze_m: Annotated[float, Field(ge=0, le=0.1)] = 0.02
    low_battery_v: Positive = 11.5

    @model_validator(mode="after")
    def _check(self) -> StretchConfig:
        if bool(self.fleet_path) != bool(self.fleet_id):
            raise ValueError("fleet_path and fleet_id go together; leave both out to use the robot's own environment")
        return self
