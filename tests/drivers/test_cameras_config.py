"""The cameras section of a rig file: which keys a type takes, and what they may be."""

import pytest
import yaml

from robot_learning.errors import ConfigError
from robot_learning.rig import parse_rig, rig_path
from robot_learning.rig_parts.cameras import KEYS, CameraConfig
from robot_learning.topics import topics

SIZE = {"width_px": 640, "height_px": 480, "rate_hz": 30}


def rig_with(text):
    content = yaml.safe_load(rig_path("panda_sim").read_text())
    del content["simulation"]
    content["cameras"] = {"front": SIZE | yaml.safe_load(text)}
    for stream in ("front_depth", "wrist", "wrist_depth"):
        content["policy"]["alignment"].pop(stream, None)
    return parse_rig(content, "rig.yaml")


def test_every_key_of_a_realsense():
    rig = rig_with("""
      type: realsense
      serial: "012345678901"
      depth: true
      infrared: true
      depth_width_px: 848
      depth_height_px: 480
      exposure_us: 8000
      gain: 32
      white_balance_k: auto
      depth_exposure_us: auto
      laser_mw: 150
      preset: High Accuracy
      timestamps: hardware
      sync: master
      filters: {near_m: 0.2, far_m: 2.0, spatial: {alpha: 0.6}, temporal: {}, hole_filling: nearest}
    """)
    camera = rig.cameras["front"]
    assert camera.filters.spatial.alpha == 0.6
    assert camera.filters.temporal.persistence == 3
    assert (camera.exposure_us, camera.white_balance_k) == (8000, "auto")
    assert {spec.name: spec.shape for spec in rig.streams() if "front" in spec.name} == {
        "front": (480, 640, 3),
        "front_depth": (480, 640),
    }


def test_depth_that_is_not_aligned_has_its_own_size_frame_and_topic():
    rig = rig_with("{type: realsense, depth: true, align: false, depth_width_px: 848, depth_height_px: 480}")
    depth = rig.contract().stream("front_depth")
    assert (depth.shape, depth.frame) == ((480, 848), "front_depth_optical")
    assert topics(rig)["front_depth"].topic == "front/depth/image_rect_raw"
    aligned = rig_with("{type: realsense, depth: true, depth_width_px: 848, depth_height_px: 480}")
    depth = aligned.contract().stream("front_depth")
    assert (depth.shape, depth.frame) == ((480, 640), "front_optical")
    assert topics(aligned)["front_depth"].topic == "front/aligned_depth_to_color/image_raw"


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("{type: pattern, serial: '1'}", "serial belongs to cameras of type realsense, not pattern"),
        (
            "{type: uvc, device: 0, depth: true}",
            "depth belongs to cameras of type mujoco or pattern or realsense, not uvc",
        ),
        ("{type: video, file: a.mp4, exposure_us: 100}", "a video camera takes file, loop, play_at"),
        ("{type: realsense, device: /dev/video0}", "device belongs to cameras of type uvc, not realsense"),
        ("{type: realsense, serial: 012345}", "needs quotes"),
        ("{type: realsense, sreial: '1'}", "unknown key 'cameras.front.sreial'; did you mean 'serial'"),
        ("{type: realsense, rate_hz: 29.97}", "a whole number, got 29.97"),
        ("{type: realsense, file: a.db3, exposure_us: 8000}", "exposure_us: a recording was made with"),
        ("{type: realsense, loop: true}", "loop is for recordings"),
        ("{type: realsense, align: false}", "align: without depth: true there is no depth"),
        ("{type: realsense, gain: 10}", "gain: automatic exposure sets the gain, too; fix exposure_us"),
        ("{type: realsense, depth: true, depth_width_px: 848}", "depth_width_px and depth_height_px go together"),
        (
            "{type: realsense, depth: true, filters: {near_m: 2, far_m: 1}}",
            "near_m = 2.0 must be less than far_m = 1.0",
        ),
        ("{type: realsense, depth: true, filters: {decimation: 2}}", "unknown key 'cameras.front.filters.decimation'"),
        ("{type: realsense, sync: mastr}", "'master', 'slave' or 'full_slave'"),
        ("{type: uvc}", "a uvc camera needs device"),
        ("{type: uvc, device: 0, fourcc: MJPEG}", "fourcc"),
        ("{type: video}", "a video camera needs file"),
    ],
)
def test_what_does_not_fit_is_refused_in_one_sentence(text, says):
    with pytest.raises(ConfigError) as refusal:
        rig_with(text)
    assert says in str(refusal.value)
    assert "rig.yaml" in str(refusal.value)


def test_keys_at_their_defaults_fit_any_camera():
    """A tool that writes a section out in full must be able to read it back."""
    for type, extra in (("pattern", {}), ("uvc", {"device": 0}), ("video", {"file": "a.mp4"}), ("realsense", {})):
        camera = CameraConfig.model_validate({"type": type, **SIZE, **extra})
        assert CameraConfig.model_validate(camera.model_dump()) == camera


def test_every_key_belongs_to_some_type():
    claimed = set().union(*KEYS.values())
    assert claimed < set(CameraConfig.model_fields)
    assert set(CameraConfig.model_fields) - claimed == {
        "type", "width_px", "height_px", "rate_hz", "codec", "jpeg_quality",
    }  # fmt: skip
