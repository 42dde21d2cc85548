"""A terminal's keyboard, also over ssh."""

from __future__ import annotations

import atexit
import contextlib
import os
import re
import select
import sys
import termios
import tty
from collections.abc import Collection
from typing import Any

from robot_learning.clock import seconds_to_ns
from robot_learning.drivers.teleop.hands import DeviceLost, Reading
from robot_learning.errors import ConfigError
from robot_learning.rig_parts.teleop_inputs import KEY_AXES, KEY_NAMES, KEYBOARD

_HELD_S = 0.15  # a key counts as held for so long after each press or repeat: one tap is a small step
_CHUNK, _CHUNKS = 1024, 64  # of what is read at once, at most
_PASTE = 16  # more keys than this at once were not typed: a held key repeats 30 times a second at most
# An arrow key, say, or what a terminal answers: no key of ours.
_SEQUENCE = re.compile("\x1b(\\[[0-9;?<]*[A-Za-z~]|O[A-Za-z]|[\\]PX^_][^\x07\x1b]*(?:\x07|\x1b\\\\)|[^\\[O\\]PX^_])")
_UNFINISHED = 64  # a sequence longer than this is none
_MOTIONS = {key: (pair, 1.0 if key == pair[0] else -1.0) for pair in KEY_AXES for key in pair}


class Keyboard:
    """Keys from a terminal. Holding a motion key is the dead-man; nothing else moves the robot.

    A terminal tells no key-up: a held key repeats, and its last repeat counts for a moment. While several keys are
    held, only the last of them repeats. What was pasted moves nothing and asks for nothing but a stop.

    Args:
        dead_man_timeout_s: without any motion key for so long, the dead-man is open.
        file: the terminal; None: standard input.
        stops: keys after which the dead-man is open at once.
    """

    def __init__(self, dead_man_timeout_s: float, file: Any = None, stops: Collection[str] = ("space",)) -> None:
        self._timeout_ns = seconds_to_ns(dead_man_timeout_s)
        self._held_ns = min(seconds_to_ns(_HELD_S), self._timeout_ns)
        self._file, self._stops = file, frozenset(stops)
        self._before: list[Any] | None = None
        self._pressed: dict[tuple[str, float], int] = {}  # axis and direction: when
        self._rest = ""  # of a sequence that has not come whole

    def open(self) -> Collection[str]:
        file = self._file or sys.stdin
        if not file.isatty():
            raise ConfigError(
                "the keyboard device reads a terminal, and standard input is none; run teleop_node in a terminal "
                "of its own, or choose device gamepad, spacemouse or web."
            )
        self._fd = file.fileno()
        with contextlib.suppress(OSError):  # not the terminal that this process belongs to: then it is nobody's
            if os.tcgetpgrp(self._fd) != os.getpgrp():
                raise ConfigError("teleop_node runs in the background of its terminal; bring it to the foreground.")
        self._before = termios.tcgetattr(self._fd)
        tty.setcbreak(self._fd, termios.TCSANOW)  # key by key and without echo; Ctrl-C still ends the process
        atexit.register(self.close)  # whatever ends the process, its terminal must be usable
        self._pressed.clear()
        self._rest = ""
        return KEYBOARD.buttons

    def read(self, now_ns: int) -> Reading:
        keys = self._keys()
        if len(keys) > _PASTE:
            keys = [key for key in keys if key in self._stops]
        pressed = []
        for key in keys:
            if key in self._stops:
                self._pressed.clear()
            if key in _MOTIONS:
                self._pressed[_MOTIONS[key]] = now_ns
            else:
                pressed.append(key)
        axes: dict[str, float] = {}
        for (axis, direction), when in self._pressed.items():
            if now_ns - when < self._held_ns:
                axes[axis] = axes.get(axis, 0.0) + direction
        touched = any(now_ns - when < self._timeout_ns for when in self._pressed.values())
        return Reading(axes, pressed=tuple(pressed), touched=touched)

    def close(self) -> None:
        if self._before is None:
            return
        before, self._before = self._before, None
        atexit.unregister(self.close)
        with contextlib.suppress(OSError, termios.error):  # the terminal may be gone
            termios.tcsetattr(self._fd, termios.TCSADRAIN, before)

    def _keys(self) -> list[str]:
        """Keys pressed since the last reading, by name; those that send sequences are dropped whole."""
        data = b""
        for _ in range(_CHUNKS):
            try:
                ready, _, _ = select.select([self._fd], [], [], 0)
                more = os.read(self._fd, _CHUNK) if ready else None
            except OSError:
                more = b""
            if more is None:
                break
            if not more:
                raise DeviceLost("the keyboard's terminal is closed.")
            data += more
        keys = _SEQUENCE.sub("", self._rest + data.decode("ascii", "ignore"))
        keys, escape, rest = keys.partition("\x1b")
        self._rest = escape + rest if len(rest) < _UNFINISHED else ""
        return [KEY_NAMES.get(key, key) for key in keys]
