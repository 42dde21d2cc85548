"""camera_node with a RealSense recording, over real DDS."""

import re
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("rclpy", reason="ROS 2 is not installed: pip install robot_learning[ros]")

import yaml
from diagnostic_msgs.msg import DiagnosticArray
from fake_rig import FakeRig, small_rig
from rclpy.qos import QoSProfile, ReliabilityPolicy
from realsense_recordings import make_recording
from recording import Recording
from sensor_msgs.msg import CameraInfo, Image

from robot_learning.drivers.cameras.synthetic import BOX_M, NEAR_M
from robot_learning.nodes import messages

RELIABLE = QoSProfile(depth=200, reliability=ReliabilityPolicy.RELIABLE)
BEND = (0.1, -0.05, 0.002, -0.001, 0.01)
SIZE = {"width_px": 160, "height_px": 120, "rate_hz": 30}
RED = (230, 60, 40)


def rig_with(folder, **camera):
    rigs = Path(__file__).parents[3] / "hardware_configs"
    content = yaml.safe_load((rigs / "panda_sim.yaml").read_text())
    del content["simulation"]
    content["cameras"] = {"front": {"type": "realsense", **SIZE} | camera}
    for stream in ("front_depth", "wrist", "wrist_depth"):
        del content["policy"]["alignment"][stream]
    path = folder / "rig.yaml"
    path.write_text(yaml.safe_dump(content))
    return str(path)


def common(*topics):
    """Messages of several topics by stamp, where all have come."""
    forms = [{messages.stamp_of(m): m for m in got} for got in topics]
    return [[form[stamp] for form in forms] for stamp in sorted(set.intersection(*map(set, forms)))]


def values(diagnostics, name):
    """Of the newest status line of a name."""
    lines = [s for s in (diagnostics[-1].status if diagnostics else []) if s.name == name]
    return messages.values_of(lines[0]) if lines else {}


def grey(message):
    return np.frombuffer(message.data, np.uint8).reshape(message.height, message.width)


def test_colour_aligned_depth_infrared_and_lenses_arrive_together(graph, tmp_path):
    make_recording(tmp_path / "a.db3", 2.0, **SIZE, distortion=BEND, baseline_m=0.05, missing=frozenset({20, 21}))
    topics = {
        "image": (Image, "color/image_raw"), "info": (CameraInfo, "color/camera_info"),
        "depth": (Image, "aligned_depth_to_color/image_raw"),
        "depth_info": (CameraInfo, "aligned_depth_to_color/camera_info"),
        "left": (Image, "infra1/image_rect_raw"), "right": (Image, "infra2/image_rect_raw"),
        "right_info": (CameraInfo, "infra2/camera_info"),
    }  # fmt: skip
    got = {key: graph.collect(type, f"/r/front/{name}", RELIABLE) for key, (type, name) in topics.items()}
    diagnostics = graph.collect(DiagnosticArray, "/diagnostics")
    rig = rig_with(tmp_path, file=str(tmp_path / "a.db3"), loop=True, depth=True, infrared=True)
    graph.start("robot_learning.nodes.camera_node", "front", "/r", rig=rig)
    graph.until(lambda: len(common(*got.values())) > 20)
    image, info, depth, depth_info, left, right, right_info = common(*got.values())[10]
    assert {m.header.frame_id for m in (image, info, depth, depth_info)} == {"front_optical"}
    assert (left.header.frame_id, right.header.frame_id) == ("front_infra1_optical", "front_infra2_optical")
    assert (image.encoding, depth.encoding, left.encoding) == ("rgb8", "16UC1", "mono8")
    focal = 0.95 * 160
    for about in (info, depth_info):  # aligned depth is the colour camera's picture
        assert (about.width, about.height, about.distortion_model) == (160, 120, "plumb_bob")
        np.testing.assert_allclose(about.k, [focal, 0, 80, 0, focal, 60, 0, 0, 1], rtol=1e-6)
        np.testing.assert_allclose(about.d, BEND, rtol=1e-6)
    np.testing.assert_allclose(right_info.p[3], -0.6 * 160 * 0.05, rtol=1e-6)
    pixels, millimetres = messages.pixels(image), messages.pixels(depth)
    red = (pixels == RED).all(axis=2)
    assert abs(red.any(axis=0).sum() - 2 * BOX_M / NEAR_M * focal) <= 1
    assert np.median(millimetres[red]) == round(NEAR_M * 1e3)
    boxes = [np.median(np.argwhere(grey(m)[60] == 200)) for m in (left, right)]
    assert abs(boxes[0] - boxes[1] - 0.05 / NEAR_M * 0.6 * 160) <= 1  # the disparity of the box
    graph.until(lambda: int(values(diagnostics, "front: device").get("missing", 0)) >= 2)
    told = values(diagnostics, "front: device")
    assert (told["serial"], told["timestamp_domain"]) == ("000000000001", "hardware_clock")
    assert float(told["depth.to_color"].split()[3]) == pytest.approx(0.015)
    graph.until(lambda: int(values(diagnostics, "front: front").get("dropped", 0)) >= 2)


