"""camera_node on a real graph."""

import sys
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("rclpy", reason="ROS 2 is not installed: pip install robot_learning[ros]")

import simplejpeg
import yaml
from diagnostic_msgs.msg import DiagnosticArray
from rclpy.qos import QoSProfile, ReliabilityPolicy
from sensor_msgs.msg import CameraInfo, CompressedImage, Image

from robot_learning import nodes
from robot_learning.drivers.cameras.pattern import bar_px
from robot_learning.nodes import messages

RELIABLE, BEST_EFFORT = (
    QoSProfile(depth=200, reliability=r) for r in (ReliabilityPolicy.RELIABLE, ReliabilityPolicy.BEST_EFFORT)
)
PROFILE = str(Path(nodes.__path__[0]) / "fastdds.xml")
BIG = {"type": "pattern", "width_px": 640, "height_px": 480, "rate_hz": 60}
SMALL = {"type": "pattern", "width_px": 64, "height_px": 48, "rate_hz": 30, "depth": True}


def rig_with(folder, **camera):
    content = yaml.safe_load((Path(__file__).parents[2] / "hardware_configs" / "panda_sim.yaml").read_text())
    del content["simulation"]
    content["cameras"] = {"front": camera}
    for stream in ("front_depth", "wrist", "wrist_depth"):
        del content["policy"]["alignment"][stream]
    path = folder / "rig.yaml"
    path.write_text(yaml.safe_dump(content))
    return path


def frame_of(message) -> int:
    """Which frame a 640x480 picture shows, by its bar; the whole picture must be that frame's."""
    pixels = messages.pixels(message)
    assert pixels.shape == (480, 640, 3)
    left = int(np.argmax((pixels == 255).all(axis=(0, 2))))
    assert (pixels[:, left : left + 16] == 255).all()
    return left


@pytest.fixture
def with_profile(monkeypatch):
    """This process and those that it starts use the profile that ships."""
    monkeypatch.setenv("FASTDDS_DEFAULT_PROFILES_FILE", PROFILE)


@pytest.mark.parametrize("qos", [RELIABLE, BEST_EFFORT], ids=["reliable", "best_effort"])
def test_frames_of_640x480_at_60_hz_arrive_whole(with_profile, graph, tmp_path, qos):
    got = []
    graph.node.create_subscription(Image, "/r/front/color/image_raw", lambda m, info: got.append((m, info)), qos)
    graph.start("robot_learning.nodes.camera_node", "front", "/r", rig=str(rig_with(tmp_path, **BIG)))
    graph.until(lambda: len(got) >= 120)
    stamps = np.array([messages.stamp_of(m) for m, _ in got])
    sequence = np.round((stamps - stamps[0]) * 60 / 1e9).astype(int)
    assert (np.diff(sequence) > 0).all()
    first = next(k for k in range(160) if bar_px(k, 640) == frame_of(got[0][0]))
    assert [frame_of(m) for m, _ in got] == [bar_px(first + k, 640) for k in sequence]  # each is the one of its stamp
    numbers = np.array([info["publication_sequence_number"] for _, info in got])
    lost = int(numbers[-1] - numbers[0] + 1 - len(got))
    # Best effort loses what a busy machine is too slow to take; without the profile it loses nearly everything.
    assert lost == 0 if qos is RELIABLE else lost < 60


def test_every_form_of_a_picture_has_the_same_stamp_and_content(graph, tmp_path):
    images = graph.collect(Image, "/r/front/color/image_raw", RELIABLE)
    jpegs = graph.collect(CompressedImage, "/r/front/color/image_raw/compressed", RELIABLE)
    infos = graph.collect(CameraInfo, "/r/front/color/camera_info", RELIABLE)
    depths = graph.collect(Image, "/r/front/aligned_depth_to_color/image_raw", RELIABLE)
    graph.start("robot_learning.nodes.camera_node", "front", "/r", rig=str(rig_with(tmp_path, **SMALL)))

    def together():
        forms = [{messages.stamp_of(m): m for m in got} for got in (images, jpegs, infos, depths)]
        common = set.intersection(*map(set, forms))
        return [[form[stamp] for form in forms] for stamp in sorted(common)]

    graph.until(lambda: len(together()) > 5)
    image, jpeg, info, depth = together()[-1]
    assert {m.header.frame_id for m in (image, jpeg, info, depth)} == {"front_optical"}
    pixels, millimetres = messages.pixels(image), messages.pixels(depth)
    assert (millimetres.shape, millimetres.dtype) == ((48, 64), np.uint16)
    white = (pixels == 255).all(axis=2)
    assert (millimetres[white] == 0).all()
    assert (millimetres[~white] > 0).all()
    decoded = simplejpeg.decode_jpeg(bytes(jpeg.data))
    assert np.abs(decoded.astype(int) - pixels).mean() < 4
    assert (info.width, info.height, info.k[0], info.k[2]) == (64, 48, 64.0, 32.0)


def test_an_unplugged_camera_is_told_and_comes_back_by_itself(graph, tmp_path):
    images = graph.collect(Image, "/r/front/color/image_raw", RELIABLE)
    diagnostics = graph.collect(DiagnosticArray, "/diagnostics")
    rig = rig_with(tmp_path, **SMALL | {"type": "fragile"})
    graph.spawn(
        [sys.executable, str(Path(__file__).parent / "fake_fragile_camera.py"), "--ros-args", "-r", "__ns:=/r",
         "-r", "__node:=front", "-p", f"rig:={rig}"],
        "fragile", env={"FAKE_CAMERA_FOLDER": str(tmp_path)},
    )  # fmt: skip
    graph.until(lambda: images)
    (tmp_path / "unplugged").touch()
    text = "the camera 'front' (serial number 0123) is not there; plug it in."
    graph.until(lambda: diagnostics and text in [s.message for s in diagnostics[-1].status])
    (tmp_path / "unplugged").unlink()
    seen = len(images)
    graph.until(lambda: len(images) > seen + 10)
    graph.until(lambda: text not in [s.message for s in diagnostics[-1].status])


@pytest.mark.parametrize(
    ("camera", "name", "says"),
    [
        (SMALL | {"type": "mujoco"}, "front", "its camera is in sim_node"),
        (SMALL, "frnt", "unknown camera of the rig panda_sim 'frnt'; did you mean 'front'?"),
    ],
    ids=["simulated", "misspelt"],
)
def test_a_camera_that_it_has_not_is_a_sentence_and_exit_code_2(graph, tmp_path, camera, name, says):
    process = graph.start("robot_learning.nodes.camera_node", name, "/r", rig=str(rig_with(tmp_path, **camera)))
    graph.until(lambda: process.popen.poll() is not None)
    assert process.popen.returncode == 2
    assert says in process.log
    assert "Traceback" not in process.log
