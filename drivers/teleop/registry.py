"""Input devices by the name that a rig file gives: `teleop.device`."""

from __future__ import annotations

from robot_learning.drivers.teleop.gamepad import Gamepad
from robot_learning.drivers.teleop.hands import Device
from robot_learning.drivers.teleop.keyboard import Keyboard
from robot_learning.errors import unknown_name
from robot_learning.rig_parts.teleop import TeleopConfig

NAMES = ("keyboard", "gamepad")


def make_device(name: str, config: TeleopConfig) -> Device:
    """A device, not yet opened; UnknownName where there is none of that name."""
    if name == "keyboard":
        return Keyboard(config.dead_man_timeout_s)
    if name == "gamepad":
        return Gamepad()
    raise unknown_name("input device", name, NAMES)
