"""The SpaceMouse through genuine pyspacemouse and easyhid; only hidapi's C library is played."""

import pytest

pytest.importorskip("pyspacemouse", reason="pyspacemouse is not installed: pip install robot_learning[deploy]")

import pyspacemouse
from easyhid import easyhid
from fake_hidapi import FakeHidapi, FakeMouse

from robot_learning.clock import seconds_to_ns
from robot_learning.drivers.teleop.hands import DeviceLost
from robot_learning.drivers.teleop.mapping import Mapping
from robot_learning.drivers.teleop.spacemouse import SpaceMouse
from robot_learning.errors import ConfigError, UnknownName
from robot_learning.rig_parts.teleop import SpaceMouseConfig, TeleopConfig
from robot_learning.rig_parts.teleop_inputs import SPACEMOUSE, TOOL

SILENCE_S = 0.4
PRODUCTS = sorted(pyspacemouse.get_device_specs())


@pytest.fixture
def plug():
    """Put mice in, and get the library that shows them."""

    def plugged(*mice):
        easyhid.hidapi = FakeHidapi(*mice)
        return easyhid.hidapi

    yield plugged
    # Not the real one: it would be asked to close devices that it never opened, whenever they are collected.
    plugged()


class Desk:
    """One mouse and who reads it at 50 Hz."""

    def __init__(self, mouse, **config):
        self.mouse = mouse
        self.device = SpaceMouse(SpaceMouseConfig(**config), SILENCE_S)
        self.buttons = self.device.open()
        self.now_s = 0.0

    def read(self, after_s=0.02):
        self.now_s += after_s
        return self.device.read(seconds_to_ns(self.now_s))


@pytest.fixture
def desk(plug):
    mouse = FakeMouse()
    plug(mouse)
    made = Desk(mouse)
    yield made
    made.device.close()


@pytest.mark.parametrize("product", PRODUCTS)
@pytest.mark.parametrize(
    ("pushed", "axis", "sign"),
    [
        ({"y": -1.0}, "x", 1), ({"y": 0.5}, "x", -0.5), ({"x": 1.0}, "y", -1), ({"z": -1.0}, "z", 1),
        # Turned as the fingers of the right hand about an axis that points to the left, say.
        ({"ry": -1.0}, "roll", 1), ({"rx": -1.0}, "pitch", 1), ({"rz": -1.0}, "yaw", 1),
    ],
)  # fmt: skip
def test_the_cap_away_from_the_person_is_x_to_the_left_y_and_up_z_for_every_product(plug, product, pushed, axis, sign):
    mouse = FakeMouse(product)
    plug(mouse)
    desk = Desk(mouse)
    mouse.push(**pushed)
    axes = desk.read().axes
    assert axes[axis] == pytest.approx(sign, abs=0.01)
    assert [name for name, value in axes.items() if value] == [axis]
    desk.device.close()


@pytest.mark.parametrize("product", PRODUCTS)
def test_every_button_of_every_product_has_a_name_that_rig_files_know(plug, product):
    mouse = FakeMouse(product)
    plug(mouse)
    desk = Desk(mouse)
    assert set(desk.buttons) == set(mouse.buttons)
    assert set(desk.buttons) <= set(SPACEMOUSE.buttons)
    for button in desk.buttons:
        mouse.press(button)
        reading = desk.read()
        assert reading.pressed == (button,)
        assert reading.held == {button}
        mouse.press(button, False)
        assert desk.read().held == frozenset()
    desk.device.close()


def test_more_reports_than_readings_leave_no_lag(desk):
    for k in range(30):  # a cap that reports 250 times a second, read at 50 Hz
        for i in range(5):
            desk.mouse.push(y=-(5 * k + i) / 150)
        assert desk.read().axes["x"] == pytest.approx((5 * k + 4) / 150, abs=0.01)
    assert not desk.mouse.reports


def test_a_button_that_goes_down_and_up_between_two_readings_is_heard(desk):
    desk.mouse.press("right")
    desk.mouse.press("right", False)
    reading = desk.read()
    assert reading.pressed == ("right",)
    assert not reading.held


def test_a_cap_that_falls_silent_off_its_centre_is_taken_as_at_rest(desk):
    desk.mouse.push(y=-1.0)
    assert desk.read().axes["x"] == 1
    assert desk.read(SILENCE_S - 0.03).axes["x"] == 1
    assert not any(desk.read(0.05).axes.values())
    desk.mouse.press("left")  # a button's report says nothing of the cap
    assert not any(desk.read().axes.values())
    desk.mouse.push(y=-0.5)
    assert desk.read().axes["x"] == pytest.approx(0.5, abs=0.01)


def test_more_than_full_travel_is_full_travel(desk):
    desk.mouse.push(x=-1.4)
    assert desk.read().axes["y"] == 1


