"""What the rig file's section `teleop` makes of a device's readings."""

import pytest
import yaml

from robot_learning.drivers.teleop.hands import Reading
from robot_learning.drivers.teleop.mapping import Mapping
from robot_learning.errors import ConfigError, UnknownName
from robot_learning.rig import parse_rig, rig_path
from robot_learning.rig_parts.teleop import TeleopConfig
from robot_learning.rig_parts.teleop_inputs import GAMEPAD, KEYBOARD, SPACEMOUSE, WEB, WORDS

DEAD_MAN = frozenset({"right_shoulder"})


def rig(teleop, **robot):
    """A rig with this section."""
    content = yaml.safe_load(rig_path("panda_sim").read_text())
    content["teleop"] = teleop
    content["robot"] |= robot
    return parse_rig(content, "rig.yaml")


def gamepad(rested=True, response=1.0, **section):
    mapping = Mapping(rig({"response": response, "gamepad": section}).teleop, "gamepad")
    mapping.opened(GAMEPAD.buttons)
    if rested:
        mapping.hands(Reading())
    return mapping


def test_a_motion_comes_from_the_axis_that_the_rig_file_names_with_its_sign_and_scale():
    mapping = gamepad(axes={"x": "-right_y", "z": {"axis": "left_trigger", "scale": 0.5}, "roll": "none"})
    hands = mapping.hands(Reading({"right_y": 1.0, "left_trigger": 1.0, "dpad_x": 1.0, "left_y": 0.0}, DEAD_MAN))
    assert {m: hands.motions.get(m) for m in ("x", "z", "roll")} == {"x": -1.0, "z": 0.5, "roll": None}


def test_a_motion_can_come_from_two_buttons():
    mapping = gamepad(axes={"roll": {"buttons": ["x", "b"], "scale": 0.5}})
    assert mapping.hands(Reading(held=DEAD_MAN | {"b"})).motions == {"roll": 0.5}
    assert mapping.hands(Reading(held=DEAD_MAN | {"x"}, pressed=("x",))).motions == {"roll": -0.5}
    assert mapping.hands(Reading(held=DEAD_MAN | {"x"}, pressed=("x",))).words == ()  # it no longer says failure


def test_dead_zone_and_response_are_those_of_the_axis_then_the_device_then_the_section():
    section = {"dead_zone": 0.2, "axes": {"y": {"axis": "left_x", "dead_zone": 0.4, "response": 1.0}}}
    mapping = gamepad(response=2.0, **section)
    motions = mapping.hands(Reading({"left_y": 0.6, "left_x": 0.7, "right_x": -0.2})).motions
    assert motions["x"] == pytest.approx(0.25)  # half of what is left of the travel, squared
    assert motions["y"] == pytest.approx(0.5)
    assert "yaw" not in motions


def test_buttons_say_what_the_rig_file_says_and_the_rest_what_they_always_say():
    mapping = gamepad(buttons={"a": "mark", "guide": "none"})
    words = mapping.hands(Reading(pressed=("a", "guide", "start"), held=DEAD_MAN)).words
    assert words == ("mark", "start")


def test_while_the_clutch_is_held_hands_move_nothing_nor_after_it_before_they_have_been_at_rest():
    mapping = gamepad(clutch="left_shoulder", buttons={"back": "stop"})
    pushed, clutch = {"left_y": 1.0}, DEAD_MAN | {"left_shoulder"}
    assert mapping.hands(Reading(pushed, DEAD_MAN)).motions["x"] == 1
    held = mapping.hands(Reading(pushed, clutch, ("left_shoulder",)))
    assert held.dead_man  # so the robot is held, and not given up
    assert not held.motions
    assert not held.words
    for _ in range(3):
        assert not mapping.hands(Reading(pushed, DEAD_MAN)).motions
    assert mapping.hands(Reading({"left_x": -1.0}, DEAD_MAN)).motions == {"y": 1, "base_turn": 1}
    assert mapping.hands(Reading(pushed, DEAD_MAN)).motions["x"] == 1


