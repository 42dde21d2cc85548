"""The keyboard device on a real pseudo-terminal."""

import os
import pty
import select
import signal
import subprocess
import sys
import termios
import time

import pytest

from robot_learning.clock import seconds_to_ns
from robot_learning.drivers.teleop.hands import DeviceLost
from robot_learning.drivers.teleop.keyboard import Keyboard
from robot_learning.drivers.teleop.mapping import Mapping
from robot_learning.errors import ConfigError
from robot_learning.rig_parts.teleop import TeleopConfig
from robot_learning.rig_parts.teleop_inputs import TOOL

PATIENCE_S = 10.0


class Terminal:
    """A pseudo-terminal: what is typed at one end, a keyboard reads at the other."""

    def __init__(self):
        self.typing, end = pty.openpty()
        self.file = os.fdopen(end, "rb", buffering=0)
        self.keyboard = Keyboard(0.4, self.file)
        self.mapping = Mapping(TeleopConfig(), "keyboard")
        self.now_s = 0.0

    def open(self):
        self.mapping.opened(self.keyboard.open())
        self.read()

    def type(self, text):
        os.write(self.typing, text.encode("latin-1"))

    def read(self, at_s=0.0):
        self.now_s = at_s
        return self.mapping.hands(self.keyboard.read(seconds_to_ns(at_s)))

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
    made.open()
    yield made
    made.close()


def tool(hands):
    """What moves the tool."""
    return {name: share for name, share in hands.motions.items() if name in TOOL}


@pytest.mark.parametrize(
    ("key", "motion", "sign"), [("w", "x", 1), ("s", "x", -1), ("a", "y", 1), ("f", "z", -1), ("q", "yaw", 1)]
)
def test_a_motion_key_moves_the_tool_and_is_the_dead_man(terminal, key, motion, sign):
    assert tool(terminal.hold(key)) == {motion: sign}


def test_a_key_that_no_longer_repeats_is_let_go_first_the_axis_then_the_dead_man(terminal):
    terminal.hold("w", at_s=1.0)
    moving, resting, open_ = terminal.read(1.1), terminal.read(1.3), terminal.read(1.5)
    assert tool(moving) == {"x": 1}
    assert not resting.motions
    assert resting.dead_man
    assert not open_.dead_man


def test_a_repeating_key_is_held_without_a_pause(terminal):
    terminal.hold("w", at_s=0.0)
    for k in range(1, 30):
        assert tool(terminal.hold("w", at_s=k * 0.03)) == {"x": 1}


def test_keys_that_are_pressed_together_move_both_axes_and_opposite_ones_cancel(terminal):
    assert tool(terminal.hold("wa")) == {"x": 1, "y": 1}
    assert tool(terminal.hold("s")) == {"y": 1}


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
    assert not hands.motions


def test_arrow_keys_and_unknown_keys_do_nothing_even_in_pieces(terminal):
    assert terminal.words("\x1b[A\x1b[1;5CZ\x1bOPé3g") == ("gripper",)
    terminal.type("\x1b")
    select.select([terminal.file], [], [], PATIENCE_S)
    terminal.read()
    assert terminal.words("[Dg") == ("gripper",)


def test_what_a_terminal_answers_is_no_key_of_ours(terminal):
    assert terminal.words("\x1b]0;title\x07\x1bP1$r0m\x1b\\\x1b[<0;1;1M\x1b[?62cg") == ("gripper",)
    terminal.type("\x1b[" + "1" * 500)  # a sequence that never ends must not swallow the keyboard
    for _ in range(3):
        terminal.read()
    assert terminal.words("wg") == ("gripper",)


def moved_s(terminal, text):
    """How long a key would move the robot after `text` was typed at once, read at 50 Hz."""
    terminal.type(text)
    select.select([terminal.file], [], [], PATIENCE_S)
    now, last = 10.0, 0.0
    for _ in range(500):
        now += 0.02
        if terminal.read(now).motions:
            last = now - 10.0
    return last


def test_a_paste_moves_the_robot_no_farther_than_one_press_of_a_key(terminal):
    press = moved_s(terminal, "w")
    assert 0 < press <= 0.2
    for length in (10, 30, 3000):  # a terminal holds 4096 at most
        assert moved_s(terminal, "w" * length) <= press


def test_what_was_pasted_asks_for_nothing_but_a_stop(terminal):
    assert set(terminal.words("put the pot on the tray, then go home: p t g " * 3 + "g")) == {"stop"}


def test_nothing_typed_is_nothing_done_and_reading_never_waits(terminal):
    hands = terminal.read()
    assert not hands.dead_man
    assert hands.words == ()


def test_the_terminal_is_given_back_as_it_was():
    terminal = Terminal()
    before = termios.tcgetattr(terminal.file)
    terminal.open()
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


_PROGRAM = """
import sys, time
from robot_learning.drivers.teleop.keyboard import Keyboard
Keyboard(0.4).open()
print("open", flush=True)
{then}
"""


@pytest.mark.parametrize(
    ("then", "signal_"),
    [("raise RuntimeError('a bug')", None), ("sys.exit(3)", None), ("time.sleep(600)", signal.SIGINT)],
    ids=["exception", "exit", "interrupt"],
)
def test_a_program_that_forgets_to_close_leaves_its_terminal_as_it_was(then, signal_):
    typing, end = pty.openpty()
    before = termios.tcgetattr(end)
    program = subprocess.Popen(
        [sys.executable, "-c", _PROGRAM.format(then=then)], stdin=end, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
    )
    try:
        assert program.stdout.readline() == b"open\n"
        if signal_:
            program.send_signal(signal_)
        assert program.wait(PATIENCE_S) != 0
        assert termios.tcgetattr(end) == before
    finally:
        program.kill()
        program.wait()
        program.stdout.close()
        os.close(typing)
        os.close(end)
