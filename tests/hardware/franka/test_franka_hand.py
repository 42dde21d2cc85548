"""The Franka Hand and the arm together, on the real libfranka against franky-sim, whose fingers move in its physics."""

import time

import numpy as np
import pytest
from simulators import WHO, Station, make_rig, simulated, until

from robot_learning.drivers.interfaces import EeTarget
from robot_learning.rotation import matrix_to_rotation_6d


@pytest.fixture(scope="module")
def simulator():
    with simulated("franky-sim") as simulator:
        yield simulator


def station_with(**hand):
    return Station(make_rig(franka={"hand": hand}))


def hold(station, width_m, until_s=10.0, arrived=lambda width: False):
    """The tool stays, the fingers are told a width at the policy's rate; the widths measured."""
    position, rotation = station.measured()
    station.states.clear()
    end = time.monotonic() + until_s
    while time.monotonic() < end and not arrived(station.robot.observe().gripper_width[0]):
        outcome = station.helm.command(
            EeTarget(station.clock.now_ns(), position, matrix_to_rotation_6d(rotation), width_m), WHO
        )
        assert not outcome.refused, outcome.trips
        time.sleep(0.05)
    return outcome, np.array([state.gripper_width[0] for state in station.states])


def test_it_opens_and_closes_with_the_targets_while_the_arm_is_led(simulator):
    with station_with() as station:
        width = station.robot.observe().gripper_width[0]
        assert 0 <= width <= 0.081
        outcome, _ = hold(station, 0.0, arrived=lambda w: w < 0.01)
        assert outcome.executed.gripper_width == 0.0
        assert station.robot.observe().gripper_width[0] < 0.01
        outcome, widths = hold(station, 0.07, arrived=lambda w: w > 0.07)
        assert outcome.executed.gripper_width == 0.08, "a hand that opens and closes opens fully"
        assert widths[-1] > 0.07
        assert ((widths > 0.02) & (widths < 0.06)).any(), "no width was seen on the way"
        periods = np.diff([state.stamp_ns for state in station.states]) / 1e6
        print(f"\nwhile the fingers move, a state each {np.median(periods):.1f} ms, at most {periods.max():.1f} ms")
        assert np.median(periods) < 6.5
        assert station.robot.diagnostics()["hand"] == "ok"


def test_it_grasps_with_force_and_a_stop_does_not_let_go(simulator):
    with station_with(force_n=30.0) as station:
        hold(station, 0.0, arrived=lambda w: station.robot.diagnostics()["gripper holds"] == "true", until_s=5.0)
        closed = station.robot.observe().gripper_width[0]
        station.helm.stop("stop")
        until(lambda: station.robot.diagnostics()["state"] == "idle", "rest")
        time.sleep(0.5)
        assert abs(station.robot.observe().gripper_width[0] - closed) < 2e-3
        station.recover()
        hold(station, 0.08, arrived=lambda w: w > 0.07)
        assert station.robot.observe().gripper_width[0] > 0.07


def test_it_finds_out_how_wide_it_opens(simulator):
    with station_with() as station:
        hold(station, 0.0, until_s=2.5)
        station.helm.stop("stop")  # else the watchdog's would come in the midst of it
        station.robot.home_hand()
        until(lambda: station.robot.observe().gripper_width[0] > 0.07, "open fingers")
        until(lambda: station.robot.observe().gripper_width[0] < 0.02, "fingers that are back")
    with station_with(homing_at_connect=True) as station:
        assert station.robot.fault == ""


def test_in_width_mode_it_goes_to_the_width(simulator):
    with Station(make_rig(franka={"hand": {}}, robot={"gripper": "width"})) as station:
        hold(station, 0.06, until_s=2.0)
        outcome, _ = hold(station, 0.04, arrived=lambda w: abs(w - 0.04) < 3e-3)
        assert outcome.executed.gripper_width == 0.04
        assert abs(station.robot.observe().gripper_width[0] - 0.04) < 3e-3


def test_a_stop_in_the_midst_of_closing_stops_the_fingers(simulator):
    with station_with() as station:
        hold(station, 0.08, until_s=2.5)
        hold(station, 0.0, arrived=lambda w: w < 0.06)
        station.helm.stop("stop")
        time.sleep(1.0)
        stopped = station.robot.observe().gripper_width[0]
        time.sleep(0.5)
        print(f"\nthe fingers stood at {1000 * stopped:.0f} mm")
        assert stopped > 0.01
        assert abs(station.robot.observe().gripper_width[0] - stopped) < 1e-3
