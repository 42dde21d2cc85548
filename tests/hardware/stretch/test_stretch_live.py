"""The whole driver over Hello Robot's genuine library in motion, on fake devices: threads, sentries, collisions."""

import os
import signal
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import numpy as np
import pytest
from stretch_rigs import PATIENT, stretch_rig

from robot_learning.clock import SystemClock
from robot_learning.drivers.interfaces import JointTarget, seal
from robot_learning.drivers.stretch.process import ProcessBody
from robot_learning.drivers.stretch.robot import StretchRobot
from robot_learning.errors import SafetyError
from robot_learning.testing import RobotKit, Station

pytestmark = pytest.mark.usefixtures("alone")
HERE = Path(__file__).parent
WAIT_S = 40


def until(condition, what):
    end = time.monotonic() + WAIT_S
    while time.monotonic() < end:
        if result := condition():
            return result
        time.sleep(0.02)
    pytest.fail(f"waited {WAIT_S} s for {what}")


@pytest.fixture
def rig(stretch_python, fleet, tmp_path, monkeypatch):
    """Its `python` is the library's own, with fake devices beneath the library."""
    python = tmp_path / "python"
    python.write_text(f'#!/bin/sh\nexec "{stretch_python}" "{HERE / "fake_hardware.py"}" "$@"\n')
    python.chmod(0o755)
    monkeypatch.setenv("FAKE_RUNSTOP", str(tmp_path / "runstop"))
    monkeypatch.setenv("FAKE_CONTACT", str(tmp_path / "contact"))
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    return stretch_rig(limits=PATIENT["limits"], stretch={"python": str(python), **PATIENT["stretch"]})


class TestKit(RobotKit):
    @pytest.fixture
    def station(self, rig):
        clock = SystemClock()
        made = Station(rig, StretchRobot(rig, clock), clock, step=(0, 0.03))
        yield made
        made.robot.disconnect()


@pytest.fixture
def robot(rig):
    robot = StretchRobot(rig, SystemClock())
    robot.connect()
    pid = robot._body._process.pid
    yield robot
    robot.disconnect()
    assert members(pid) == []


def members(group):
    """Processes of a group that still live."""
    alive = []
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = path.read_text().rpartition(")")[2].split()
        except OSError:
            continue
        if fields[2] == str(group) and fields[0] != "Z":
            alive.append(int(path.parent.name))
    return alive


def stream(robot, done, what, base=(0.0, 0.0), **joints):
    """Targets at 25 Hz, each joint at most 1.5 cm or 0.15 rad on its way, until `done`."""
    names = robot._rig.robot.joint_names
    q = robot.observe().joint_position.copy()
    goal = np.array([joints.get(name, value) for name, value in zip(names, q, strict=True)])
    most = np.array([0.0055, 0.01, 0.06, 0.06, 0.06])
    end = time.monotonic() + WAIT_S
    while not done():
        assert time.monotonic() < end, f"waited {WAIT_S} s for {what}"
        q = q + np.clip(goal - q, -most, most)
        robot.command(seal(JointTarget(time.time_ns(), q.copy(), 0.05, np.array(base))))
        time.sleep(0.04)


def test_joints_follow_together_and_the_base_drives_a_curve(robot):
    goal = {"joint_lift": 0.7, "wrist_extension": 0.3, "joint_wrist_yaw": 0.5, "joint_wrist_roll": -0.4}
    index = {name: i for i, name in enumerate(robot._rig.robot.joint_names)}

    def there():
        q = robot.observe().joint_position
        return all(abs(q[index[name]] - value) < 0.006 for name, value in goal.items())

    stream(robot, there, "the joints", base=(0.1, 0.2), **goal)
    assert robot.fault == ""
    pose, velocity = robot.observe().base_pose, robot.observe().base_velocity
    np.testing.assert_allclose(velocity, [0.1, 0.2], atol=0.02)
    assert pose[2] > 0.1
    np.testing.assert_allclose(np.hypot(pose[0], pose[1] - 0.5), 0.5, atol=0.03)  # a circle of 0.1 / 0.2 m
    until(lambda: np.abs(robot.observe().base_velocity).max() == 0, "the base's time-out")
    assert robot.diagnostics()["base_timeouts"] == "1"
    assert float(robot.diagnostics()["oldest_reading"].split()[0]) < 500


def test_the_genuine_collision_manager_keeps_the_gripper_off_the_base(robot):
    """Lowered with the wrist turned in over the base; nothing in the rig's limits forbids that."""
    yaw = {"joint_wrist_yaw": 2.6, "wrist_extension": 0.02}
    stream(robot, lambda: robot.observe().joint_position[2] > 2.58, "the wrist", **yaw)
    stream(
        robot, lambda: "joint_lift" in robot.diagnostics()["held_by_collision_manager"], "the manager", joint_lift=0.06
    )
    held = robot.observe().joint_position[0]
    assert held > 0.08
    target = robot.observe().joint_position.copy()
    target[0] = 0.06
    for _ in range(20):
        robot.command(seal(JointTarget(time.time_ns(), target.copy(), 0.05, np.zeros(2))))
        time.sleep(0.04)
    assert robot.observe().joint_position[0] == pytest.approx(held, abs=0.01)
    stream(robot, lambda: robot.observe().joint_position[0] > held + 0.05, "the way back", joint_lift=held + 0.1)


