"""The Stretch driver passes the kit that every robot driver must, in real time."""

from pathlib import Path

import pytest
from fake_stretch_body import FakeStretchBody
from stretch_rigs import PATIENT, stretch_rig

from robot_learning.clock import SystemClock
from robot_learning.drivers.stretch.robot import StretchRobot
from robot_learning.testing import RobotKit, Station

pytest.importorskip("stretch_urdf", reason="hello-robot-stretch-urdf is not installed")
LIFT_UP = (0, 0.03)


class TestOverAFakeBody(RobotKit):
    @pytest.fixture
    def station(self):
        rig, clock = stretch_rig(**PATIENT), SystemClock()
        made = Station(rig, StretchRobot(rig, clock, FakeStretchBody(clock)), clock, LIFT_UP)
        yield made
        made.robot.disconnect()


class TestOverTheProcessOfAFakeLibrary(RobotKit):
    @pytest.fixture
    def station(self, tmp_path, monkeypatch):
        monkeypatch.setenv("FAKE_STRETCH_LOG", str(tmp_path / "log.jsonl"))
        monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parent / "fake_library"))
        monkeypatch.setenv("HELLO_FLEET_PATH", str(tmp_path))
        monkeypatch.setenv("HELLO_FLEET_ID", "robot")
        rig, clock = stretch_rig(**PATIENT), SystemClock()
        made = Station(rig, StretchRobot(rig, clock), clock, LIFT_UP)
        yield made
        made.robot.disconnect()
