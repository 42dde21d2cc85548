"""The kit that every robot driver must pass, on the Franka driver against franka-sim."""

import pytest
from simulators import make_rig, simulated

from robot_learning.clock import SystemClock
from robot_learning.testing import RobotKit, Station


@pytest.fixture(scope="module")
def simulator():
    with simulated("franka-sim") as simulator:
        yield simulator


class TestKit(RobotKit):
    @pytest.fixture
    def station(self, simulator):
        from robot_learning.drivers.franka.robot import FrankaRobot

        rig, clock = make_rig(limits={"command_age_max_s": 1.0}), SystemClock()
        # The impedance controller leaves some millimetres where joints have friction.
        made = Station(rig, FrankaRobot(rig, clock), clock, step=(1, 0.04), settled=0.012)
        yield made
        made.robot.disconnect()
