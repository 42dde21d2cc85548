"""A camera's latency, from rendered pictures of a moving arm, against the known truth."""

import numpy as np
import pytest

pytest.importorskip("mujoco", reason="the sim extra is not installed")
pytest.importorskip("cv2", reason="OpenCV is not installed: pip install 'opencv-python>=4.8'")

from robot_learning.calibration.camera import CalibrationError
from robot_learning.calibration.latency import camera_latency, thumbnails
from robot_learning.calibration.rendered import HOME, BoardScene
from robot_learning.rig_parts.calibration import BoardConfig

WITHIN_S = 0.005
END_S, FRAMES_HZ = 7.0, 30


def swing(t):
    """Joints (7,) of a motion to and fro, once in 2 s."""
    q = HOME.copy()
    q[0] += 0.15 * np.sin(np.pi * t)
    q[3] += 0.06 * np.sin(np.pi * t)
    return q


def wander(t):
    """Joints (7,) of a motion along no one path."""
    q = HOME.copy()
    q[0] += 0.12 * np.sin(np.pi * t)
    q[3] += 0.10 * np.sin(0.63 * np.pi * t + 1)
    return q


def seen(mount, motion, late_s, seed=0):
    """Small pictures, their stamps, and the measured motion with its stamps."""
    rng = np.random.default_rng(seed)
    scene = BoardScene(BoardConfig(), mount, seed, 160, 120, fine=False)
    stamps = np.arange(0.4, END_S, 1 / FRAMES_HZ)
    stamps = stamps + rng.normal(0, 1e-3, len(stamps))
    pictures = []
    for stamp in stamps:
        scene.place(motion(stamp - late_s))
        picture = scene.render() + rng.normal(0, 3, (120, 160, 1))
        pictures.append(np.clip(np.rint(picture), 0, 255).astype(np.uint8))
    scene.close()
    times = np.arange(0, END_S + 0.3, 0.01)
    joints = np.array([motion(t) for t in times]) + rng.normal(0, 2e-4, (len(times), 7))
    return thumbnails(pictures), stamps, joints, times


@pytest.fixture(scope="module")
def swinging():
    return seen("hand", swing, 0.047)


@pytest.mark.parametrize(
    ("mount", "motion", "late_s"), [("static", swing, 0.113), ("static", wander, -0.021), ("hand", wander, 0.064)]
)
def test_the_latency_is_found_to_a_part_of_a_frame(mount, motion, late_s):
    found = camera_latency(*seen(mount, motion, late_s, seed=3))
    assert abs(found.latency_s - late_s) < WITHIN_S
    assert found.error_s < WITHIN_S
    assert found.explained > 0.8


def test_a_camera_on_the_hand_that_swings(swinging):
    found = camera_latency(*swinging)
    assert abs(found.latency_s - 0.047) < WITHIN_S


def test_an_even_motion_that_repeats_within_what_is_tried_is_refused(swinging):
    small, stamps, joints, times = swinging
    with pytest.raises(CalibrationError, match="two delays fit alike"):
        camera_latency(small, stamps, joints, times, range_s=(-0.25, 1.3))


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda p, s, q, t: (p[:45], s[:45], q, t), r"pictures over 1\.\d s are too few"),
        (lambda p, s, q, t: (p, s, q[:1].repeat(len(q), 0), t), r"the robot moved by 0\.000"),
        (lambda p, s, q, t: (p, s, q + np.linspace(0, 9, len(q))[:, None], t), "the robot turned back 0 times"),
        (lambda p, s, q, t: (p[np.random.default_rng(0).permutation(len(p))], s, q, t), "hardly follow the motion"),
        (lambda p, s, q, t: (p, s + 0.6, q, t), "at the end of what was tried|two delays fit alike"),
    ],
    ids=["short", "still", "one way", "unrelated", "another clock"],
)
def test_data_that_cant_tell_is_refused(swinging, change, says):
    with pytest.raises(CalibrationError, match=says):
        camera_latency(*change(*swinging))
