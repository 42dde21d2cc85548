"""`robot-learning calibrate` from recorded episodes to the rig file, as a user meets it."""

import json
import sys

import numpy as np
import pytest

pytest.importorskip("mujoco", reason="the sim extra is not installed")
pytest.importorskip("cv2", reason="OpenCV is not installed: pip install 'opencv-python>=4.8'")

import calibration_episodes as recordings
from test_delays import fingers, lively, simulated

from robot_learning.calibration.poses import angle_deg, distance_mm, from_quaternion, pose
from robot_learning.calibration.rendered import HOME, BoardScene
from robot_learning.cli import main as cli
from robot_learning.rig import load_rig
from robot_learning.rig_parts.calibration import BoardConfig

BOARD = BoardConfig(square_m=0.03, marker_m=0.022)
SQUARES = ("--square-m", "0.03", "--marker-m", "0.022")


def run(capsys, monkeypatch, *arguments):
    monkeypatch.setattr(sys, "argv", ["robot-learning", "calibrate", *map(str, arguments)])
    with pytest.raises(SystemExit) as ended:
        cli.main()
    printed = capsys.readouterr()
    return int(ended.value.code or 0), printed.out + printed.err


def stops(scene, count):
    """Poses and pictures."""
    found = []
    for _ in range(count):
        scene.place(scene.joints_for())
        found.append((scene.tool(), scene.render()))
    return found


@pytest.mark.parametrize(("mount", "camera", "command"), [("hand", "wrist", "hand-eye"), ("static", "front", "camera")])
def test_a_cameras_pose_from_an_episode_into_the_rig_file(tmp_path, capsys, monkeypatch, mount, camera, command):
    rig = recordings.rig_file(tmp_path)
    scene = BoardScene(BOARD, mount, seed=11)
    recording = recordings.Recording(rig, tmp_path)
    shown = stops(scene, 14)
    shown.insert(
        3, (shown[2][0] @ pose([0.1, 0, 0], np.eye(3)), np.full_like(shown[0][1], 200))
    )  # the board is not seen
    recordings.hold_and_move(recording, camera, shown)
    episode = recording.seal()
    lens = scene.intrinsics
    code, text = run(
        capsys, monkeypatch, command, "--rig", rig, "--camera", camera, "--store", recording.store.path, *SQUARES,
        "--intrinsics-px", lens.fx, lens.fy, lens.cx, lens.cy, "--output", tmp_path / "out",
    )  # fmt: skip
    scene.close()
    assert code == 0, text
    assert "no marker of the board is seen" in text
    loaded = load_rig(rig)
    record = loaded.calibration.cameras[camera]
    found = from_quaternion(np.array(record.position_m), np.array(record.quaternion_wxyz))
    assert distance_mm(found, scene.camera_pose) < 2.0
    assert angle_deg(found, scene.camera_pose) < 0.3
    assert record.source == f"store/{episode.id}"
    assert record.poses >= 12
    page = (tmp_path / "out" / "calibration.html").read_text()
    assert page.count("<svg") == 2
    assert "data:image/jpeg" in page
    assert json.loads((tmp_path / "out" / "calibration.json").read_text())["mount"] == mount
    code, text = run(capsys, monkeypatch, "show", rig)
    assert code == 0
    assert f"cameras.{camera}: the camera is at (" in text


