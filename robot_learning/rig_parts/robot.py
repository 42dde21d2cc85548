"""The part of a rig file that says which robot it is."""

from __future__ import annotations

from itertools import groupby
from typing import Annotated, Any, Literal

from pydantic import Field, model_validator

from robot_learning.contract import Frozen
from robot_learning.rig_parts.numbers import Joints, Positive


class RobotConfig(Frozen):
    """The arm: which driver, which kind of command, how often its state is read.

    Attributes:
        gripper: `width` follows the commanded width; `open_close` closes below 40 % of the range, opens
            above 60 %, and between them keeps what it does. A Franka Hand takes no stream of widths, and a
            policy's small errors of width would otherwise feed on themselves.
        joint_units: `rad` for joints that turn, `m` for those that slide; limits are in them.
        joint_effort: whether the joints' torques and forces are measured.
        command_success_rate: whether it tells the share of its control commands that came in time, as a Franka does.
        base: whether it stands on a base that drives; its velocity then is part of each action.
    """

    type: str
    command: Literal["ee_target", "joint_target"]
    gripper: Literal["width", "open_close"]
    state_rate_hz: Positive
    home_joint_position: Joints
    joint_names: Annotated[tuple[str, ...], Field(min_length=1)] = tuple(f"panda_joint{i + 1}" for i in range(7))
    joint_units: tuple[Literal["rad", "m"], ...] = ()
    joint_effort: bool = True
    command_success_rate: bool = False
    base: bool = False

    @model_validator(mode="before")
    @classmethod
    def _fill_units(cls, values: Any) -> Any:
        if isinstance(values, dict) and not values.get("joint_units"):
            names = values.get("joint_names", cls.model_fields["joint_names"].default)
            if isinstance(names, list | tuple):
                values = {**values, "joint_units": ("rad",) * len(names)}
        return values

    @model_validator(mode="after")
    def _check(self) -> RobotConfig:
        for key in ("joint_units", "home_joint_position"):
            if len(found := getattr(self, key)) != self.joints:
                raise ValueError(f"{key} needs {self.joints} values, one for each of joint_names; got {len(found)}")
        if self.base and self.command == "ee_target":
            raise ValueError("base: true needs command: joint_target; a tool's pose says nothing of the base")
        return self

    @property
    def joints(self) -> int:
        """How many."""
        return len(self.joint_names)

    def unit(self, of: dict[str, str] | None = None) -> str:
        """The joints' units as a stream's; `of` turns each into another, such as its velocity's."""
        units = [of[unit] if of else unit for unit in self.joint_units]
        if len(set(units)) == 1:
            return units[0]
        return " ".join(f"{unit}[{len(list(group))}]" for unit, group in groupby(units))
