"""The process that holds Stretch's library: its life, and either side's death. The library within is a fake."""

import contextlib
import json
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
from robot_learning.drivers.stretch.body import ARM, LIFT, UNITS, Motion
from robot_learning.drivers.stretch.process import ProcessBody
from robot_learning.drivers.stretch.robot import StretchRobot
from robot_learning.drivers.stretch.worker import HEAD, STEPPERS, WRIST
from robot_learning.errors import ConfigError, SafetyError, UserError

pytest.importorskip("stretch_urdf", reason="hello-robot-stretch-urdf is not installed")
HERE = Path(__file__).parent
WAIT_S = 30


def until(condition, what):
    end = time.monotonic() + WAIT_S
    while time.monotonic() < end:
        if result := condition():
            return result
        time.sleep(0.01)
    pytest.fail(f"waited {WAIT_S} s for {what}")


class Log:
    """What the fake library was told."""

    def __init__(self, path):
        self.path = path

    def __call__(self, call):
        lines = self.path.read_text().splitlines() if self.path.exists() else []
        return [line for line in map(json.loads, lines) if line["call"] == call]


@pytest.fixture
def log(tmp_path, monkeypatch):
    path = tmp_path / "log.jsonl"
    monkeypatch.setenv("FAKE_STRETCH_LOG", str(path))
    monkeypatch.setenv("FAKE_STRETCH", "")
    monkeypatch.setenv("PYTHONPATH", str(HERE / "fake_library"))
    monkeypatch.setenv("HELLO_FLEET_PATH", str(tmp_path))
    monkeypatch.setenv("HELLO_FLEET_ID", "stretch-se3-0000")
    yield Log(path)
    for line in Log(path)("startup"):
        with contextlib.suppress(ProcessLookupError):
            os.killpg(line["pid"], signal.SIGKILL)


@pytest.fixture
def robot(log):
    robot = StretchRobot(stretch_rig(**PATIENT), SystemClock())
    robot.connect()
    yield robot
    robot.disconnect()


def send(robot, lift=0.3, base=(0.0, 0.0)):
    q = robot.observe().joint_position.copy()
    q[0] = lift
    target = JointTarget(time.time_ns(), q, 0.05, np.array(base))
    return robot.command(seal(target))


def dead(pid):
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except FileNotFoundError:
        return True


def test_worker_and_driver_mean_the_same_joints():
    assert set(STEPPERS) | set(WRIST) | set(HEAD) == set(UNITS)
    assert set(STEPPERS) == {LIFT, ARM}


def test_states_come_and_targets_go(robot, log):
    stamp = robot.observe().stamp_ns
    until(lambda: robot.observe().stamp_ns > stamp, "a new state")
    assert abs(robot.observe().stamp_ns - time.time_ns()) < 5e9
    send(robot, lift=0.304, base=(0.02, 0.0))
    until(lambda: log("base"), "the base's velocity")
    assert log("base")[0]["v"] == pytest.approx(0.02)
    lift = [line for line in log("move") if line["joint"] == "lift"][-1]
    assert lift["a"] == pytest.approx(0.28)
    grip = [line for line in log("move") if line["joint"] == "stretch_gripper"][-1]
    assert grip["x"] == pytest.approx(50.0)  # 5 cm in the fake's per cent
    assert log("startup")[0]["collision_manager"] == 1
    assert robot.diagnostics()["battery"] == "12.5 V"


def test_a_driver_that_disconnects_rests_the_base_and_closes_the_library(log):
    robot = StretchRobot(stretch_rig(), SystemClock())
    robot.connect()
    send(robot, base=(0.1, 0.2))
    until(lambda: log("base"), "the base's velocity")
    robot.disconnect()
    assert log("base")[-1]["v"] == log("base")[-1]["w"] == 0.0
    assert log("stop")
    assert dead(log("startup")[0]["pid"])


def test_a_library_that_does_not_start_is_named_and_never_told_to_move(log, monkeypatch):
    monkeypatch.setenv("FAKE_STRETCH", "dead")
    robot = StretchRobot(stretch_rig(), SystemClock())
    with pytest.raises(UserError, match=r"did not start: .*not answering: lift"):
        robot.connect()
    assert not log("move")
    assert not log("push")
    until(lambda: dead(log("startup")[0]["pid"]), "the process's end")


def test_a_library_that_ends_the_process_is_no_riddle(log, monkeypatch):
    monkeypatch.setenv("FAKE_STRETCH", "exits")
    with pytest.raises(UserError, match="the library ended the process while it read its parameters"):
        StretchRobot(stretch_rig(), SystemClock()).connect()


