"""A terminal's keyboard, also over ssh."""

from __future__ import annotations

import contextlib
import os
import re
import select
import sys
import termios
import tty
from typing import Any

import numpy as np

from robot_learning.clock import seconds_to_ns
from robot_learning.drivers.teleop.hands import DeviceLost, Hands
from robot_learning.errors import ConfigError

_HELD_S = 0.15  # a key counts as held for so long after each press or repeat: one tap is a small step
_SEQUENCE = re.compile("\x1b(\\[[0-9;]*[A-Za-z~]|O[A-Za-z]|[^\\[O])")  # an arrow key, say: no key of ours
_MOTIONS = {  # key: axis and direction
    "w": (0, 1.0), "s": (0, -1.0), "a": (1, 1.0), "d": (1, -1.0), "r": (2, 1.0), "f": (2, -1.0),
    "j": (3, 1.0), "l": (3, -1.0), "i": (4, 1.0), "k": (4, -1.0), "q": (5, 1.0), "e": (5, -1.0),
}  # fmt: skip
_WORDS = {
    " ": "stop", "\r": "start", "\n": "start", "y": "success", "n": "failure", "\x7f": "discard", "\x08": "discard",
    "b": "mark", "g": "gripper", "m": "mode", "]": "joint_up", "[": "joint_down", "+": "faster", "=": "faster",
    "-": "slower", "c": "recover", "p": "act", "o": "pause", "u": "resume", "t": "take_over", "h": "hand_back",
}  # fmt: skip


class Keyboard:
    """Keys from a terminal. Holding a motion key is the dead-man; nothing else moves the robot.

    A terminal tells no key-up: a held key repeats, and its last repeat counts for a moment. While several keys are
    held, only the last of them repeats.

    Args:
        dead_man_timeout_s: without any motion key for so long, the dead-man is open.
        file: the terminal; None: standard input.
    """

    help = (
        "hold to move: w s forward, back; a d left, right; r f up, down; j l roll, i k pitch, q e yaw\n"
        "g gripper, + - speed, m mode, [ ] joint; space STOP, c recover\n"
        "Enter start recording; y success, n failure, Backspace discard, b mark\n"
        "a policy: p act, o pause, u resume; t take over, h hand back"
    )

    def __init__(self, dead_man_timeout_s: float, file: Any = None) -> None:
        self._timeout_ns = seconds_to_ns(dead_man_timeout_s)
        self._held_ns = min(seconds_to_ns(_HELD_S), self._timeout_ns)
        self._file = file
        self._before: list[Any] | None = None
        self._pressed: dict[tuple[int, float], int] = {}  # motion: when
        self._rest = ""  # of a sequence that has not come whole

    def open(self) -> None:
        file = self._file or sys.stdin
        if not file.isatty():
            raise ConfigError(
                "the keyboard device reads a terminal, and standard input is none; run teleop_node in a terminal "
                "of its own, or choose device gamepad."
            )
        self._fd = file.fileno()
        with contextlib.suppress(OSError):  # not the terminal that this process belongs to: then it is nobody's
            if os.tcgetpgrp(self._fd) != os.getpgrp():
                raise ConfigError("teleop_node runs in the background of its terminal; bring it to the foreground.")
        self._before = termios.tcgetattr(self._fd)
        tty.setcbreak(self._fd, termios.TCSANOW)  # key by key and without echo; Ctrl-C still ends the process
        self._pressed.clear()
        self._rest = ""

    def read(self, now_ns: int) -> Hands:
        words = []
        for key in self._keys():
            if key in _MOTIONS:
                self._pressed[_MOTIONS[key]] = now_ns
            elif key in _WORDS:
                words.append(_WORDS[key])
            if _WORDS.get(key) == "stop":
                self._pressed.clear()
        axes = np.zeros(6)
        for (axis, direction), when in self._pressed.items():
            if now_ns - when < self._held_ns:
                axes[axis] += direction
        dead_man = any(now_ns - when < self._timeout_ns for when in self._pressed.values())
        return Hands(axes, dead_man, tuple(words))

    def close(self) -> None:
        if self._before is None:
            return
        before, self._before = self._before, None
        with contextlib.suppress(OSError, termios.error):  # the terminal may be gone
            termios.tcsetattr(self._fd, termios.TCSADRAIN, before)

    def _keys(self) -> str:
        """Keys pressed since the last reading; those that send sequences are dropped whole."""
        try:
            ready, _, _ = select.select([self._fd], [], [], 0)
            data = os.read(self._fd, 1024) if ready else None
        except OSError:
            data = b""
        if data is None:
            return ""
        if not data:
            raise DeviceLost("the keyboard's terminal is closed.")
        keys = _SEQUENCE.sub("", self._rest + data.decode("ascii", "ignore"))
        keys, escape, rest = keys.partition("\x1b")
        self._rest = escape + rest
        return keys
