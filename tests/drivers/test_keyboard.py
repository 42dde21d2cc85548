"""The keyboard device on a real pseudo-terminal."""

import os
import pty
import select
import termios
import time

import numpy as np
import pytest

from robot_learning.clock import seconds_to_ns
from robot_learning.drivers.teleop.hands import DeviceLost
from robot_learning.drivers.teleop.keyboard import Keyboard
from robot_learning.errors import ConfigError

PATIENCE_S = 10.0


class Terminal:
    """A pseudo-terminal: what is typed at one end, a keyboard reads at the other."""

    def __init__(self):
        self.typing, end = pty.openpty()
        self.file = os.fdopen(end, "rb", buffering=0)
        self.keyboard = Keyboard(0.4, self.file)
        self.now_s = 0.0

    def type(self, text):
        os.write(self.typing, text.encode("latin-1"))

    def read(self, at_s=0.0):
        self.now_s = at_s
        return self.keyboard.read(seconds_to_ns(at_s))

    def words(self, text):
        """Type, and the words that come of it; a terminal passes on what is typed in its own time."""
        self.type(text)
        end, found = time.monotonic() + PATIENCE_S, ()
        while not found and time.monotonic() < end:
            found += self.read().words
        return found

    def hold(self, text, at_s=0.0):
        """Type, and the hands as soon as the dead-man is held."""
        self.type(text)
        end = time.monotonic() + PATIENCE_S
        while not (hands := self.read(at_s)).dead_man:
            assert time.monotonic() < end
        return hands

    def close(self):
        self.keyboard.close()
        self.file.close()


@pytest.fixture
def terminal():
    made = Terminal()
    made.keyboard.open()
    yield made
    made.close()


@pytest.mark.parametrize(("key", "axis", "sign"), [("w", 0, 1), ("s", 0, -1), ("a", 1, 1), ("f", 2, -1), ("q", 5, 1)])
def test_a_motion_key_is_an_axis_and_the_dead_man(terminal, key, axis, sign):
    hands = terminal.hold(key)
    np.testing.assert_array_equal(hands.axes, sign * np.eye(6)[axis])


def test_a_key_that_no_longer_repeats_is_let_go_first_the_axis_then_the_dead_man(terminal):
    terminal.hold("w", at_s=1.0)
    moving, resting, open_ = terminal.read(1.1), terminal.read(1.3), terminal.read(1.5)
    assert moving.axes[0] == 1
    assert not resting.axes.any()
    assert resting.dead_man
    assert not open_.dead_man


def test_a_repeating_key_is_held_without_a_pause(terminal):
    terminal.hold("w", at_s=0.0)
    for k in range(1, 30):
        assert terminal.hold("w", at_s=k * 0.03).axes[0] == 1


def test_keys_are_words(terminal):
    assert terminal.words("g") == ("gripper",)
    assert terminal.words("\r") == ("start",)
    assert terminal.words("y") == ("success",)
    assert terminal.words("\x7f") == ("discard",)
    assert terminal.words("t") == ("take_over",)
    assert terminal.words("pou") == ("act", "pause", "resume")


def test_the_space_bar_stops_and_opens_the_dead_man(terminal):
    terminal.hold("w")
    terminal.type(" ")
    end = time.monotonic() + PATIENCE_S
    while not (hands := terminal.read()).words:
        assert time.monotonic() < end
    assert hands.words == ("stop",)
    assert not hands.dead_man
    assert not hands.axes.any()


def test_arrow_keys_and_unknown_keys_do_nothing_even_in_pieces(terminal):
    assert terminal.words("\x1b[A\x1b[1;5CZ\x1bOPé3g") == ("gripper",)
    terminal.type("\x1b")
    select.select([terminal.file], [], [], PATIENCE_S)
    terminal.read()
    assert terminal.words("[Dg") == ("gripper",)


def test_nothing_typed_is_nothing_done_and_reading_never_waits(terminal):
    hands = terminal.read()
    assert not hands.dead_man
    assert hands.words == ()


def test_the_terminal_is_given_back_as_it_was():
    terminal = Terminal()
    before = termios.tcgetattr(terminal.file)
    terminal.keyboard.open()
    assert not termios.tcgetattr(terminal.file)[3] & termios.ECHO
    assert termios.tcgetattr(terminal.file)[3] & termios.ISIG  # Ctrl-C still ends
    terminal.keyboard.close()
    assert termios.tcgetattr(terminal.file) == before
    terminal.keyboard.close()
    terminal.file.close()


def test_a_closed_terminal_is_a_lost_device(terminal):
    os.close(terminal.typing)
    with pytest.raises(DeviceLost, match="closed"):
        terminal.read()


def test_without_a_terminal_it_refuses_in_a_sentence(tmp_path):
    with open(tmp_path / "file", "w+b") as file, pytest.raises(ConfigError, match="terminal"):
        Keyboard(0.4, file).open()