def test_what_is_off_its_rest_when_the_device_is_opened_counts_once_it_was_at_rest():
    mapping = gamepad(rested=False)
    assert not mapping.hands(Reading({"left_y": 0.3}, DEAD_MAN)).motions
    mapping.hands(Reading({"left_y": 0.0}, DEAD_MAN))
    assert mapping.hands(Reading({"left_y": 0.3}, DEAD_MAN)).motions["x"] > 0


def test_the_gripper_follows_a_trigger_where_the_rig_file_says_so():
    mapping = gamepad(gripper="right_trigger", axes={"z": "dpad_y"})
    assert mapping.hands(Reading({"right_trigger": 0.4}, DEAD_MAN)).closed == 0.4
    assert gamepad().hands(Reading({"right_trigger": 0.4}, DEAD_MAN)).closed is None


def test_another_dead_man_can_be_chosen_also_a_trigger():
    mapping = gamepad(dead_man="left_trigger", axes={"z": "dpad_y"})
    assert mapping.hands(Reading(held=frozenset({"left_trigger"}))).dead_man
    assert not mapping.hands(Reading(held=DEAD_MAN)).dead_man


def spacemouse(has, **section):
    mapping = Mapping(TeleopConfig.model_validate({"spacemouse": section}), "spacemouse")
    mapping.opened(has)
    return mapping


def test_a_spacemouse_moves_nothing_unless_a_button_is_held_which_one_depends_on_what_it_has():
    pushed = {"x": 1.0}
    for buttons, dead_man in (
        (("left", "right"), "left"),
        (("fit", "menu", "ctrl"), "menu"),
        (("esc", "ctrl"), "ctrl"),
    ):
        mapping = spacemouse(buttons)
        assert not mapping.hands(Reading(pushed)).dead_man
        assert mapping.hands(Reading(pushed, frozenset({dead_man}))).dead_man


def test_with_the_cap_as_dead_man_pushing_it_out_of_its_dead_zone_is_enough():
    mapping = spacemouse(("left", "right"), dead_man="cap", dead_zone=0.2)
    assert not mapping.hands(Reading({"x": 0.19})).dead_man
    assert mapping.hands(Reading({"x": 0.21})).dead_man
    assert mapping.hands(Reading(pressed=("right",))).words == ("gripper",)  # nobody can hold a cap and press


def test_a_spacemouse_without_what_the_rig_file_names_is_refused_when_it_is_opened():
    with pytest.raises(ConfigError, match=r"names the button 'btn_3'.*did you mean 'btn_[12]'.*It has: btn_1, btn_2"):
        spacemouse(("btn_1", "btn_2"), buttons={"btn_3": "mark"})
    with pytest.raises(
        ConfigError, match=r"no button that could be its dead-man; give teleop\.spacemouse\.dead_man: cap"
    ):
        spacemouse(())
    assert spacemouse((), dead_man="cap").hands(Reading({"x": 1.0})).dead_man


