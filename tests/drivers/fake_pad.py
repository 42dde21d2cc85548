"""A virtual controller of SDL's own, attached to this process: pygame can't tell it from a real one."""

from __future__ import annotations

import ctypes
from pathlib import Path

import pygame
import pytest

GAMECONTROLLER, AXES, BUTTONS = 1, 6, 15
FULL = 32767
# SDL's own order, which a virtual controller has as it is.
A, X, Y, BACK, START, STOP, DEAD_MAN, LEFT = 0, 2, 3, 4, 6, 9, 10, 13


def sdl():
    """The SDL library that pygame loaded."""
    folder = Path(pygame.__file__).parents[1] / "pygame.libs"
    found = sorted(folder.glob("libSDL2-2*"))
    if not found:
        pytest.skip("pygame's own SDL is not there to attach a virtual controller to")
    library = ctypes.CDLL(str(found[0]))
    library.SDL_JoystickOpen.restype = ctypes.c_void_p
    return library


class FakePad:
    """A controller that is held by no hand."""

    def __init__(self):
        self._sdl = sdl()
        self._index = self._sdl.SDL_JoystickAttachVirtual(GAMECONTROLLER, AXES, BUTTONS, 0)
        assert self._index >= 0
        self._handle = ctypes.c_void_p(self._sdl.SDL_JoystickOpen(self._index))

    def push(self, axis, share):
        self._sdl.SDL_JoystickSetVirtualAxis(self._handle, axis, ctypes.c_int16(round(share * FULL)))

    def press(self, button, down=True):
        self._sdl.SDL_JoystickSetVirtualButton(self._handle, button, int(down))

    def unplug(self):
        if self._index >= 0:
            self._sdl.SDL_JoystickClose(self._handle)
            self._sdl.SDL_JoystickDetachVirtual(self._index)
            self._index = -1