def test_a_python_without_the_library_is_named(log, monkeypatch):
    monkeypatch.setenv("PYTHONPATH", "")
    with pytest.raises(UserError, match="No module named 'stretch_body'"):
        StretchRobot(stretch_rig(), SystemClock()).connect()


def test_a_python_that_is_not_there_is_named(log):
    with pytest.raises(ConfigError, match=r"stretch\.python: /nowhere/python can't be run"):
        StretchRobot(stretch_rig(stretch={"python": "/nowhere/python"}), SystemClock()).connect()


def test_without_a_fleet_folder_the_variable_is_named(log, monkeypatch):
    monkeypatch.delenv("HELLO_FLEET_ID")
    with pytest.raises(ConfigError, match="HELLO_FLEET_ID is not set"):
        StretchRobot(stretch_rig(), SystemClock()).connect()


def test_an_unhomed_robot_is_refused_even_by_the_process_itself(log, monkeypatch):
    monkeypatch.setenv("FAKE_STRETCH", "lost")
    with pytest.raises(SafetyError, match="not homed"):
        StretchRobot(stretch_rig(), SystemClock()).connect()
    body = ProcessBody(stretch_rig(), SystemClock())
    assert body.startup()
    body.move_to({LIFT: Motion(0.4, 0.1, 0.2)})
    body.set_base_velocity(0.1, 0.0, 0.2)
    body.push()
    stamp = body.status().stamp_ns
    until(lambda: body.status().stamp_ns > stamp + 2e8, "states after the order")
    body.close()
    assert not log("move")
    assert not log("base")
    assert not log("push")


def test_the_processs_death_is_a_fault(robot, log):
    send(robot)
    os.kill(log("startup")[0]["pid"], signal.SIGKILL)
    until(lambda: robot.fault, "the fault")
    assert "the process of Stretch's library ended by signal 9" in robot.fault
    with pytest.raises(SafetyError, match="ended by signal 9"):
        send(robot)
    with pytest.raises(SafetyError, match=r"can't recover yet: .*ended by signal 9"):
        robot.recover()


def test_a_process_that_hangs_is_a_fault_and_holds_nobody_up(robot, log):
    pid = log("startup")[0]["pid"]
    os.kill(pid, signal.SIGSTOP)
    try:
        until(lambda: robot.fault, "the fault")
        assert "nothing new was measured" in robot.fault
        robot.stop()
    finally:
        os.kill(pid, signal.SIGKILL)


DRIVER = """
    import sys, time
    import numpy as np
    sys.path.insert(0, {here!r})
    from stretch_rigs import stretch_rig
    from robot_learning.clock import SystemClock
    from robot_learning.drivers.interfaces import JointTarget, seal
    from robot_learning.drivers.stretch.robot import StretchRobot

    robot = StretchRobot(stretch_rig(), SystemClock())
    robot.connect()
    while True:
        q = robot.observe().joint_position
        robot.command(seal(JointTarget(time.time_ns(), q.copy(), 0.05, np.array([0.2, 0.0]))))
        time.sleep(0.04)
"""


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGSTOP])
def test_where_the_driver_dies_or_hangs_the_base_rests_and_the_joints_stay_powered(log, number):
    code = textwrap.dedent(DRIVER.format(here=str(HERE)))
    driver = subprocess.Popen([sys.executable, "-c", code])
    try:
        until(lambda: len(log("base")) > 3, "a base that drives")
        driver.send_signal(number)
        pid = log("startup")[0]["pid"]
        until(lambda: dead(pid), "the process's end")
    finally:
        driver.kill()
        driver.wait()
    speeds = [line["v"] for line in log("base")]
    assert speeds[-1] == 0.0
    ramp = [v for v in speeds if v < 0.2]
    assert max(np.abs(np.diff(ramp))) < 0.02  # with its acceleration, in small steps
    assert log("collision_stop")
    assert not log("stop")  # which would let the gripper go


def test_preparing_tells_how_it_went(log, monkeypatch):
    monkeypatch.setenv("FAKE_STRETCH", "lost")
    body = ProcessBody(stretch_rig(), SystemClock())
    assert body.startup()
    assert not body.is_homed()
    body.prepare("home")
    assert body.is_homed()
    with pytest.raises(UserError, match="could not stow: RuntimeError: the arm is stuck"):
        body.prepare("stow")
    body.close()
    assert len(log("home")) == 1


def test_homing_that_is_broken_off_leaves_the_motors_in_their_safe_state(log, monkeypatch):
    monkeypatch.setenv("FAKE_STRETCH", "lost slow")
    body = ProcessBody(stretch_rig(), SystemClock())
    assert body.startup()
    body._send({"do": "prepare", "what": "home"})  # `prepare` would wait for its end
    until(lambda: log("home"), "the homing")
    body.close()
    assert len(log("enable_safety")) == 2
    assert not log("move")
