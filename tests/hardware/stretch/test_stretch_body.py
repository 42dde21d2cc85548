"""The driver over Hello Robot's genuine library, which here finds no robot."""

import time
from pathlib import Path

import pytest
import yaml
from stretch_fleet import make_fleet
from stretch_rigs import JOINTS, stretch_content, stretch_rig

from robot_learning.clock import SystemClock
from robot_learning.drivers.stretch import doctor, prepare
from robot_learning.drivers.stretch.checks import check_model
from robot_learning.drivers.stretch.process import ProcessBody, _read_model
from robot_learning.drivers.stretch.robot import StretchRobot
from robot_learning.errors import ConfigError, UserError

pytestmark = pytest.mark.usefixtures("alone")
MODEL = """
import json
import stretch_body.robot, worker
print(json.dumps(worker.Stretch(stretch_body.robot.Robot(), 25.0).model()))
"""

# Counts what the genuine library is told to do, from the moment that the worker's own code begins.
SPY = """
import json, os, sys
import stretch_body.robot, stretch_body.base, stretch_body.prismatic_joint, stretch_body.dynamixel_hello_XL430
import worker
calls = []

def spy(owner, name):
    genuine = getattr(owner, name)
    def told(self, *args, **kwargs):
        calls.append(f"{owner.__name__}.{name}")
        return genuine(self, *args, **kwargs)
    setattr(owner, name, told)

for owner in (stretch_body.prismatic_joint.PrismaticJoint, stretch_body.dynamixel_hello_XL430.DynamixelHelloXL430):
    spy(owner, "move_to"); spy(owner, "set_velocity")
spy(stretch_body.base.Base, "set_velocity")
spy(stretch_body.robot.Robot, "push_command")
stretch = worker.Stretch(stretch_body.robot.Robot(), 25.0)
ok = stretch.startup(True)
said = stretch.why_not()
homed = bool(stretch.robot.is_homed())
stretch.move({"joint_lift": [0.5, 0.1, 0.2, None], "joint_wrist_yaw": [0.1, 1, 1, None]}, [0.1, 0.0, 0.1])
stretch.rest(0.2, 0.2)
ours = list(calls)
stretch.robot.lift.move_to(0.5); stretch.robot.push_command()  # what the library lets pass without a word
report = {"ok": ok, "homed": homed, "said": said, "ours": ours, "library": calls[len(ours):],
          "collision": stretch.robot.params["use_collision_manager"]}
sys.stdout.flush()
stretch.robot.collision.stop(); stretch.robot.stop()
print(json.dumps(report), flush=True)
os._exit(0)
"""


def test_without_a_robot_startup_says_no_and_nothing_is_ever_told_to_move(inside, fleet):
    report = inside(SPY, fleet)
    assert report["ok"] is False
    assert report["homed"] is False
    assert "lift" in report["said"]
    assert "pimu" in report["said"]
    assert report["ours"] == []
    assert "Robot.push_command" in report["library"]  # raised nothing: so the driver has to ask
    assert report["collision"] == 1


def test_the_driver_refuses_to_connect_and_says_what_does_not_answer(stretch_python, fleet):
    robot = StretchRobot(stretch_rig(stretch={"python": stretch_python}), SystemClock())
    begin = time.monotonic()
    with pytest.raises(UserError, match=r"did not start: startup\(\) said no; not answering: pimu, wacc, lift"):
        robot.connect()
    assert time.monotonic() - begin < 60
    with pytest.raises(UserError, match="not connected"):
        robot.observe()


def test_a_missing_fleet_folder_is_told(stretch_python, fleet, monkeypatch):
    monkeypatch.setenv("HELLO_FLEET_ID", "stretch-se3-9999")
    with pytest.raises(UserError, match="ended the process while it read its parameters"):
        StretchRobot(stretch_rig(stretch={"python": stretch_python}), SystemClock()).connect()


