"""Who of several pages commands, until when its word counts, and what is refused; on a fake clock."""

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from robot_learning.drivers.teleop.weblink import BadSaying, Link, Saying, parse

TIMEOUT_S = 0.4
MS = 1_000_000


class Page:
    """One browser, whose messages take their time."""

    def __init__(self, link, clock, digit="a"):
        self.link, self.clock, self.name = link, clock, digit * 32
        self.number, self.echo = 0, None

    def say(self, **content):
        answer = self.link.hear(self.write(**content))
        self.echo = answer["now"]
        return answer

    def write(self, **content):
        self.number += 1
        return Saying.model_validate({"page": self.name, "number": self.number, "echo": self.echo, **content})

    def connect(self):
        self.say()
        return self.say()


class Room:
    """Pages, the link between them and the robot, and a clock."""

    def __init__(self):
        self.now_ns = 10**9
        self.link = Link(TIMEOUT_S, lambda: self.now_ns)
        self.page = Page(self.link, self)
        self.other = Page(self.link, self, "b")

    def wait(self, seconds):
        self.now_ns += round(seconds * 1e9)


@pytest.fixture
def room():
    return Room()


def test_the_page_that_commands_moves_the_robot_while_it_is_touched(room):
    assert room.page.connect()["commands_here"]
    room.page.say(axes={"left_y": 0.5}, touched=True)
    reading = room.link.read()
    assert reading.touched
    assert reading.axes == {"left_y": 0.5}
    room.page.say(axes={"left_y": 0.5}, touched=False)
    reading = room.link.read()
    assert not reading.touched
    assert not reading.axes


def test_silence_opens_the_dead_man(room):
    room.page.connect()
    room.page.say(axes={"left_y": 1.0}, touched=True)
    room.wait(TIMEOUT_S - 0.01)
    assert room.link.read().touched
    room.wait(0.02)
    assert not room.link.read().touched
    assert not room.link.read().axes


def test_a_message_that_the_network_held_back_does_not_count_however_fresh_it_arrives(room):
    room.page.connect()
    late = [room.page.write(axes={"left_y": 1.0}, touched=True, words=["gripper"]) for _ in range(20)]
    room.wait(0.5)
    for message in late:
        room.link.hear(message)
        reading = room.link.read()
        assert not reading.touched
        assert not reading.pressed


def test_messages_that_are_each_a_little_late_open_the_dead_man_when_the_oldest_would(room):
    room.page.connect()
    message = room.page.write(touched=True, axes={"left_y": 1.0})
    room.wait(0.3)
    room.link.hear(message)
    assert room.link.read().touched
    room.wait(0.15)  # 0.15 s after it came, 0.45 s after what it answered
    assert not room.link.read().touched


def test_an_answer_from_the_future_was_never_given(room):
    room.page.connect()
    room.page.echo += 10_000
    room.page.say(touched=True, axes={"left_y": 1.0})
    assert not room.link.read().touched


def test_a_message_that_comes_twice_does_nothing_twice(room):
    room.page.connect()
    message = room.page.write(words=["gripper"])
    for _ in range(3):
        room.link.hear(message)
    assert room.link.read().pressed == ("gripper",)
    assert room.link.read().pressed == ()


def test_one_page_commands_until_it_leaves(room):
    room.page.connect()
    told = room.other.connect()
    assert not told["commands_here"]
    assert told["commands_elsewhere"]
    room.other.say(axes={"left_y": 1.0}, touched=True, words=["gripper", "start"])
    reading = room.link.read()
    assert not reading.touched
    assert not reading.pressed
    room.page.say(leaves=True)
    assert room.other.say()["commands_here"]


def test_a_page_that_is_silent_for_two_seconds_gives_way_to_one_whose_hands_are_off(room):
    room.page.connect()
    room.wait(1.9)
    assert not room.other.connect()["commands_here"]
    room.wait(0.2)
    room.other.say()
    assert not room.other.say(touched=True, axes={"left_y": 1.0})["commands_elsewhere"]
    assert room.other.say()["commands_here"]
    assert not room.page.say()["commands_here"]


def test_hands_that_are_on_a_stick_already_do_not_take_command(room):
    room.page.say()
    assert not room.page.say(touched=True, axes={"left_y": 1.0})["commands_here"]
    assert not room.link.read().touched
    assert room.page.say()["commands_here"]


def test_a_stop_is_heard_from_every_page_however_late(room):
    room.page.connect()
    late = room.page.write(words=["stop", "gripper"])
    room.wait(5.0)
    room.link.hear(late)
    room.other.say(words=["gripper", "stop"])
    assert room.link.read().pressed == ("stop", "stop")


def test_words_do_not_pile_up_without_end(room):
    room.page.connect()
    for _ in range(100):
        room.page.say(words=["faster"] * 8)
    assert len(room.link.read().pressed) == 32


def test_the_page_is_told_what_goes_on(room):
    room.link.show({"mode": "tool", "robot": "ready"})
    room.link.show({"robot": "stopped: watchdog"})
    told = room.page.say()
    assert (told["mode"], told["robot"]) == ("tool", "stopped: watchdog")


GOOD = {"page": "a" * 32, "number": 1, "echo": 0, "axes": {"left_x": 0.5}, "touched": True, "words": ["stop"]}


def test_a_message_is_read():
    assert parse(json.dumps(GOOD).encode()).axes == {"left_x": 0.5}


@pytest.mark.parametrize(
    "wrong",
    [
        {"page": "A" * 32}, {"page": "a" * 31}, {"page": 5}, {"number": -1}, {"number": 1.5}, {"number": 2**53},
        {"number": True}, {"echo": -1}, {"echo": "0"}, {"axes": {"left_x": 1.01}}, {"axes": {"left_x": float("nan")}},
        {"axes": {"left_x": float("inf")}}, {"axes": {"left_z": 0.0}}, {"axes": {f"a{i}": 0 for i in range(9)}},
        {"axes": [0.5]}, {"touched": 1}, {"touched": "true"}, {"words": ["stp"]}, {"words": ["stop"] * 9},
        {"words": "stop"}, {"words": [["stop"]]}, {"more": 1}, {"leaves": None},
    ],
)  # fmt: skip
def test_a_message_that_is_not_what_it_must_be_is_refused(wrong):
    with pytest.raises(BadSaying):
        parse(json.dumps(GOOD | wrong).encode())


@pytest.mark.parametrize("data", [b"", b"{", b"[]", b"5", b"null", b"\xff\xfe", b"[" * 5000, b'{"page": "a"', b"{}"])
def test_what_is_no_message_is_refused_in_a_sentence(data):
    with pytest.raises(BadSaying, match=r"\.$"):
        parse(data)


@settings(max_examples=300, deadline=None)
@given(st.binary(max_size=200) | st.recursive(
    st.none() | st.booleans() | st.floats() | st.integers() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.sampled_from([*GOOD, "x"]), inner, max_size=8),
    max_leaves=10,
).map(lambda content: json.dumps(content).encode()))  # fmt: skip
def test_whatever_comes_is_read_or_refused(data):
    try:
        saying = parse(data)
    except BadSaying:
        return
    assert all(-1 <= value <= 1 for value in saying.axes.values())
