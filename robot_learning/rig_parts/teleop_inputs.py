"""What input devices have, what it can do, and what it does unless a rig file says otherwise. Plain data."""

from __future__ import annotations

from dataclasses import dataclass, field

# What a device may ask for beside motion. Those of the recorder go to it as they are.
RECORDER_WORDS = ("start", "success", "failure", "discard", "mark")
SERVICE_WORDS = {  # word: the service that it calls
    "stop": "robot/stop",
    "recover": "robot/recover",
    "act": "policy/start",
    "pause": "policy/pause",
    "resume": "policy/resume",
    "take_over": "policy/take_over",
    "hand_back": "policy/hand_back",
}
MOTION_WORDS = ("gripper", "mode", "joint_up", "joint_down", "faster", "slower")
WORDS = (*RECORDER_WORDS, *SERVICE_WORDS, *MOTION_WORDS)

# What axes may move, beside a rig's joints by their names.
TOOL = ("x", "y", "z", "roll", "pitch", "yaw")  # along and about the axes of the base frame, or of the tool's
CHOSEN_JOINT = "joint"
BASE = ("base_forward", "base_turn")  # turning left is positive
MOTIONS = (*TOOL, CHOSEN_JOINT, *BASE)


@dataclass(frozen=True)
class Inputs:
    """One kind of device.

    Attributes:
        axes: each with the buttons and further axes that it is made of, if any; those must not do something else.
        one_way: axes from 0 to 1, such as triggers, which a gripper may follow.
        buttons: what can be pressed; those in `held` can also be held, as dead-man or clutch.
        own_dead_man: what the device itself offers as dead-man beside its buttons: `key`, `touch`, `cap`.
        moves: motion: axis, with a minus sign where they are opposite.
        words: button: what it asks for.
        dead_man: what must be held for the robot to move; of several, the first that the device has.
        needs_stop: whether one of its buttons must say `stop`.
    """

    axes: dict[str, tuple[str, ...]]
    moves: dict[str, str]
    words: dict[str, str]
    dead_man: tuple[str, ...]
    buttons: tuple[str, ...]
    held: tuple[str, ...] = ()
    own_dead_man: tuple[str, ...] = ()
    one_way: tuple[str, ...] = ()
    needs_stop: bool = True
    text: str = field(default="", kw_only=True)


# A keyboard's axes are pairs of keys, the first of them positive.
KEY_AXES = ("ws", "ad", "rf", "jl", "ik", "qe")
KEY_NAMES = {" ": "space", "\r": "enter", "\n": "enter", "\x7f": "backspace", "\x08": "backspace"}
_KEYS = (*(chr(code) for code in range(0x21, 0x7F)), "space", "enter", "backspace")
KEYBOARD = Inputs(
    axes={pair: tuple(pair) for pair in KEY_AXES},
    moves={
        "x": "ws", "y": "ad", "z": "rf", "roll": "jl", "pitch": "ik", "yaw": "qe",
        "joint": "ws", "base_forward": "ws", "base_turn": "ad",
    },
    words={
        "space": "stop", "enter": "start", "y": "success", "n": "failure", "backspace": "discard", "b": "mark",
        "g": "gripper", "m": "mode", "]": "joint_up", "[": "joint_down", "+": "faster", "=": "faster", "-": "slower",
        "c": "recover", "p": "act", "o": "pause", "u": "resume", "t": "take_over", "h": "hand_back",
    },
    dead_man=("key",),
    buttons=_KEYS,
    own_dead_man=("key",),
    text="of two keys the first is the positive direction; holding a motion key is the dead-man",
)  # fmt: skip

_PAD = (
    "a", "b", "x", "y", "back", "guide", "start", "left_stick", "right_stick", "left_shoulder", "right_shoulder",
    "dpad_up", "dpad_down", "dpad_left", "dpad_right", "left_trigger", "right_trigger",
)  # fmt: skip
GAMEPAD = Inputs(
    axes={
        "left_x": (), "left_y": (), "right_x": (), "right_y": (),
        "left_trigger": (), "right_trigger": (), "triggers": ("left_trigger", "right_trigger"),
        "dpad_x": ("dpad_left", "dpad_right"), "dpad_y": ("dpad_up", "dpad_down"),
    },
    moves={
        "x": "left_y", "y": "-left_x", "z": "triggers", "roll": "-dpad_x", "pitch": "right_y", "yaw": "-right_x",
        "joint": "left_y", "base_forward": "left_y", "base_turn": "-left_x",
    },
    words={
        "a": "gripper", "b": "take_over", "x": "failure", "y": "success", "back": "discard", "start": "start",
        "left_shoulder": "stop", "left_stick": "mode", "right_stick": "hand_back", "guide": "recover",
        "dpad_up": "joint_up", "dpad_down": "joint_down",
    },
    dead_man=("right_shoulder",),
    buttons=_PAD,
    held=_PAD,
    one_way=("left_trigger", "right_trigger"),
    text="sticks away from you and to the right are positive, so are the right trigger and the d-pad's up and right",
)  # fmt: skip

# As pyspacemouse calls them, in small letters. Which of them there are depends on the product.
_MOUSE = (
    "left", "right", "menu", "fit", "ctrl", "shift", "alt", "esc", *(f"btn_{i}" for i in range(1, 11)), "btn_2d",
    "top", "front", "rear", "r", "l", "f", "t", "roll_cw", "iso1", "rotation", "lock", "panel", "plus", "minus",
    "zoom_plus", "zoom_minus", "dom", "lock_3d", "config", "dominant", "pan_zoom", "iso",
)  # fmt: skip
SPACEMOUSE = Inputs(
    axes=dict.fromkeys(TOOL, ()),
    moves={name: name for name in TOOL} | {"joint": "x", "base_forward": "x", "base_turn": "yaw"},
    # Two buttons are all that small ones have: dead-man and gripper. The rest is for those with more.
    words={
        "right": "gripper", "fit": "gripper", "esc": "stop", "alt": "recover", "btn_2": "success", "btn_3": "failure",
        "btn_4": "discard",
    },
    dead_man=("left", "menu", "ctrl", "shift", "btn_1"),
    buttons=_MOUSE,
    held=_MOUSE,
    own_dead_man=("cap",),
    needs_stop=False,
    text="the cap away from you is x, to the left y, up z; it turns about the same axes",
)  # fmt: skip

WEB = Inputs(
    axes=dict.fromkeys(("left_x", "left_y", "left_slider", "right_x", "right_y", "right_slider"), ()),
    moves={
        "x": "left_y", "y": "-left_x", "z": "right_y", "yaw": "-right_x",
        "pitch": "left_slider", "roll": "right_slider",
        "joint": "left_y", "base_forward": "left_y", "base_turn": "-left_x",
    },
    words={word: word for word in WORDS},
    dead_man=("touch",),
    buttons=WORDS,
    own_dead_man=("touch",),
    text="touching a stick or a slider is the dead-man; up and right are positive",
)  # fmt: skip