def test_the_models_numbers_are_the_robots_own(inside, fleet):
    model = _read_model(inside(MODEL, fleet))
    assert (model.name, model.tool, model.status_rate_hz) == ("SE3", "eoa_wrist_dw3_tool_sg3", 25.0)
    assert model.joints["joint_lift"].high == 1.1
    assert model.joints["joint_lift"].velocity_max == 0.15
    assert model.joints["wrist_extension"].high == 0.52
    assert model.joints["joint_wrist_yaw"].low == pytest.approx(-1.409, abs=1e-3)
    assert model.joints["joint_wrist_pitch"].low == pytest.approx(-1.571, abs=1e-3)
    assert model.base_speed_max_m_s == 0.3
    assert model.wheel_separation_m == 0.3153
    check_model(stretch_rig(), model)
    higher = stretch_rig(limits={"joint_position_max": [1.15, 0.5, 4.0, 0.4, 2.8]})
    with pytest.raises(ConfigError, match=r"joint_position_max of joint_lift is 1\.15, above the robot's own 1\.1"):
        check_model(higher, model)


@pytest.mark.parametrize("name", ["RE1V0", "RE2V0"])
@pytest.mark.parametrize("tool", ["tool_stretch_gripper", "tool_stretch_dex_wrist"])
def test_older_models_have_the_joints_that_ours_say(name, tool, inside, stretch_python, tmp_path):
    model = _read_model(inside(MODEL, make_fleet(tmp_path, stretch_python, name, tool)))
    joints = JOINTS if "dex" in tool else JOINTS[:3]
    assert (model.name, model.tool) == (name, tool)
    assert {*joints, "joint_head_pan", "joint_head_tilt", "gripper_width"} == set(model.joints)


def test_two_drivers_can_t_have_one_robot(stretch_python, fleet, inside):
    code = """
import json, os, subprocess, sys
import stretch_body.hello_utils as utils
got, lock = utils.acquire_body_filelock()
import stretch_body.robot, worker
done = subprocess.run([sys.executable, "-c", '''
import json, os, stretch_body.robot, worker
stretch = worker.Stretch(stretch_body.robot.Robot(), 25.0)
ok = stretch.startup(True)
print(json.dumps([ok, stretch.why_not()]), flush=True)
os._exit(0)
'''], capture_output=True, text=True)
print(done.stdout.splitlines()[-1])
"""
    assert inside(code, fleet) == [False, "another process uses this Stretch"]


def test_the_doctor_names_what_is_there_and_what_is_not(stretch_python, fleet, monkeypatch):
    rig = stretch_rig(stretch={"python": stretch_python})
    found = {finding.what: finding for finding in doctor.findings(rig)}
    assert found["stretch_body"].mark == "ok"
    assert found["stretch_body"].detail.startswith(doctor.TESTED_VERSION)
    assert found["fleet folder"].mark == "ok"
    assert found["startup"].mark == "FAIL"
    assert "not answering: pimu" in found["startup"].detail
    monkeypatch.setenv("HELLO_FLEET_ID", "stretch-se3-9999")
    found = {finding.what: finding for finding in doctor.findings(rig)}
    assert "lacks stretch_configuration_params.yaml" in found["fleet folder"].detail
    assert "startup" not in found


def test_preparing_a_robot_that_is_not_there_says_so(stretch_python, fleet, tmp_path, capsys):
    path = tmp_path / "rig.yaml"
    path.write_text(yaml.safe_dump(stretch_content() | {"stretch": {"python": stretch_python}}))
    assert prepare.main(["home", "--rig", str(path)], ask=lambda question: "no") == 1
    assert prepare.main(["home", "--rig", str(path), "--yes"]) == 2
    told = capsys.readouterr()
    assert "Clear a metre and a half" in told.out
    assert "did not start: startup() said no" in told.err


def test_the_process_leaves_nothing_behind(stretch_python, fleet):
    body = ProcessBody(stretch_rig(stretch={"python": stretch_python}), SystemClock())
    assert not body.startup()
    pid = body._process.pid
    body.close()
    groups = [p.read_text().rpartition(")")[2].split() for p in map(_stat, Path("/proc").glob("[0-9]*")) if p]
    assert not [fields for fields in groups if fields[2] == str(pid) and fields[0] != "Z"]


def _stat(folder):
    path = folder / "stat"
    try:
        path.read_text()
    except OSError:
        return None
    return path
