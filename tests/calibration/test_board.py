"""The printed board is what the detector takes it for, at true scale."""

import re
import zlib

import numpy as np
import pytest

pytest.importorskip("cv2", reason="OpenCV is not installed: pip install 'opencv-python>=4.8'")

import cv2

from robot_learning.calibration.board import corners, picture, write_page
from robot_learning.calibration.detect import Detector, NoBoard
from robot_learning.errors import ConfigError, UnknownName
from robot_learning.rig_parts.calibration import BoardConfig

BOARD = BoardConfig()


def test_the_printed_png_has_the_board_at_true_scale(tmp_path):
    dpi = 150
    path = write_page(BOARD, tmp_path / "board.png", "A4", dpi)
    page = cv2.imread(str(path), cv2.IMREAD_GRAYSCALE)
    assert abs(page.shape[1] - 297 / 25.4 * dpi) < 1.5
    found = Detector(BOARD)(page)
    assert len(found.ids) == 6 * 4
    true = corners(BOARD)[found.ids, :2] * 1e3 / 25.4 * dpi
    away_px, away_true = (v - v.mean(0) for v in (found.pixels, true))
    assert np.abs(away_px - away_true).max() < 1.0  # edges are at whole pixels
    assert abs((away_px * away_true).sum() / (away_true**2).sum() - 1) < 0.001


def test_the_pdf_has_the_pages_size_the_boards_measures_and_every_black_square(tmp_path):
    content = write_page(BOARD, tmp_path / "board.pdf").read_bytes()
    box = [float(v) for v in re.search(rb"/MediaBox \[([^\]]*)\]", content)[1].split()]
    assert np.allclose(np.array(box[2:]) / 72 * 25.4, (297, 210), atol=0.1)
    streams = [zlib.decompress(m) for m in re.findall(rb"stream\r?\n(x.*?)endstream", content, re.DOTALL)]
    drawing = max(streams, key=len).decode("latin1")
    squares = re.findall(r"([\d.]+) ([\d.]+) m\n([\d.]+) [\d.]+ l", drawing)
    sides = [abs(float(c) - float(a)) / 72 * 25.4 for a, _, c in squares]
    assert sum(abs(side - 35) < 0.01 for side in sides) == 18


@pytest.mark.parametrize(
    ("board", "page", "error", "says"),
    [
        (BoardConfig(square_m=0.05, marker_m=0.035), "A4", ConfigError, "a board of 350 x 250 mm does not fit A4"),
        (BOARD, "A44", UnknownName, "did you mean 'A4'"),
        (BoardConfig(dictionary="DICT_4X4_5"), "A4", UnknownName, "did you mean 'DICT_4X4_50'"),
        (
            BoardConfig(squares_x=20, squares_y=20, square_m=0.008, marker_m=0.006),
            "A4",
            ConfigError,
            "needs 200 markers",
        ),
    ],
)
def test_boards_that_cant_be_printed_are_refused(tmp_path, board, page, error, says):
    with pytest.raises(error, match=says):
        write_page(board, tmp_path / "b.pdf", page)
    assert not list(tmp_path.iterdir())


def test_another_kind_of_file_is_refused(tmp_path):
    with pytest.raises(ConfigError, match=r"written as \.pdf or \.png"):
        write_page(BOARD, tmp_path / "board.svg")


def test_corners_are_where_pixel_centres_at_whole_numbers_put_them():
    flat = cv2.GaussianBlur(picture(BOARD, 40, 0.5), (0, 0), 0.8)
    found = Detector(BOARD)(flat)
    # Between the pixels 59 and 60 is 59.5; several versions of OpenCV say 60.
    assert np.abs(found.pixels[0] - 59.5).max() < 0.1


def _seen(image):
    return np.clip(np.rint(image), 0, 255).astype(np.uint8)


@pytest.mark.parametrize(
    ("spoil", "says"),
    [
        (lambda p: np.full_like(p, 255), "no marker"),
        (lambda p: cv2.GaussianBlur(p, (0, 0), 5), "blurred|no marker|corners are seen"),
        (lambda p: cv2.GaussianBlur(p, (0, 0), 2.5), "it is blurred: edges are"),
        (lambda p: np.where(np.arange(p.shape[1]) < 170, p, 255).astype(np.uint8), "corners"),
        (lambda p: np.pad(p[::3, ::3], 1400, constant_values=255), "no marker"),
    ],
    ids=["empty", "very blurred", "blurred", "partial", "far"],
)
def test_a_picture_that_cant_be_used_says_why(spoil, says):
    with pytest.raises(NoBoard, match=says):
        Detector(BOARD)(_seen(spoil(picture(BOARD, 60, 0.5))))


def test_another_board_is_not_taken_for_this_one():
    other = BoardConfig(squares_x=5, squares_y=7, dictionary="DICT_6X6_50")
    with pytest.raises(NoBoard, match="no marker"):
        Detector(BOARD)(picture(other, 60, 0.5))