def test_the_tools_own_rule_against_yawing_into_the_mast_is_told(robot):
    """With its wrist level, stretch_body lets this gripper yaw no farther out than -0.2 rad."""

    def held():
        return "joint_wrist_yaw" in robot.diagnostics()["held_by_collision_manager"]

    stream(robot, held, "the rule", joint_wrist_yaw=-0.6)
    assert robot.observe().joint_position[2] > -0.45
    assert robot.fault == ""
    stream(robot, lambda: robot.observe().joint_position[2] > 0.1, "the way back", joint_wrist_yaw=0.2)
    until(lambda: not held(), "freedom")


def test_the_runstop_is_a_fault_stops_all_motion_and_needs_the_operator(robot, tmp_path):
    stream(robot, lambda: robot.observe().base_velocity[0] > 0.05, "the base", base=(0.1, 0.0), joint_lift=0.9)
    (tmp_path / "runstop").touch()
    until(lambda: robot.fault, "the fault")
    assert "the runstop is on" in robot.fault
    until(lambda: np.abs(robot.observe().joint_velocity).max() == 0, "rest")
    with pytest.raises(SafetyError, match="runstop"):
        stream(robot, lambda: False, "nothing", joint_lift=0.9)
    with pytest.raises(SafetyError, match="can't recover yet"):
        robot.recover()
    (tmp_path / "runstop").unlink()
    there = robot.observe().joint_position[0]
    until(lambda: robot.mode == "navigation", "the released runstop")
    robot.recover()
    until(lambda: robot.fault == "", "recovery")
    time.sleep(0.5)
    assert robot.observe().joint_position[0] == pytest.approx(there, abs=2e-3)
    stream(robot, lambda: robot.observe().joint_position[0] > there + 0.02, "the lift", joint_lift=there + 0.05)


def test_a_guarded_contact_is_a_fault_until_the_operator_has_seen_to_it(robot, tmp_path):
    stream(robot, lambda: robot.observe().joint_position[0] > 0.61, "the lift", joint_lift=0.7)
    (tmp_path / "contact").touch()
    until(lambda: "joint_lift met more force" in robot.fault, "the fault")
    with pytest.raises(SafetyError, match="guard"):
        stream(robot, lambda: False, "nothing", joint_lift=0.7)
    until(lambda: np.abs(robot.observe().joint_velocity).max() < 1e-3, "rest")
    robot.recover()
    there = robot.observe().joint_position[0]
    stream(robot, lambda: robot.observe().joint_position[0] < there - 0.03, "the way back", joint_lift=there - 0.05)
    assert robot.fault == ""


def test_stowing_on_request_folds_the_arm_as_the_library_does(rig):
    body = ProcessBody(rig, SystemClock())
    assert body.startup()
    body.prepare("stow")
    until(lambda: abs(body.status().position["joint_wrist_yaw"] - 3.0) < 0.05, "the wrist")
    status = body.status()
    assert status.position["wrist_extension"] == pytest.approx(0.0, abs=0.01)
    assert status.position["joint_lift"] == pytest.approx(0.3, abs=0.02)  # of this tool; no lower than its gripper
    until(lambda: body.status().busy == "", "the next state")
    assert body.status().fault == ""
    body.close()


def test_an_unhomed_lift_is_refused(rig, monkeypatch):
    monkeypatch.setenv("FAKE_WORDS", "unhomed")
    robot = StretchRobot(rig, SystemClock())
    with pytest.raises(SafetyError, match="not homed"):
        robot.connect()


def test_the_librarys_death_takes_its_own_children_along(rig):
    robot = StretchRobot(rig, SystemClock())
    robot.connect()
    pid = robot._body._process.pid
    assert len(members(pid)) > 1  # the collision manager has a process of its own
    os.kill(pid, signal.SIGKILL)
    until(lambda: "ended by signal 9" in robot.fault, "the fault")
    until(lambda: members(pid) == [], "the end of all")
    robot.disconnect()


DRIVER = """
    import sys, time
    import numpy as np
    sys.path.insert(0, {tests!r})
    from stretch_rigs import stretch_rig
    from robot_learning.clock import SystemClock
    from robot_learning.drivers.interfaces import JointTarget, seal
    from robot_learning.drivers.stretch.robot import StretchRobot

    robot = StretchRobot(stretch_rig(stretch={{"python": {python!r}}}), SystemClock())
    robot.connect()
    print(robot._body._process.pid, flush=True)
    while True:
        q = robot.observe().joint_position
        robot.command(seal(JointTarget(time.time_ns(), q.copy(), 0.05, np.array([0.2, 0.0]))))
        time.sleep(0.04)
"""


def test_where_the_driver_is_killed_the_genuine_library_ends_too_and_gives_the_robot_free(rig):
    code = textwrap.dedent(DRIVER.format(tests=str(HERE.parents[1] / "drivers" / "stretch"), python=rig.stretch.python))
    driver = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)
    try:
        pid = int(driver.stdout.readline())
        time.sleep(1.0)  # so that the base drives
    finally:
        driver.kill()
        driver.wait()
    try:
        until(lambda: members(pid) == [], "the end of the library")
    finally:
        for member in members(pid):
            os.kill(member, signal.SIGKILL)
    robot = StretchRobot(rig, SystemClock())
    robot.connect()
    robot.disconnect()