def test_latency_from_an_episode(tmp_path, capsys, monkeypatch):
    rig = recordings.rig_file(tmp_path, 160, 120)
    recording = recordings.Recording(rig, tmp_path)
    scene = BoardScene(BoardConfig(), "static", 2, 160, 120, fine=False)

    def swing(t):
        return HOME + np.array([0.15, 0, 0, 0.06, 0, 0, 0]) * np.sin(np.pi * t)

    for t in np.arange(0, 6.5, 0.01):
        recording.add("joint_position", t, swing(t))
    for t in np.arange(0.4, 6.3, 1 / 30):
        scene.place(swing(t - 0.052))
        recording.add("front", t, scene.render())
    scene.close()
    recording.seal()
    arguments = ("latency", "--rig", rig, "--store", recording.store.path, "--output", tmp_path / "out")
    code, text = run(capsys, monkeypatch, *arguments, "--camera", "front", "--dry-run")
    assert code == 0, text
    assert load_rig(rig).calibration is None
    code, text = run(capsys, monkeypatch, *arguments, "--camera", "front")
    assert code == 0, text
    assert load_rig(rig).calibration.latency["front"].latency_s == pytest.approx(0.052, abs=0.005)
    code, text = run(capsys, monkeypatch, *arguments, "--camera", "frnt")
    assert code == 2
    assert "unknown camera of the rig station 'frnt'; did you mean 'front'" in text
    code, text = run(capsys, monkeypatch, *arguments, "--camera", "wrist")
    assert code == 2
    assert "holds 0 samples of 'wrist'" in text


def test_delays_of_arm_and_gripper_from_an_episode(tmp_path, capsys, monkeypatch):
    rig = recordings.rig_file(tmp_path)
    recording = recordings.Recording(rig, tmp_path)
    times, commands = lively(12.0)
    at, motion = simulated(times, commands, 12.0, 0.07, 0.04)
    _, widths, at_w, measured = fingers(0.12, 0.1)
    for i, t in enumerate(times):
        recording.command(t, [commands[i, 0], commands[i, 1], 0.3], widths[min(i, len(widths) - 1)])
    for t, p in zip(at, motion, strict=True):
        recording.tool(t, pose([*p, 0.3], np.eye(3)))
    for t, w in zip(at_w, measured, strict=True):
        recording.add("gripper_width", t, np.array([w]))
    recording.seal()
    arguments = ("--rig", rig, "--store", recording.store.path, "--output", tmp_path / "out")
    code, text = run(capsys, monkeypatch, "actuator", *arguments)
    assert code == 0, text
    code, text = run(capsys, monkeypatch, "gripper", *arguments)
    assert code == 0, text
    loaded = load_rig(rig)
    assert loaded.calibration.actuator.delay_s == pytest.approx(0.07, abs=0.005)
    assert loaded.calibration.actuator.lag_s == pytest.approx(0.04, abs=0.005)
    assert set(loaded.calibration.actuator.joints) == {"x", "y"}
    assert loaded.calibration.gripper.close_delay_s == pytest.approx(0.12, abs=0.005)
    assert loaded.policy.execution.actuator_delay_s == pytest.approx(0.11, abs=0.005)
    assert loaded.name == "station"
    assert rig.read_text().startswith("# The station by the window.\n")


def test_mistakes_are_one_sentence_and_leave_the_rig_file_alone(tmp_path, capsys, monkeypatch):
    rig = recordings.rig_file(tmp_path)
    old = rig.read_bytes()
    recording = recordings.Recording(rig, tmp_path)
    for t in np.arange(0, 3, 0.01):
        recording.tool(t, pose([0.3 + 0.1 * t, 0, 0.3], np.eye(3)))
    for t in (1.0, 2.0):
        recording.add("wrist", t, np.zeros((480, 640, 3), np.uint8))
    recording.seal()
    place = ("--rig", rig, "--store", recording.store.path, "--output", tmp_path / "out")
    for arguments, says in (
        (("hand-eye", *place, "--camera", "wrist"), "the tool never rested for 0.3 s"),
        (("hand-eye", *place, "--camera", "wrist", "--marker-m", "0.05"), "a marker needs a white rim"),
        (("hand-eye", *place, "--camera", "wrist", "--distortion", "0.1"), "--distortion belongs to --intrinsics-px"),
        (("actuator", *place), "holds 0 samples of 'action_gated'"),
        (("board", tmp_path / "b.pdf", "--page", "A9"), "unknown page 'A9'"),
    ):
        code, text = run(capsys, monkeypatch, *arguments)
        assert (code, says in text) == (2, True), text
        assert "Traceback" not in text
    assert rig.read_bytes() == old
