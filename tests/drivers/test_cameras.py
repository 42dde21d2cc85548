"""The test pattern, the reader that connects again, and the registry."""

import threading
from itertools import pairwise
from types import SimpleNamespace

import numpy as np
import pytest

from robot_learning.clock import NS_PER_S, FakeClock
from robot_learning.drivers.cameras.pattern import PatternCamera, bar_px
from robot_learning.drivers.cameras.reader import CameraReader
from robot_learning.drivers.cameras.registry import make_camera
from robot_learning.drivers.interfaces import CameraFrame, CameraLost
from robot_learning.drivers.robots import make_robot
from robot_learning.errors import ConfigError, UnknownName
from robot_learning.rig import load_rig
from robot_learning.rig_parts.cameras import CameraConfig

CONFIG = CameraConfig(type="pattern", width_px=64, height_px=48, rate_hz=30, depth=True)


def test_the_pattern_comes_at_its_rate_and_no_two_frames_are_alike():
    clock = FakeClock(NS_PER_S)
    camera = PatternCamera("front", CONFIG, clock)
    camera.connect()
    frames = [camera.read() for _ in range(30)]
    assert [f.sequence for f in frames] == list(range(30))
    assert [f.stamp_ns for f in frames] == [NS_PER_S + round(k * NS_PER_S / 30) for k in range(30)]
    for before, after in pairwise(frames):
        assert (before.colour != after.colour).any()
    for frame in frames:
        left = bar_px(frame.sequence, 64)
        assert (frame.colour[:, left : left + 16] == 255).all()
        assert (frame.depth[:, left : left + 16] == 0).all()
        assert (frame.colour.shape, frame.depth.shape, frame.depth.dtype) == ((48, 64, 3), (48, 64), np.uint16)


def test_a_pattern_that_was_not_read_in_time_has_holes_in_its_count():
    clock = FakeClock(NS_PER_S)
    camera = PatternCamera("front", CONFIG, clock)
    camera.connect()
    assert camera.read().sequence == 0
    clock.advance(0.5)
    frame = camera.read()
    assert frame.sequence == 15
    assert frame.stamp_ns == NS_PER_S + NS_PER_S // 2


def test_a_pattern_that_is_not_connected_is_lost():
    with pytest.raises(CameraLost, match="'front' is not connected"):
        PatternCamera("front", CONFIG, FakeClock()).read()


class FakeFragileCamera:
    """Gives `frames` frames after each connection; cannot be connected the next `refusals` times."""

    def __init__(self, frames, refusals):
        self._each, self._left, self.refusals = frames, frames, refusals
        self.connections = 0
        self.idle = threading.Event()

    def connect(self):
        if self.connections and self.refusals:
            self.refusals -= 1
            raise CameraLost("camera 0123 is not there.")
        self.connections += 1
        self._left = self._each

    def read(self):
        if not self._left:
            raise CameraLost("camera 0123 was unplugged.")
        self._left -= 1
        return CameraFrame(1, self._each - self._left, np.zeros((2, 2, 3), np.uint8), None)

    def disconnect(self): ...


def test_a_lost_camera_is_told_and_connected_again_and_again_until_it_is_back():
    camera = FakeFragileCamera(frames=3, refusals=2)
    camera.connect()
    frames, told, enough = [], [], threading.Event()

    def deliver(frame):
        frames.append(frame)
        if len(frames) == 6:
            enough.set()

    reader = CameraReader(camera, deliver, told.append, first_wait_s=0.001)
    reader.begin()
    assert enough.wait(20)
    reader.end()
    gone = "camera 0123 is not there."
    assert told[:4] == ["camera 0123 was unplugged.", gone, gone, ""]
    assert reader.reconnections >= 1


def test_a_simulated_camera_is_refused_with_where_it_is():
    with pytest.raises(ConfigError, match="'front' is simulated: its camera is in sim_node"):
        make_camera("front", load_rig("panda_sim").cameras["front"], FakeClock())


def test_unknown_types_are_refused_with_those_that_there_are():
    config = CameraConfig(type="patern", width_px=64, height_px=48, rate_hz=30)
    with pytest.raises(UnknownName, match="did you mean 'pattern'"):
        make_camera("front", config, FakeClock())
    rig = SimpleNamespace(robot=SimpleNamespace(type="panda"))
    with pytest.raises(UnknownName, match="did you mean 'mujoco_panda'"):
        make_robot(rig, FakeClock())
