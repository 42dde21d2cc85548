"""The kit for robots, on those that need nothing but this package."""

import pytest

from robot_learning.clock import SystemClock
from robot_learning.drivers.robots import make_robot
from robot_learning.rig import load_rig
from robot_learning.testing import RobotKit, Station


def station(name, step, **robot):
    rig = load_rig(name)
    # Real time on a machine with other work: silence is not what is tested here.
    limits = rig.limits.model_copy(update={"command_age_max_s": 2.0})
    rig = rig.model_copy(update={"limits": limits, "robot": rig.robot.model_copy(update=robot)})
    clock = SystemClock()
    made = Station(rig, make_robot(rig, clock), clock, step)
    yield made
    made.robot.disconnect()


class TestPandaThatTakesTools(RobotKit):
    @pytest.fixture
    def station(self):
        yield from station("panda_sim", step=(1, 0.03))


class TestPandaThatTakesJoints(RobotKit):
    @pytest.fixture
    def station(self):
        yield from station("panda_sim", step=(0, 0.1), command="joint_target")


class TestStretch(RobotKit):
    @pytest.fixture
    def station(self):
        yield from station("stretch_sim", step=(0, 0.03))
