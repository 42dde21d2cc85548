"""Input devices by the name that a rig file gives: `teleop.device`."""

from __future__ import annotations

from robot_learning.drivers.teleop.gamepad import Gamepad
from robot_learning.drivers.teleop.hands import Device
from robot_learning.drivers.teleop.keyboard import Keyboard
from robot_learning.drivers.teleop.spacemouse import SpaceMouse
from robot_learning.drivers.teleop.webpad import WebPad
from robot_learning.errors import unknown_name
from robot_learning.rig_parts.teleop import TeleopConfig

NAMES = ("keyboard", "gamepad", "spacemouse", "web")


def make_device(name: str, config: TeleopConfig) -> Device:
    """A device, not yet opened; UnknownName where there is none of that name."""
    if name == "keyboard":
        stops = [key for key, word in config.keyboard.words().items() if word == "stop"]
        return Keyboard(config.dead_man_timeout_s, stops=stops)
    if name == "gamepad":
        return Gamepad(config.gamepad.name)
    if name == "spacemouse":
        return SpaceMouse(config.spacemouse, config.dead_man_timeout_s)
    if name == "web":
        return WebPad(config.web, config.dead_man_timeout_s)
    raise unknown_name("input device", name, NAMES)
