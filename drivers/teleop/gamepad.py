"""Gamepads, through SDL's game controllers: the same buttons whoever made it."""

from __future__ import annotations

import os
from typing import Any

import numpy as np

from robot_learning.drivers.teleop.hands import DeviceLost, Hands
from robot_learning.errors import ConfigError

_FULL = 32767
_REST = 0.2  # an axis counts once it has been nearer to rest than this: some report half travel at first


class Gamepad:
    """The first gamepad that is found. Its right shoulder button is the dead-man."""

    help = (
        "hold the RIGHT SHOULDER to move: left stick forward, back, left, right; triggers up (right), down\n"
        "(left); right stick pitch and yaw; d-pad left and right roll, up and down joint\n"
        "A gripper, left stick pressed mode; LEFT SHOULDER stop, Guide recover\n"
        "Start record; Y success, X failure, Back discard; B take over, right stick pressed hand back"
    )

    def __init__(self) -> None:
        self._pad: Any = None

    def open(self) -> None:
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
        found = [i for i in range(controller.get_count()) if controller.is_controller(i)]
        if not found:
            raise ConfigError(
                "no gamepad is connected, or it may not be read; plug it in, and see that this user may read "
                "/dev/input/event* (usually the group 'input')."
            )
        self._pad, self._controller, self._pump = controller.Controller(found[0]), controller, pygame.event.pump
        self._buttons = {
            pygame.CONTROLLER_BUTTON_A: "gripper",
            pygame.CONTROLLER_BUTTON_B: "take_over",
            pygame.CONTROLLER_BUTTON_X: "failure",
            pygame.CONTROLLER_BUTTON_Y: "success",
            pygame.CONTROLLER_BUTTON_BACK: "discard",
            pygame.CONTROLLER_BUTTON_START: "start",
            pygame.CONTROLLER_BUTTON_LEFTSHOULDER: "stop",
            pygame.CONTROLLER_BUTTON_LEFTSTICK: "mode",
            pygame.CONTROLLER_BUTTON_RIGHTSTICK: "hand_back",
            pygame.CONTROLLER_BUTTON_GUIDE: "recover",
            pygame.CONTROLLER_BUTTON_DPAD_UP: "joint_up",
            pygame.CONTROLLER_BUTTON_DPAD_DOWN: "joint_down",
        }
        self._dead_man = pygame.CONTROLLER_BUTTON_RIGHTSHOULDER
        self._roll = pygame.CONTROLLER_BUTTON_DPAD_LEFT, pygame.CONTROLLER_BUTTON_DPAD_RIGHT
        self._sticks = (
            pygame.CONTROLLER_AXIS_LEFTX, pygame.CONTROLLER_AXIS_LEFTY,
            pygame.CONTROLLER_AXIS_RIGHTX, pygame.CONTROLLER_AXIS_RIGHTY,
            pygame.CONTROLLER_AXIS_TRIGGERLEFT, pygame.CONTROLLER_AXIS_TRIGGERRIGHT,
        )  # fmt: skip
        self._down = dict.fromkeys(self._buttons, True)  # what is held at first was not pressed for us
        self._rested = np.zeros(len(self._sticks), dtype=bool)

    def read(self, now_ns: int) -> Hands:
        if self._pad is None:
            raise DeviceLost("the gamepad is unplugged.")
        self._pump()
        if not self._pad.attached():
            self._pad = None
            raise DeviceLost("the gamepad is unplugged.")
        travel = np.array([self._pad.get_axis(axis) for axis in self._sticks]) / _FULL
        self._rested |= np.abs(travel) < _REST
        left_x, left_y, right_x, right_y, down, up = np.clip(np.where(self._rested, travel, 0.0), -1.0, 1.0)
        roll = float(self._pad.get_button(self._roll[0])) - float(self._pad.get_button(self._roll[1]))
        axes = np.array([-left_y, -left_x, up - down, roll, -right_y, -right_x])
        dead_man = bool(self._pad.get_button(self._dead_man))
        words = []
        for button, word in self._buttons.items():
            down_now = bool(self._pad.get_button(button))
            if down_now and not self._down[button] and (word != "gripper" or dead_man):
                words.append(word)
            self._down[button] = down_now
        return Hands(axes, dead_man, tuple(words))

    def close(self) -> None:
        if self._pad is not None:
            self._pad.quit()
            self._pad = None