def test_an_episode_says_which_camera_took_it_and_what_its_stamps_are(graph, tmp_path):
    make_recording(tmp_path / "a.db3", 2.0, width_px=32, height_px=24, rate_hz=30, distortion=BEND)
    camera = {"type": "realsense", "file": str(tmp_path / "a.db3"), "loop": True, "width_px": 32, "height_px": 24}
    path = small_rig(tmp_path, cameras={"front": camera | {"rate_hz": 30, "codec": "lossless"}})
    diagnostics = graph.collect(DiagnosticArray, "/diagnostics")
    FakeRig(graph, path, "/small", without=("front",))
    graph.start("robot_learning.nodes.camera_node", "front", "/small", rig=str(path))
    recorder = Recording(graph, path, tmp_path / "store", "/small")
    graph.until(lambda: "timestamp_domain" in values(diagnostics, "front: device"))
    recorder.begin()
    recorder.record_for(300)
    assert recorder.call("success").success
    episode = recorder.until_ended()
    about = episode.metadata["provenance"]["cameras"]["front"]
    assert (about["serial"], about["timestamp_domain"]) == ("000000000001", "hardware_clock")
    assert about["color.fx_fy_cx_cy"] == "30.4 30.4 16 12"
    assert about["color.distortion"] == "0.1 -0.05 0.002 -0.001 0.01"
    front = episode.streams["front"]
    assert len(front) > 10
    assert (front.read(np.arange(len(front))) == RED).all(axis=3).any(axis=(1, 2)).all()  # the box is in each


def test_depth_that_is_not_aligned_has_a_topic_of_its_own(graph, tmp_path):
    make_recording(tmp_path / "a.db3", 1.0, **SIZE)
    depths = graph.collect(Image, "/r/front/depth/image_rect_raw", RELIABLE)
    infos = graph.collect(CameraInfo, "/r/front/depth/camera_info", RELIABLE)
    rig = rig_with(tmp_path, file=str(tmp_path / "a.db3"), loop=True, depth=True, align=False)
    graph.start("robot_learning.nodes.camera_node", "front", "/r", rig=rig)
    graph.until(lambda: len(common(depths, infos)) > 3)
    depth, info = common(depths, infos)[-1]
    assert depth.header.frame_id == info.header.frame_id == "front_depth_optical"
    assert info.k[0] == pytest.approx(0.6 * 160)
    assert (messages.pixels(depth) > 0).all()


def test_the_end_of_a_recording_is_told_and_the_camera_comes_back(graph, tmp_path):
    make_recording(tmp_path / "a.db3", 1.0, **SIZE)
    images = graph.collect(Image, "/r/front/color/image_raw", RELIABLE)
    process = graph.start(
        "robot_learning.nodes.camera_node", "front", "/r", rig=rig_with(tmp_path, file=str(tmp_path / "a.db3"))
    )
    graph.until(lambda: "is at its end" in process.log)
    seen = len(images)
    graph.until(lambda: "the camera is back" in process.log and len(images) > seen + 10)


def test_a_serial_number_that_is_not_there_is_one_sentence_and_exit_code_2(graph, tmp_path):
    make_recording(tmp_path / "a.db3", 0.2, **SIZE)
    rig = rig_with(tmp_path, file=str(tmp_path / "a.db3"), serial="000000000002")
    process = graph.start("robot_learning.nodes.camera_node", "front", "/r", rig=rig)
    graph.until(lambda: process.popen.poll() is not None)
    assert process.popen.returncode == 2
    assert re.search("serial number 000000000002 is connected; did you mean '000000000001'", process.log)
    assert "Traceback" not in process.log
