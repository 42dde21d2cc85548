"""The part of a rig file about a person's input device."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from robot_learning.contract import Frozen
from robot_learning.rig_parts.numbers import Positive


class TeleopConfig(Frozen):
    """How a person drives the rig.

    Attributes:
        mode: whether axes move the tool or single joints.
        dead_man_timeout_s: a keyboard has no key-up over ssh: without a repeat for so long, the dead-man is open.
        dead_zone: share of an axis's travel that counts as rest.
        response: exponent of the response curve; 1 is straight, above 1 is finer near rest.
    """

    device: Literal["keyboard", "gamepad", "scripted"] = "keyboard"
    mode: Literal["ee", "joint"] = "ee"
    rate_hz: Positive = 50.0
    linear_speed_m_s: Positive = 0.15
    angular_speed_rad_s: Positive = 0.6
    joint_speed_rad_s: Positive = 0.4
    dead_man_timeout_s: Positive = 0.4
    dead_zone: Annotated[float, Field(ge=0, lt=0.9)] = 0.1
    response: Annotated[float, Field(ge=1, le=5)] = 2.0