def test_nothing_moves_unless_the_dead_man_button_is_held(desk):
    mapping = Mapping(TeleopConfig(), "spacemouse")
    mapping.opened(desk.buttons)
    mapping.hands(desk.read())
    desk.mouse.push(y=-1.0)
    assert not mapping.hands(desk.read()).dead_man
    desk.mouse.press("left")
    hands = mapping.hands(desk.read())
    assert hands.dead_man
    assert {name: hands.motions[name] for name in hands.motions if name in TOOL} == {"x": 1}
    desk.mouse.press("right")
    assert mapping.hands(desk.read()).words == ("gripper",)
    desk.mouse.press("left", False)
    assert not mapping.hands(desk.read()).dead_man


def test_an_unplugged_mouse_is_lost_and_comes_back_with_nothing_held(desk, plug):
    desk.mouse.press("left")
    assert desk.read().held == {"left"}
    desk.mouse.attached = False
    for _ in range(2):
        with pytest.raises(DeviceLost, match="unplugged"):
            desk.read()
    with pytest.raises(ConfigError, match="no SpaceMouse is connected; plug it in"):
        desk.device.open()
    other = FakeMouse(path="/dev/hidraw3")
    plug(other)
    assert desk.device.open() == ("left", "right")
    reading = desk.read()
    assert not reading.held
    assert not any(reading.axes.values())
    other.push(y=-1.0)
    assert desk.read().axes["x"] == 1


def test_the_mouse_that_the_rig_file_means_is_opened_by_product_serial_or_path(plug):
    mice = (
        FakeMouse(serial="A1"),
        FakeMouse(path="/dev/hidraw1", serial="B2"),
        FakeMouse("SpaceMousePro", "/dev/hidraw2"),
    )
    library = plug(*mice)
    for config, meant in (({"serial": "B2"}, 1), ({"product": "SpaceMousePro"}, 2), ({"path": "/dev/hidraw0"}, 0)):
        desk = Desk(mice[meant], **config)
        mice[meant].push(y=-1.0)
        assert desk.read().axes["x"] == 1
        assert library.open_count == 1
        desk.device.close()
        desk.device.close()
        assert library.open_count == 0


def test_which_mouse_is_never_guessed(plug):
    plug(FakeMouse(serial="A1"), FakeMouse(path="/dev/hidraw1", serial="B2"))
    with pytest.raises(ConfigError, match=r"several.*serial: A1, path: /dev/hidraw0; .*serial: B2, path: /dev/hidraw1"):
        SpaceMouse(SpaceMouseConfig(), SILENCE_S).open()
    with pytest.raises(ConfigError, match=r"none of the SpaceMice that are connected.*serial: A1"):
        SpaceMouse(SpaceMouseConfig(serial="C3"), SILENCE_S).open()
    with pytest.raises(UnknownName, match="did you mean 'SpaceMouseCompact'"):
        SpaceMouse(SpaceMouseConfig(product="SpaceMouseCompct"), SILENCE_S).open()


def test_of_one_mouses_interfaces_the_one_with_the_axes_is_opened(plug):
    keys = FakeMouse("SpaceMouseEnterprise", "/dev/hidraw0", usage=(1, 6))
    axes = FakeMouse("SpaceMouseEnterprise", "/dev/hidraw1")
    plug(keys, axes)
    desk = Desk(axes)
    axes.push(y=-1.0)
    assert desk.read().axes["x"] == 1


def test_what_has_to_be_done_is_said(plug, monkeypatch):
    plug()
    with pytest.raises(ConfigError, match="no SpaceMouse is connected"):
        SpaceMouse(SpaceMouseConfig(), SILENCE_S).open()
    plug(FakeMouse(readable=False))
    with pytest.raises(ConfigError, match=r"SpaceMouseCompact at /dev/hidraw0 may not be read.*udev rule"):
        SpaceMouse(SpaceMouseConfig(), SILENCE_S).open()
    stranger = FakeMouse()
    stranger.ids = 0x256F, 0xC6FF
    plug(stranger)
    with pytest.raises(ConfigError, match="256f:c6ff of 3Dconnexion is, which pyspacemouse does not know"):
        SpaceMouse(SpaceMouseConfig(), SILENCE_S).open()
    monkeypatch.setattr(easyhid, "hidapi", object())  # what easyhid goes on with where there is no library
    with pytest.raises(ConfigError, match="apt-get install libhidapi-hidraw0"):
        SpaceMouse(SpaceMouseConfig(), SILENCE_S).open()


def test_without_pyspacemouse_it_says_what_to_install(monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "pyspacemouse", None)
    with pytest.raises(ConfigError, match=r"pip install 'robot_learning\[deploy\]'"):
        SpaceMouse(SpaceMouseConfig(), SILENCE_S).open()
