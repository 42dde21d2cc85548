"""A camera's pose from rendered pictures of a board, against the known truth."""

from dataclasses import replace

import numpy as np
import pytest

pytest.importorskip("mujoco", reason="the sim extra is not installed")
pytest.importorskip("cv2", reason="OpenCV is not installed: pip install 'opencv-python>=4.8'")

from robot_learning.calibration.bundle import View
from robot_learning.calibration.camera import CalibrationError, project
from robot_learning.calibration.handeye import calibrate
from robot_learning.calibration.poses import angle_deg, distance_mm, inverse, pose
from robot_learning.calibration.rendered import BoardScene
from robot_learning.calibration.results import camera_pose, text_of
from robot_learning.rig_parts.calibration import BoardConfig
from robot_learning.rotation import rotation_vector_to_matrix

BOARD = BoardConfig(square_m=0.03, marker_m=0.022)
WITHIN_MM, WITHIN_DEG = 2.0, 0.3
ROBOT_NOISE = (3e-4, np.radians(0.03))


class Case:
    """A scene and its views, rendered once for all tests of a mounting."""

    def __init__(self, mount, seed):
        self.scene = BoardScene(BOARD, mount, seed)
        self.mount, self.truth, self.lens = mount, self.scene.camera_pose, self.scene.intrinsics
        self.views = self.scene.views(15)

    def off(self, found):
        return distance_mm(found.camera, self.truth), angle_deg(found.camera, self.truth)


@pytest.fixture(scope="module", params=["hand", "static"])
def case(request):
    made = Case(request.param, seed=5)
    yield made
    made.scene.close()


@pytest.fixture(scope="module")
def hand():
    made = Case("hand", seed=6)
    yield made
    made.scene.close()


def shaken(views, noise, seed=0):
    """The views with noise on the stated tool poses."""
    rng = np.random.default_rng(seed)
    made = []
    for v in views:
        turn = rotation_vector_to_matrix(rng.normal(0, noise[1], 3))
        made.append(View(v.name, pose(v.tool[:3, 3] + rng.normal(0, noise[0], 3), v.tool[:3, :3] @ turn), v.detection))
    return made


@pytest.mark.parametrize("given", [True, False], ids=["intrinsics given", "intrinsics found"])
def test_the_camera_is_found(case, given):
    found = calibrate(case.views, case.mount, case.lens if given else None)
    mm, deg = case.off(found)
    assert mm < WITHIN_MM
    assert deg < WITHIN_DEG
    assert not found.rejected
    assert found.reprojection_px < 0.3
    assert distance_mm(found.board, case.scene.board_pose) < WITHIN_MM
    assert abs(found.scale - 1) < 0.003
    if not given:
        assert abs(found.intrinsics.fx / case.lens.fx - 1) < 0.01


def test_a_lens_that_distorts_is_found_with_the_camera(hand):
    lens = hand.lens.model_copy(update={"distortion": (-0.12, 0.05, 0.001, -0.0015, 0.0), "cx": 327.0, "cy": 231.0})
    rng = np.random.default_rng(0)
    views = []
    for v in hand.views:
        board = inverse(v.tool @ hand.truth) @ hand.scene.board_pose
        d = v.detection
        pixels = project(lens, d.points @ board[:3, :3].T + board[:3, 3]) + rng.normal(0, 0.1, d.pixels.shape)
        views.append(View(v.name, v.tool, replace(d, pixels=pixels)))
    found = calibrate(shaken(views, (1e-4, np.radians(0.01))), "hand")
    mm, deg = hand.off(found)
    assert mm < WITHIN_MM
    assert deg < WITHIN_DEG
    assert abs(found.intrinsics.fx / lens.fx - 1) < 0.005
    assert abs(found.intrinsics.cx - lens.cx) < 3.0
    assert found.intrinsics.distortion[0] == pytest.approx(-0.12, abs=0.03)


def test_noise_on_the_robots_poses_is_borne_and_told(case):
    found = calibrate(shaken(case.views, ROBOT_NOISE), case.mount, case.lens)
    mm, deg = case.off(found)
    assert mm < WITHIN_MM
    assert deg < WITHIN_DEG
    calm = calibrate(case.views, case.mount, case.lens)
    assert found.error_mm > 2 * calm.error_mm
    assert found.error_deg > 1.3 * calm.error_deg
    assert mm < 4 * found.error_mm  # the stated error is one that holds
    record = camera_pose(found, BOARD, {"date": "2026-01-31T12:00:00+00:00", "tool_version": "1", "source": "test"})
    assert f"{found.error_mm:.2f} mm" in text_of(record)


def test_a_pose_that_is_wrong_is_left_out_by_name(case):
    views = list(case.views)
    wrong = views[4]
    views[4] = View("pose five", wrong.tool @ pose([0.03, 0, 0], np.eye(3)), wrong.detection)
    found = calibrate(views, case.mount, case.lens)
    assert [text.split(":")[0] for text in found.rejected] == ["pose five"]
    mm, deg = case.off(found)
    assert mm < WITHIN_MM
    assert deg < WITHIN_DEG


def test_poses_half_of_which_are_wrong_are_refused(case):
    views = [
        View(v.name, v.tool @ pose([0.05, 0, 0], np.eye(3)), v.detection) if i % 2 else v
        for i, v in enumerate(case.views)
    ]
    with pytest.raises(CalibrationError, match=r"don't fit the others|the fit leaves|known to|squares measure"):
        calibrate(views, case.mount, case.lens)


def test_wrong_squares_are_told_with_their_true_size(hand):
    scaled = [
        View(v.name, v.tool, replace(v.detection, points=v.detection.points / 1.05, square_m=0.03 / 1.05))
        for v in hand.views
    ]
    with pytest.raises(CalibrationError, match=r"the squares measure (29\.9|30\.0)\d mm, not 28\.57"):
        calibrate(scaled, "hand", hand.lens)


def test_too_few_poses_say_how_many_more(hand):
    with pytest.raises(CalibrationError, match=r"5 poses are too few: at least 8, better 15; take 3 more"):
        calibrate(hand.views[:5], "hand", hand.lens)


def test_turns_that_are_too_small_are_refused(hand):
    views = hand.scene.views(8, tilt_deg=3.0)
    with pytest.raises(CalibrationError, match=r"the tool turned by \d\.\d degrees at most, 20 are needed: tilt it"):
        calibrate(views, "hand", hand.lens)


def test_turns_about_one_axis_name_the_one_that_is_missing(hand):
    middle = hand.views[0]
    moves = [
        pose([0.01 * i, 0, 0], rotation_vector_to_matrix(np.array([0, 0, a])))
        for i, a in enumerate(np.linspace(-0.6, 0.6, 9))
    ]
    views = [View(f"pose {i}", middle.tool @ move, middle.detection) for i, move in enumerate(moves)]
    with pytest.raises(
        CalibrationError, match=r"about nearly one axis only .* add poses turned about the tool's [xy] axis"
    ):
        calibrate(views, "hand", hand.lens)


def test_intrinsics_of_another_resolution_are_refused(hand):
    half = hand.lens.model_copy(update={"width_px": 320, "height_px": 240})
    with pytest.raises(CalibrationError, match="is 640 x 480 px, the intrinsics are for 320 x 240"):
        calibrate(hand.views, "hand", half)


def test_the_wrong_mounting_is_refused(hand):
    with pytest.raises(CalibrationError):
        calibrate(hand.views, "static", hand.lens)
