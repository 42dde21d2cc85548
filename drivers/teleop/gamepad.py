"""Gamepads, through SDL's game controllers: the same buttons whoever made it."""

from __future__ import annotations

import os
from collections.abc import Collection
from typing import Any

import numpy as np

from robot_learning.drivers.teleop.hands import DeviceLost, Reading
from robot_learning.errors import ConfigError
from robot_learning.rig_parts.teleop_inputs import GAMEPAD

_FULL = 32767
_REST = 0.2  # an axis counts once it has been nearer to rest than this: some report half travel at first
_PULLED = 0.5  # a trigger is a button, too, from here on


class Gamepad:
    """The first gamepad whose name has `name` in it, whatever the case.

    Sticks away from the person and to the right are positive, the d-pad up and right, triggers from 0 to 1.
    """

    def __init__(self, name: str = "") -> None:
        self._name = name
        self._pad: Any = None

    def open(self) -> Collection[str]:
        # Neither a window nor its focus is needed.
        os.environ.setdefault("SDL_VIDEODRIVER", "dummy")
        os.environ.setdefault("SDL_JOYSTICK_ALLOW_BACKGROUND_EVENTS", "1")
        os.environ.setdefault("PYGAME_HIDE_SUPPORT_PROMPT", "1")
        try:
            import pygame
            from pygame._sdl2 import controller
        except ImportError:
            raise ConfigError("gamepads need pygame; run: pip install 'robot_learning[deploy]'.") from None
        pygame.display.init()
        controller.init()
        pygame.event.pump()
        indices = [i for i in range(controller.get_count()) if controller.is_controller(i)]
        names = {i: controller.name_forindex(i) or "nameless" for i in indices}
        if not names:
            raise ConfigError(
                "no gamepad is connected, or it may not be read; plug it in, and see that this user may read "
                "/dev/input/event* (usually the group 'input')."
            )
        found = [i for i, name in names.items() if self._name.lower() in name.lower()]
        if not found:
            raise ConfigError(
                f"no gamepad is called '{self._name}' (teleop.gamepad.name); connected: {', '.join(names.values())}."
            )
        self._pad, self._pump = controller.Controller(found[0]), pygame.event.pump
        self._buttons = {
            "a": pygame.CONTROLLER_BUTTON_A,
            "b": pygame.CONTROLLER_BUTTON_B,
            "x": pygame.CONTROLLER_BUTTON_X,
            "y": pygame.CONTROLLER_BUTTON_Y,
            "back": pygame.CONTROLLER_BUTTON_BACK,
            "guide": pygame.CONTROLLER_BUTTON_GUIDE,
            "start": pygame.CONTROLLER_BUTTON_START,
            "left_stick": pygame.CONTROLLER_BUTTON_LEFTSTICK,
            "right_stick": pygame.CONTROLLER_BUTTON_RIGHTSTICK,
            "left_shoulder": pygame.CONTROLLER_BUTTON_LEFTSHOULDER,
            "right_shoulder": pygame.CONTROLLER_BUTTON_RIGHTSHOULDER,
            "dpad_up": pygame.CONTROLLER_BUTTON_DPAD_UP,
            "dpad_down": pygame.CONTROLLER_BUTTON_DPAD_DOWN,
            "dpad_left": pygame.CONTROLLER_BUTTON_DPAD_LEFT,
            "dpad_right": pygame.CONTROLLER_BUTTON_DPAD_RIGHT,
        }
        self._axes = (
            pygame.CONTROLLER_AXIS_LEFTX, pygame.CONTROLLER_AXIS_LEFTY,
            pygame.CONTROLLER_AXIS_RIGHTX, pygame.CONTROLLER_AXIS_RIGHTY,
            pygame.CONTROLLER_AXIS_TRIGGERLEFT, pygame.CONTROLLER_AXIS_TRIGGERRIGHT,
        )  # fmt: skip
        self._down = frozenset(GAMEPAD.buttons)  # what is held at first was not pressed for us
        self._rested = np.zeros(len(self._axes), dtype=bool)
        return GAMEPAD.buttons

    def read(self, now_ns: int) -> Reading:
        if self._pad is None:
            raise DeviceLost("the gamepad is unplugged.")
        self._pump()
        if not self._pad.attached():
            self._pad = None
            raise DeviceLost("the gamepad is unplugged.")
        travel = np.array([self._pad.get_axis(axis) for axis in self._axes]) / _FULL
        self._rested |= np.abs(travel) < _REST
        left_x, left_y, right_x, right_y, left, right = np.clip(np.where(self._rested, travel, 0.0), -1.0, 1.0).tolist()
        held = {name for name, button in self._buttons.items() if self._pad.get_button(button)}
        held |= {name for name, pull in (("left_trigger", left), ("right_trigger", right)) if pull > _PULLED}
        axes = {
            "left_x": left_x, "left_y": -left_y, "right_x": right_x, "right_y": -right_y,
            "left_trigger": left, "right_trigger": right, "triggers": right - left,
            "dpad_x": float("dpad_right" in held) - float("dpad_left" in held),
            "dpad_y": float("dpad_up" in held) - float("dpad_down" in held),
        }  # fmt: skip
        pressed = tuple(name for name in GAMEPAD.buttons if name in held - self._down)
        self._down = frozenset(held)
        return Reading(axes, self._down, pressed)

    def close(self) -> None:
        if self._pad is not None:
            self._pad.quit()
            self._pad = None
