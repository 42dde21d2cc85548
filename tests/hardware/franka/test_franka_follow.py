"""The real driver and the real libfranka against franka-sim, which enforces a Franka's limits: follow and stop."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from simulators import Station, make_rig, simulated, until

from robot_learning.drivers.franka import packets
from robot_learning.drivers.franka.packets import TargetPacket
from robot_learning.rotation import quaternion_to_matrix, rotation_distance


@pytest.fixture(scope="module")
def simulator():
    with simulated("franka-sim") as simulator:
        yield simulator


@pytest.fixture
def station(simulator):
    with Station(make_rig()) as station:
        yield station


def steps_ms(states):
    return np.diff([s.stamp_ns for s in states]) / 1e6


def test_it_reads_at_200_hz_with_the_robots_own_times_idle_and_led(station):
    station.states.clear()
    until(lambda: len(station.states) > 200, "200 states")
    idle = steps_ms(station.states)
    assert station.unless_busy(lambda: station.circle(6.0) is not None)
    led = steps_ms(station.states)
    print(f"\nperiods of states [ms]: idle {idle.mean():.2f}, led {led.mean():.2f}, longest {led.max():.1f}")
    for periods in (idle, led):
        assert (periods > 0).all()
        assert np.median(periods) < 6.5
    ages = [station.clock.now_ns() - station.robot.observe().stamp_ns for _ in range(20) if not time.sleep(0.01)]
    assert min(ages) >= 0
    assert station.robot.observe().command_success_rate[0] > 0.5


def test_its_kinematics_are_libfrankas(station, simulator):
    rig, kinematics = station.rig, station.robot.kinematics
    state = station.robot.observe()
    position, rotation = kinematics.forward(state.joint_position)
    assert np.abs(position - state.ee_position).max() < 1e-3
    assert rotation_distance(rotation, quaternion_to_matrix(state.ee_orientation)) < 1e-3
    station.robot.disconnect()
    poses = subprocess.run(
        [sys.executable, Path(__file__).parent / "libfranka_poses.py", rig.franka.address],
        capture_output=True, text=True, timeout=60, check=True,
    ).stdout  # fmt: skip
    values = np.array([line.split() for line in poses.splitlines()], dtype=float)
    assert len(values) == 50
    for row in values:
        position, rotation = kinematics.forward(row[:7])
        assert np.abs(position - row[7:10]).max() < 1e-3
        assert rotation_distance(rotation, row[10:].reshape(3, 3)) < 1e-3


def test_it_follows_a_circle_with_the_tool(station):
    away = station.unless_busy(lambda: None if (a := station.circle(9.0)) is None else [a])[0]
    rms = np.sqrt(np.mean(away**2))
    line = station.robot.diagnostics()
    print(f"\ndistance from the circle: RMS {1000 * rms:.2f} mm, largest {1000 * away.max():.2f} mm; {line}")
    assert rms < 0.006
    assert line["state"] == "following"
    assert float(line["control_command_success_rate"]) > 0.8
    assert line["fault"] == ""


@pytest.mark.parametrize("preset", ["contact", "precision"])
def test_presets_for_contact_push_too_little_for_the_joints_friction_and_say_so(simulator, preset):
    # Bounded force is what they are for: 10 N are not enough to hurry through a Newton metre of friction in each joint.
    with Station(make_rig(franka={"preset": preset})) as station:
        away = station.unless_busy(lambda: None if (a := station.circle(9.0)) is None else [a])[0]
        limited = int(station.robot.diagnostics()["states with a limited reference"])
        print(f"\n{preset}: RMS {1000 * np.sqrt(np.mean(away**2)):.2f} mm, limited in {limited} states")
        assert np.sqrt(np.mean(away**2)) < 0.02
        assert limited > 0


def test_it_follows_joints(simulator):
    with Station(make_rig(robot={"command": "joint_target"})) as station:
        start = station.robot.observe().joint_position
        offset = np.array([0.2, 0.1, -0.1, -0.2, 0.1, 0.1, -0.2])
        assert station.unless_busy(lambda: station.joints(offset, 2.0))
        error = station.robot.observe().joint_position - start - offset
        print(f"\njoints miss their target by [mrad] {np.round(1000 * error, 1)}")
        assert np.abs(error).max() < 0.02
        assert np.abs(station.robot.observe().desired_position - start - offset).max() < 1e-6


def test_a_stop_brakes_from_the_measured_motion_and_holds_until_recover(station):
    assert station.unless_busy(lambda: station.circle(3.3) is not None)
    at = station.robot.observe()
    speed = np.linalg.norm(station.states[-1].ee_position - station.states[-11].ee_position) / 0.05
    assert speed > 0.03
    station.helm.stop("stop")
    until(lambda: np.abs(station.robot.observe().joint_velocity).max() < 0.01, "rest")
    until(lambda: station.robot.diagnostics()["state"] == "idle", "the robot's own controller")
    rest = station.robot.observe()
    travelled = np.linalg.norm(rest.ee_position - at.ee_position)
    # Constant deceleration travels v T / 2; twice that, for what was between reading and stopping.
    print(f"\nfrom {speed:.3f} m/s it stood after {1000 * travelled:.1f} mm")
    assert travelled < speed * station.rig.watchdog.deceleration_time_s + 0.003
    time.sleep(1.0)
    assert np.linalg.norm(station.robot.observe().ee_position - rest.ee_position) < 1e-3
    assert station.circle(0.2) is None
    assert station.robot.diagnostics()["state"] == "idle"
    assert station.helm.recover() == "recovered from: stop"
    assert station.unless_busy(lambda: station.circle(4.5) is not None)


def test_a_target_from_before_a_stop_is_not_taken(station):
    position, rotation = station.measured()
    values = np.concatenate([position + 0.01 * np.eye(3)[0], rotation.ravel()])
    station.robot.stop()
    station.robot._link.send(TargetPacket(0, packets.TOOL, values, 0.08).pack())
    time.sleep(0.3)
    assert station.robot.diagnostics()["state"] == "idle"
    station.robot._link.send(TargetPacket(1, packets.TOOL, values, 0.08).pack())
    until(lambda: station.robot.diagnostics()["state"] == "following", "the target of after the stop")
    station.robot.stop()


def test_a_node_that_is_killed_leaves_an_arm_that_braked(simulator):
    script = Path(__file__).parent / "circling_node.py"
    with subprocess.Popen([sys.executable, script], stdout=subprocess.PIPE, text=True) as node:
        try:
            word = node.stdout.readline().split()
            assert word[0] == "circling", word
            os.kill(node.pid, signal.SIGKILL)
        finally:
            node.kill()
    until(lambda: not Path(f"/proc/{word[1]}").exists(), "the end of the robot's process")
    assert not any("violation" in line or "discontinuity" in line for line in simulator.lines), simulator.lines[-5:]
    with Station(make_rig()) as station:
        assert station.robot.fault == ""
        assert np.abs(station.robot.observe().joint_velocity).max() < 0.01
