"""The pinhole camera: projection, a board's pose in one picture, intrinsics from many."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from robot_learning.calibration.board import cv2_module
from robot_learning.calibration.detect import Detection
from robot_learning.calibration.poses import pose
from robot_learning.errors import ConfigError, UserError
from robot_learning.rig_parts.calibration import IntrinsicsConfig

FOCAL_ERROR_MAX = 0.01  # standard error, as a share
VIEWS_MIN = 8


class CalibrationError(UserError):
    """Data that can't give a result that one could trust; says what is missing and what to do."""


def matrix(camera: IntrinsicsConfig) -> np.ndarray:
    """(3, 3) [px]."""
    return np.array([[camera.fx, 0, camera.cx], [0, camera.fy, camera.cy], [0, 0, 1]])


def of_matrix(
    K: np.ndarray, width_px: int, height_px: int, distortion: Sequence[float] = (), source: Any = "given"
) -> IntrinsicsConfig:
    """Intrinsics of a pinhole matrix (3, 3) whose pixel centres are at whole numbers, and of up to 5 k1 k2 p1 p2 k3."""
    if len(distortion) > 5 and any(distortion[5:]):
        raise ConfigError(f"distortion is k1 k2 p1 p2 k3; got {len(distortion)} values: {list(distortion)}.")
    d = tuple(float(v) for v in (*distortion, 0, 0, 0, 0, 0))[:5]
    fx, fy, cx, cy = (float(K[i]) for i in ((0, 0), (1, 1), (0, 2), (1, 2)))
    return IntrinsicsConfig(
        fx=fx, fy=fy, cx=cx, cy=cy, distortion=d, width_px=width_px, height_px=height_px, source=source
    )


def project(camera: IntrinsicsConfig, points: np.ndarray) -> np.ndarray:
    """Points (..., 3) in the optical frame [m] to pixels (..., 2), by OpenCV's model of distortion."""
    z = points[..., 2]
    x, y = points[..., 0] / z, points[..., 1] / z
    k1, k2, p1, p2, k3 = camera.distortion
    r = x * x + y * y
    radial = 1 + r * (k1 + r * (k2 + r * k3))
    u = x * radial + 2 * p1 * x * y + p2 * (r + 2 * x * x)
    v = y * radial + p1 * (r + 2 * y * y) + 2 * p2 * x * y
    return np.stack([camera.fx * u + camera.cx, camera.fy * v + camera.cy], axis=-1)


def board_pose(detection: Detection, camera: IntrinsicsConfig) -> tuple[np.ndarray, float]:
    """The board in the optical frame, (4, 4), and the root mean square of its reprojection [px].

    Of the two poses that a plane may have (Collins and Bartoli, IJCV 2014) the one that fits better, then refined.
    """
    cv2 = cv2_module()
    K, d = matrix(camera), np.array(camera.distortion)
    found = cv2.solvePnPGeneric(detection.points, detection.pixels, K, d, flags=cv2.SOLVEPNP_IPPE)
    best = None
    for turn, shift in zip(found[1], found[2], strict=True):
        turn, shift = cv2.solvePnPRefineLM(detection.points, detection.pixels, K, d, turn.copy(), shift.copy())
        T = pose(shift, cv2.Rodrigues(turn)[0])
        error = project(camera, detection.points @ T[:3, :3].T + T[:3, 3]) - detection.pixels
        rms = float(np.sqrt((error**2).sum(1).mean()))
        if T[2, 3] > 0 and np.isfinite(rms) and (best is None or rms < best[1]):
            best = T, rms
    if best is None:
        raise CalibrationError("a picture's corners fit no pose of the board; is it this board, with these intrinsics?")
    return best


def intrinsics_from(detections: Sequence[Detection]) -> tuple[IntrinsicsConfig, float]:
    """Intrinsics from boards in many pictures (Zhang, PAMI 2000), k3 = 0, and the reprojection's RMS [px].

    Raises:
        CalibrationError: too few pictures, or they leave the focal length open.
    """
    cv2 = cv2_module()
    if len(detections) < VIEWS_MIN:
        raise CalibrationError(
            f"intrinsics need at least {VIEWS_MIN} pictures of the board, got {len(detections)}; take more, or give "
            "the camera's intrinsics."
        )
    points = [d.points.astype(np.float32) for d in detections]
    pixels = [d.pixels.astype(np.float32) for d in detections]
    size = detections[0].size_px
    rms, K, d, _, _, spread, _, _ = cv2.calibrateCameraExtended(
        points, pixels, size, None, None, flags=cv2.CALIB_FIX_K3
    )
    error = max(float(spread[0, 0] / K[0, 0]), float(spread[1, 0] / K[1, 1]))
    if not np.isfinite(error) or error > FOCAL_ERROR_MAX:
        raise CalibrationError(
            f"the pictures leave the focal length open by {100 * error:.2g} % (at most {100 * FOCAL_ERROR_MAX:g} %): "
            "take some with the board tilted by 20 to 40 degrees, near and far, or give the camera's intrinsics."
        )
    return of_matrix(K, *size, distortion=d.ravel().tolist(), source="calibrated"), float(rms)
