"""The gamepad device on a virtual controller of SDL's: the same code paths as a real one's."""

import pytest

pygame = pytest.importorskip("pygame", reason="pygame is not installed: pip install robot_learning[deploy]")

from fake_pad import BACK, DEAD_MAN, LEFT, START, STOP, A, FakePad, X, Y  # noqa: E402

from robot_learning.drivers.teleop.gamepad import Gamepad  # noqa: E402
from robot_learning.drivers.teleop.hands import DeviceLost  # noqa: E402
from robot_learning.drivers.teleop.mapping import Mapping  # noqa: E402
from robot_learning.errors import ConfigError  # noqa: E402
from robot_learning.rig_parts.teleop import TeleopConfig  # noqa: E402
from robot_learning.rig_parts.teleop_inputs import TOOL  # noqa: E402


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


@pytest.fixture
def mapping(gamepad):
    made = Mapping(TeleopConfig(response=1.0), "gamepad")
    made.opened(gamepad.open())
    made.hands(gamepad.read(0))
    return made


@pytest.mark.parametrize(
    ("stick", "share", "motion", "value"),
    [
        (1, -1.0, "x", 1), (0, -1.0, "y", 1), (0, 0.55, "y", -0.5), (5, 1.0, "z", 1),
        (4, 1.0, "z", -1), (3, -1.0, "pitch", 1), (2, -1.0, "yaw", 1),
    ],
)  # fmt: skip
def test_sticks_and_triggers_move_the_tool_in_the_base_frame(pad, gamepad, mapping, stick, share, motion, value):
    pad.push(stick, share)
    hands = mapping.hands(gamepad.read(0))
    moved = {name: share for name, share in hands.motions.items() if name in TOOL}
    assert moved == {motion: pytest.approx(value, abs=1e-3)}


def test_the_d_pad_rolls_and_is_an_axis_of_its_own(pad, gamepad, mapping):
    pad.press(LEFT)
    reading = gamepad.read(0)
    assert reading.axes["dpad_x"] == -1
    assert mapping.hands(reading).motions == {"roll": 1}


def test_the_right_shoulder_is_the_dead_man(pad, gamepad, mapping):
    assert not mapping.hands(gamepad.read(0)).dead_man
    pad.press(DEAD_MAN)
    assert mapping.hands(gamepad.read(0)).dead_man
    pad.press(DEAD_MAN, False)
    assert not mapping.hands(gamepad.read(0)).dead_man


def test_a_button_is_a_word_once_per_press(pad, gamepad, mapping):
    for button, word in ((START, "start"), (Y, "success"), (X, "failure"), (BACK, "discard"), (STOP, "stop")):
        pad.press(button)
        assert mapping.hands(gamepad.read(0)).words == (word,)
        assert mapping.hands(gamepad.read(0)).words == ()
        pad.press(button, False)
        assert mapping.hands(gamepad.read(0)).words == ()


def test_the_gripper_needs_the_dead_man(pad, gamepad, mapping):
    pad.press(A)
    assert mapping.hands(gamepad.read(0)).words == ()
    pad.press(A, False)
    gamepad.read(0)
    pad.press(DEAD_MAN)
    pad.press(A)
    assert mapping.hands(gamepad.read(0)).words == ("gripper",)


def test_triggers_rest_at_zero_and_are_buttons_beyond_half_their_travel(pad, gamepad):
    reading = gamepad.read(0)
    assert (reading.axes["left_trigger"], reading.axes["right_trigger"]) == (0, 0)
    pad.push(5, 0.5)  # of the whole axis: three quarters of the trigger's travel
    reading = gamepad.read(0)
    assert reading.axes["right_trigger"] == pytest.approx(0.75, abs=0.01)
    assert reading.held == {"right_trigger"}
    assert reading.pressed == ("right_trigger",)


def test_every_button_has_the_name_that_rig_files_use(pad, gamepad):
    names = ["a", "b", "x", "y", "back", "guide", "start", "left_stick", "right_stick", "left_shoulder",
             "right_shoulder", "dpad_up", "dpad_down", "dpad_left", "dpad_right"]  # fmt: skip
    for button, name in enumerate(names):  # SDL's order
        pad.press(button)
        assert gamepad.read(0).pressed == (name,)
        pad.press(button, False)
        assert gamepad.read(0).held == frozenset()


def test_the_gamepad_is_chosen_by_a_part_of_its_name(pad):
    chosen = Gamepad("virtual")
    chosen.open()
    chosen.close()
    with pytest.raises(ConfigError, match=r"no gamepad is called 'wheel'.*Virtual"):
        Gamepad("wheel").open()


def test_what_is_held_while_it_is_opened_counts_only_once_it_was_let_go(pad):
    pad.push(1, -1.0)
    pad.press(STOP)
    gamepad = Gamepad()
    gamepad.open()
    reading = gamepad.read(0)
    assert not any(reading.axes.values())
    assert reading.pressed == ()
    pad.push(1, 0.0)
    gamepad.read(0)
    pad.push(1, -1.0)
    assert gamepad.read(0).axes["left_y"] == pytest.approx(1.0, abs=1e-3)
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
    assert gamepad.read(0).held == {"right_shoulder"}
    gamepad.close()
    other.unplug()


def test_closing_twice_is_fine(gamepad):
    gamepad.close()
    gamepad.close()
