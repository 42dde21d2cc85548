"""Finding a ChArUco board in a picture, and saying why one can't be used."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from robot_learning.calibration.board import corners, cv2_board, cv2_module
from robot_learning.rig_parts.calibration import BoardConfig

CORNERS_MIN = 6
CORNERS_SHARE_MIN = 0.25
EDGE_MAX_PX = 5.0  # from black to white; wider is out of focus or in motion
_PATCH_PX = 6


@dataclass(frozen=True)
class Detection:
    """Corners of a board in one picture.

    Attributes:
        ids: (N,) which corners.
        pixels: (N, 2) where [px], pixel centres at whole numbers.
        points: (N, 3) the same in the board's frame [m].
        size_px: the picture's width and height.
        square_m: stated side of the board's squares.
        edge_px: from black to white, in the median over the corners.
    """

    ids: np.ndarray
    pixels: np.ndarray
    points: np.ndarray
    size_px: tuple[int, int]
    square_m: float
    edge_px: float


class NoBoard(Exception):
    """Why a picture can't be used."""


class Detector:
    """Finds one board; kept from picture to picture."""

    def __init__(self, board: BoardConfig) -> None:
        cv2 = cv2_module()
        self.board = board
        self._corners = corners(board)
        parameters = cv2.aruco.DetectorParameters()
        parameters.cornerRefinementMethod = cv2.aruco.CORNER_REFINE_NONE  # the chessboard's own corners are refined
        self._found = cv2.aruco.CharucoDetector(cv2_board(board), detectorParams=parameters)

    def __call__(self, picture: np.ndarray) -> Detection:
        """The board in a picture (H, W, 3) uint8 RGB or (H, W) uint8; NoBoard says why not."""
        cv2 = cv2_module()
        grey = cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY) if picture.ndim == 3 else picture
        pixels, ids, _, marker_ids = self._found.detectBoard(grey)
        if ids is None or not len(ids):
            seen = 0 if marker_ids is None else len(marker_ids)
            if not seen:
                raise NoBoard("no marker of the board is seen: is it in the picture, near enough, and lit?")
            raise NoBoard(f"{seen} markers of the dictionary are seen, but no corner of this board: is it this board?")
        ids, pixels = np.asarray(ids).ravel(), np.asarray(pixels, dtype=np.float64).reshape(-1, 2)
        needed = max(CORNERS_MIN, round(CORNERS_SHARE_MIN * len(self._corners)))
        if len(ids) < needed:
            raise NoBoard(f"only {len(ids)} of {len(self._corners)} corners are seen, {needed} are needed")
        spread = np.linalg.svd(pixels - pixels.mean(0), compute_uv=False)
        if spread[1] < 0.1 * spread[0]:
            raise NoBoard(f"the {len(ids)} corners that are seen lie nearly on a line")
        height, width = grey.shape
        pixels = self._refined(grey, pixels, ids)
        edge = _edge_px(grey, pixels)
        if edge > EDGE_MAX_PX:
            raise NoBoard(f"it is blurred: edges are {edge:.1f} px wide, at most {EDGE_MAX_PX:g} are allowed")
        return Detection(ids, pixels, self._corners[ids], (width, height), self.board.square_m, edge)

    def _refined(self, grey: np.ndarray, pixels: np.ndarray, ids: np.ndarray) -> np.ndarray:
        """The corners by OpenCV's corner refinement once more.

        What `detectBoard` returns is half a pixel off in most versions (https://github.com/opencv/opencv/issues/25539):
        0.05 degrees at a focal length of 600 px. The window must not reach the markers.
        """
        cv2 = cv2_module()
        points = self._corners[ids]
        away = np.linalg.norm(points[:, None] - points[None], axis=2)
        one = np.isclose(away, self.board.square_m)
        apart = np.linalg.norm(pixels[:, None] - pixels[None], axis=2)
        side = float(np.quantile(apart[one], 0.1)) if one.any() else 8.0
        free = side * (1 - self.board.marker_m / self.board.square_m) / 2
        window = int(np.clip(0.8 * free, 2, 8))
        found = pixels.astype(np.float32).reshape(-1, 1, 2)
        stop = (cv2.TERM_CRITERIA_EPS + cv2.TERM_CRITERIA_MAX_ITER, 50, 1e-3)
        cv2.cornerSubPix(grey, found, (window, window), (-1, -1), stop)
        return np.asarray(found, dtype=np.float64).reshape(-1, 2)


def _edge_px(grey: np.ndarray, pixels: np.ndarray) -> float:
    """How many pixels a black-white edge takes: contrast over steepest slope, in the median over the corners."""
    widths = []
    for x, y in np.rint(pixels).astype(int):
        patch = grey[max(0, y - _PATCH_PX) : y + _PATCH_PX + 1, max(0, x - _PATCH_PX) : x + _PATCH_PX + 1]
        if min(patch.shape) < _PATCH_PX:
            continue
        patch = patch.astype(np.float64)
        dy, dx = np.gradient(patch)
        slope = np.quantile(np.hypot(dx, dy), 0.98)
        contrast = np.quantile(patch, 0.95) - np.quantile(patch, 0.05)
        widths.append(contrast / max(slope, 1e-6))
    return float(np.median(widths)) if widths else float("inf")