@pytest.mark.parametrize(
    ("section", "says"),
    [
        ({"gamepad": {"axes": {"x": "left_yy"}}}, "unknown axis for x 'left_yy'; did you mean 'left_y'"),
        ({"gamepad": {"axes": {"rol": "dpad_x"}}}, "'rol' is neither a motion nor a joint; did you mean 'roll'"),
        ({"gamepad": {"axes": {"x": {"axis": "left_y", "scale": 2}}}}, "less than or equal to 1"),
        (
            {"gamepad": {"axes": {"x": {"axis": "left_y", "scale": 0}}}},
            "an axis that moves nothing is written as 'none'",
        ),
        ({"gamepad": {"axes": {"x": {"axis": "left_y", "buttons": ["a", "b"]}}}}, "give either an axis or two buttons"),
        ({"gamepad": {"axes": {"x": {"buttons": ["a", "bb"]}}}}, "unknown button for x 'bb'"),
        ({"gamepad": {"axes": {"x": {"axs": "left_y"}}}}, "did you mean 'axis'"),
        ({"gamepad": {"axes": {"panda_joint1": "left_y"}}}, "is a joint, and the rig takes tools' targets"),
        ({"gamepad": {"axes": {"base_turn": "left_y"}}}, "moves a base, and robot.base is false"),
        ({"gamepad": {"buttons": {"a": "grippr"}}}, "did you mean 'gripper'"),
        ({"gamepad": {"buttons": {"aa": "gripper"}}}, "unknown button 'aa'"),
        ({"gamepad": {"buttons": {"left_shoulder": "mark"}}}, "no button says 'stop' any more"),
        ({"gamepad": {"buttons": {"dpad_left": "mark"}}}, "the button dpad_left is part of what moves roll"),
        ({"gamepad": {"dead_man": "a", "buttons": {"a": "mark"}}}, "a can't be the dead-man and the word mark"),
        ({"gamepad": {"dead_man": "a", "clutch": "a"}}, "a can't be the dead-man and the clutch"),
        ({"gamepad": {"dead_man": "cap"}}, "unknown dead_man 'cap'"),
        ({"gamepad": {"gripper": "right_trigger"}}, "right_trigger is the gripper, and part of what moves z"),
        ({"gamepad": {"gripper": "left_y"}}, "unknown gripper 'left_y'.*Allowed: toggle, left_trigger, right_trigger"),
        ({"keyboard": {"clutch": "v"}}, "needs no clutch"),
        ({"keyboard": {"buttons": {"w": "mark"}}}, "the button w is part of what moves"),
        ({"spacemouse": {"dead_man": "capp"}}, "did you mean 'cap'"),
        ({"web": {"host": "localhost"}}, "no IPv4 address"),
        ({"spacemose": {}}, "did you mean 'spacemouse'"),
        ({"mode": "base"}, "teleop.mode: base is for rigs with robot.base: true"),
        ({"device": "joystick"}, "'keyboard', 'gamepad', 'spacemouse', 'web' or 'scripted'"),
    ],
)
def test_a_mapping_that_cannot_be_meant_is_refused_in_a_sentence(section, says):
    with pytest.raises(ConfigError, match=says):
        rig(section)


def test_a_device_that_no_hands_hold_has_no_mapping():
    with pytest.raises(UnknownName, match=r"'scriptd'.*keyboard"):
        Mapping(TeleopConfig(), "scriptd")


@pytest.mark.parametrize("inputs", [KEYBOARD, GAMEPAD, SPACEMOUSE, WEB])
def test_what_a_device_does_unasked_is_possible_and_can_always_be_stopped(inputs):
    assert set(inputs.words) <= set(inputs.buttons)
    assert set(inputs.words.values()) <= set(WORDS)
    assert {axis.removeprefix("-") for axis in inputs.moves.values()} <= set(inputs.axes)
    assert "stop" in inputs.words.values()
    own = {part for axis in inputs.moves.values() for part in inputs.axes[axis.removeprefix("-")]}
    assert not own & set(inputs.words)
    assert not set(inputs.dead_man[:2]) & set(inputs.words)


@pytest.mark.parametrize("device", ["keyboard", "gamepad", "spacemouse", "web"])
def test_the_operator_is_told_what_does_what(device):
    mapping = Mapping(TeleopConfig(), device)
    mapping.opened(TeleopConfig().devices()[device].inputs.buttons)
    told = mapping.help()
    assert "dead-man: " in told
    assert "motions: x" in told
    if device != "web":
        assert "stop" in told


def test_a_screen_is_told_what_each_axis_moves_in_the_direction_in_which_it_is_positive():
    told = Mapping(TeleopConfig(), "web").moved(("x", "y", "z", "roll"))
    assert told == {"left_y": "forward", "left_x": "right", "right_y": "up", "right_slider": "roll"}
