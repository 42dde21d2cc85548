"""The gamepad device on a virtual controller of SDL's: the same code paths as a real one's."""

import numpy as np
import pytest

pygame = pytest.importorskip("pygame", reason="pygame is not installed: pip install robot_learning[deploy]")

from fake_pad import BACK, DEAD_MAN, LEFT, START, STOP, A, FakePad, X, Y  # noqa: E402

from robot_learning.drivers.teleop.gamepad import Gamepad  # noqa: E402
from robot_learning.drivers.teleop.hands import DeviceLost  # noqa: E402
from robot_learning.errors import ConfigError  # noqa: E402


@pytest.fixture
def pad(monkeypatch):
    monkeypatch.setenv("SDL_VIDEODRIVER", "dummy")
    monkeypatch.setenv("SDL_JOYSTICK_ALLOW_BACKGROUND_EVENTS", "1")
    from pygame._sdl2 import controller

    pygame.display.init()
    controller.init()
    made = FakePad()
    for trigger in (4, 5):
        made.push(trigger, -1.0)  # a trigger's rest is its axis's lower end
    yield made
    made.unplug()


@pytest.fixture
def gamepad(pad):
    made = Gamepad()
    made.open()
    made.read(0)
    yield made
    made.close()


@pytest.mark.parametrize(
    ("stick", "share", "axis", "value"),
    [
        (1, -1.0, 0, 1), (0, -1.0, 1, 1), (0, 0.5, 1, -0.5), (5, 1.0, 2, 1),
        (4, 1.0, 2, -1), (3, -1.0, 4, 1), (2, -1.0, 5, 1),
    ],
)  # fmt: skip
def test_sticks_and_triggers_are_axes_of_the_base_frame(pad, gamepad, stick, share, axis, value):
    pad.push(stick, share)
    np.testing.assert_allclose(gamepad.read(0).axes, value * np.eye(6)[axis], atol=1e-3)


def test_the_d_pad_rolls(pad, gamepad):
    pad.press(LEFT)
    np.testing.assert_allclose(gamepad.read(0).axes, np.eye(6)[3], atol=1e-3)


def test_the_right_shoulder_is_the_dead_man(pad, gamepad):
    assert not gamepad.read(0).dead_man
    pad.press(DEAD_MAN)
    assert gamepad.read(0).dead_man
    pad.press(DEAD_MAN, False)
    assert not gamepad.read(0).dead_man


def test_a_button_is_a_word_once_per_press(pad, gamepad):
    for button, word in ((START, "start"), (Y, "success"), (X, "failure"), (BACK, "discard"), (STOP, "stop")):
        pad.press(button)
        assert gamepad.read(0).words == (word,)
        assert gamepad.read(0).words == ()
        pad.press(button, False)
        assert gamepad.read(0).words == ()


def test_the_gripper_needs_the_dead_man(pad, gamepad):
    pad.press(A)
    assert gamepad.read(0).words == ()
    pad.press(A, False)
    gamepad.read(0)
    pad.press(DEAD_MAN)
    pad.press(A)
    assert gamepad.read(0).words == ("gripper",)


def test_what_is_held_while_it_is_opened_counts_only_once_it_was_let_go(pad):
    pad.push(1, -1.0)
    pad.press(STOP)
    gamepad = Gamepad()
    gamepad.open()
    hands = gamepad.read(0)
    assert not hands.axes.any()
    assert hands.words == ()
    pad.push(1, 0.0)
    gamepad.read(0)
    pad.push(1, -1.0)
    assert gamepad.read(0).axes[0] == pytest.approx(1.0, abs=1e-3)
    gamepad.close()


def test_an_unplugged_gamepad_is_lost_and_can_be_opened_again_once_it_is_back(pad, gamepad):
    pad.unplug()
    for _ in range(2):
        with pytest.raises(DeviceLost, match="unplugged"):
            gamepad.read(0)
    with pytest.raises(ConfigError, match="no gamepad"):
        gamepad.open()
    other = FakePad()
    gamepad.open()
    other.press(DEAD_MAN)
    assert gamepad.read(0).dead_man
    gamepad.close()
    other.unplug()


def test_closing_twice_is_fine(gamepad):
    gamepad.close()
    gamepad.close()
