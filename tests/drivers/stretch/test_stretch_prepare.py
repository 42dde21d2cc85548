"""Homing on request, and what the doctor finds: over a fake of Stretch's library."""

import json
from pathlib import Path

import pytest
import yaml
from stretch_rigs import stretch_content, stretch_rig

from robot_learning.drivers.stretch import doctor, prepare

pytest.importorskip("stretch_urdf", reason="hello-robot-stretch-urdf is not installed")


@pytest.fixture
def log(tmp_path, monkeypatch):
    path = tmp_path / "log.jsonl"
    monkeypatch.setenv("FAKE_STRETCH_LOG", str(path))
    monkeypatch.setenv("FAKE_STRETCH", "lost")
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parent / "fake_library"))
    monkeypatch.setenv("HELLO_FLEET_PATH", str(tmp_path))
    monkeypatch.setenv("HELLO_FLEET_ID", "robot")
    (tmp_path / "robot").mkdir()
    for file in doctor.FLEET_FILES:
        (tmp_path / "robot" / file).touch()
    return lambda: [json.loads(line)["call"] for line in path.read_text().splitlines()] if path.exists() else []


@pytest.fixture
def rig_file(tmp_path):
    path = tmp_path / "rig.yaml"
    path.write_text(yaml.safe_dump(stretch_content()))
    return str(path)


def test_homing_warns_asks_homes_and_closes(log, rig_file, capsys):
    assert prepare.main(["home", "--rig", rig_file], ask=lambda question: "yes") == 0
    told = capsys.readouterr().out
    assert told.index("Clear a metre and a half") < told.index("Homed.")
    assert [call for call in log() if call in ("home", "move", "base", "stop")] == ["home", "stop"]


def test_whoever_does_not_say_yes_starts_nothing(log, rig_file, capsys):
    assert prepare.main(["home", "--rig", rig_file], ask=lambda question: "") == 1
    assert "Nothing was done" in capsys.readouterr().out
    assert log() == []


def test_a_robot_that_is_not_homed_is_not_stowed(log, rig_file, capsys):
    assert prepare.main(["stow", "--rig", rig_file, "--yes"]) == 2
    assert "does not stow: it is not homed" in capsys.readouterr().err
    assert "stow" not in log()


def test_a_stow_that_fails_says_why(log, rig_file, capsys, monkeypatch):
    monkeypatch.setenv("FAKE_STRETCH", "")
    assert prepare.main(["stow", "--rig", rig_file, "--yes"]) == 2
    assert "could not stow: RuntimeError: the arm is stuck" in capsys.readouterr().err


def test_only_a_stretch_is_prepared(capsys):
    assert prepare.main(["home", "--rig", "panda_sim", "--yes"]) == 2
    assert "has a mujoco_panda, not a stretch" in capsys.readouterr().err


def test_the_doctor_looks_at_the_robot_without_moving_it(log):
    found = {finding.what: finding for finding in doctor.findings(stretch_rig())}
    assert found["startup"].mark == found["limits"].mark == found["battery"].mark == found["runstop"].mark == "ok"
    assert found["stretch_body"].mark == "--"  # a version that nobody tried
    assert found["homed"].mark == "FAIL"
    assert "prepare home --rig stretch_test" in found["homed"].remedy
    assert not {"move", "base", "push", "home"} & set(log())


def test_the_doctor_stops_where_the_folder_is_incomplete(log, tmp_path):
    (tmp_path / "robot" / doctor.FLEET_FILES[0]).unlink()
    found = {finding.what: finding for finding in doctor.findings(stretch_rig())}
    assert "lacks stretch_configuration_params.yaml" in found["fleet folder"].detail
    assert "startup" not in found
    assert log() == []


def test_the_doctor_finds_a_rig_with_another_robots_joints(log):
    rig = stretch_rig(robot={"joint_names": ["joint_lift", "arm", "joint_wrist_yaw", "joint_wrist_pitch", "roll"]})
    (found,) = doctor.findings(rig)
    assert found.mark == "FAIL"
    assert "no joint 'arm'" in found.detail
