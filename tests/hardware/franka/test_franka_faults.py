"""Faults of a Franka and of what surrounds it, on the real libfranka against franka-sim; each with its recovery."""

import os
import signal
import time
from pathlib import Path

import numpy as np
import pytest
from simulators import Station, make_rig, simulated, until

from robot_learning.drivers.franka import link
from robot_learning.errors import SafetyError, UserError


@pytest.fixture(scope="module")
def simulator():
    with simulated("franka-sim") as simulator:
        yield simulator


@pytest.fixture
def station(simulator):
    if simulator.poll() is not None:
        simulator.start()
    with Station(make_rig()) as station:
        yield station


def follows(station):
    """Whether it can be led again."""
    return station.unless_busy(lambda: station.circle(1.5) is not None)


def stopped_for(station, word):
    """The gate stops, and there is a fault that names this word; what it says."""
    until(lambda: word in station.robot.fault, f"a fault that names {word}")
    until(lambda: station.helm.gate.state == "stopped", "the gate")
    print(f"\n{station.robot.fault}")
    return station.robot.fault


def test_a_stall_of_the_loop_is_named_and_recovered_from(station):
    assert follows(station)
    pid = station.robot._link.pid
    os.kill(pid, signal.SIGSTOP)
    time.sleep(0.06)
    os.kill(pid, signal.SIGCONT)
    reason = stopped_for(station, "communication_constraints_violation")
    assert "doctor --rig" in reason
    assert station.helm.gate.stop_reason == f"robot: {reason}"
    assert station.robot.diagnostics()["state"] == "reflex"
    assert station.circle(0.2) is None
    station.recover()
    assert station.robot.diagnostics()["state"] == "idle"
    assert follows(station)


@pytest.mark.parametrize(
    ("what", "names"),
    [
        ("velocity", ("joint_motion_generator_velocity_discontinuity", "joint_motion_generator_acceleration_disc")),
        ("torque", ("controller_torque_discontinuity",)),
    ],
)
def test_a_jump_below_the_gate_is_stopped_by_the_robot_named_and_recovered_from(simulator, monkeypatch, what, names):
    monkeypatch.setattr(link, "WORKER", "fake_jumpy_worker")
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parent), prepend=os.pathsep)
    with Station(make_rig()) as station:
        station.robot._link.ask({"do": "jump", "what": what}, 5.0)
        reason = stopped_for(station, "discontinuity")
        assert any(name in reason for name in names)
        until(lambda: station.robot.diagnostics()["errors"], "a state that shows it")
        station.recover()
        until(lambda: station.robot.diagnostics()["errors"] == "", "a state without errors")
        assert follows(station)


def test_a_robot_whose_power_fails_is_lost_and_comes_back(station, simulator):
    assert follows(station)
    simulator.kill()
    stopped_for(station, "connection to the robot broke")
    assert station.clock.now_ns() - station.robot.observe().stamp_ns > 0.2e9, "an old state looks like a new one"
    with pytest.raises(SafetyError, match=r"no Franka at 127\.0\.0\.1"):
        station.helm.recover()
    simulator.start()
    station.helm.recover()
    assert station.robot.fault == ""
    assert follows(station)


def test_a_second_connection_is_refused_and_the_first_goes_on(station):
    assert follows(station)
    second = Station(make_rig(franka={"connect_timeout_s": 1.5}))
    with pytest.raises(UserError, match="another program is connected"):
        second.robot.connect()
    assert station.robot.fault == ""
    station.recover()  # from the watchdog: nobody commanded meanwhile
    assert follows(station)
    assert station.robot.fault == ""


def test_its_process_killed_is_named_and_started_again(station):
    assert follows(station)
    os.kill(station.robot._link.pid, signal.SIGKILL)
    stopped_for(station, "process has ended")
    station.recover()
    assert follows(station)


def test_its_process_frozen_is_named_and_started_again(station, monkeypatch):
    monkeypatch.setattr("robot_learning.drivers.franka.robot._RECOVER_S", 1.0)
    assert follows(station)
    os.kill(station.robot._link.pid, signal.SIGSTOP)
    stopped_for(station, "has said nothing")
    station.recover()
    assert follows(station)


def test_a_node_that_falls_silent_is_braked_by_the_robots_process(station):
    assert follows(station)
    moving = np.abs(station.robot.observe().joint_velocity).max()
    station._ending.set()  # the watchdog is as frozen as all else
    station.robot._link._closing.set()
    until(lambda: "was silent" in station.robot.fault, "the silence")
    until(lambda: np.abs(station.robot.observe().joint_velocity).max() < 0.01, "rest")
    assert moving > 0.02
    assert station.robot.diagnostics()["state"] == "silent"
    with pytest.raises(SafetyError, match="silent"):
        station.robot.command(_anything(station))


def test_a_robot_that_can_not_be_reached_anew_stays_a_fault(station, simulator):
    assert follows(station)
    os.kill(station.robot._link.pid, signal.SIGKILL)
    simulator.kill()
    stopped_for(station, "process has ended")
    for _ in range(2):
        with pytest.raises(SafetyError, match="no Franka at"):
            station.helm.recover()
        assert "not connected" in station.robot.fault
        assert station.helm.gate.state == "stopped"
    simulator.start()
    station.recover()
    assert follows(station)


def test_strict_means_a_real_time_kernel(simulator):
    if Path("/sys/kernel/realtime").exists():
        pytest.skip("this kernel is a real-time one")
    with pytest.raises(UserError, match="realtime is strict, but the kernel") as refused:
        Station(make_rig(franka={"realtime": "strict"})).robot.connect()
    assert "docs/hardware/franka.md" in str(refused.value)


def _anything(station):
    from robot_learning.drivers.interfaces import EeTarget, seal
    from robot_learning.rotation import matrix_to_rotation_6d

    position, rotation = station.measured()
    return seal(EeTarget(station.clock.now_ns(), position, matrix_to_rotation_6d(rotation), 0.08))
