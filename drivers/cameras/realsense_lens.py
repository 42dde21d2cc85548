"""Intrinsics and extrinsics as librealsense has them, as ours."""

from __future__ import annotations

import platform
from collections.abc import Iterable
from typing import Any

import numpy as np

from robot_learning.drivers.cameras.realsense_device import library
from robot_learning.drivers.interfaces import Lens
from robot_learning.errors import ConfigError


def lens_of(profile: Any, colour: Any) -> Lens:
    """The lens of a video stream profile; `colour` is the colour stream's.

    Raises:
        ConfigError: a distortion model that we can't express.
    """
    found = profile.get_intrinsics()
    matrix = np.array([[found.fx, 0, found.ppx], [0, found.fy, found.ppy], [0, 0, 1]], dtype=np.float64)
    extrinsics = profile.get_extrinsics_to(colour)
    to_colour = np.eye(4)
    to_colour[:3, :3] = np.array(extrinsics.rotation).reshape(3, 3).T  # librealsense writes columns
    to_colour[:3, 3] = extrinsics.translation
    return Lens(matrix, _distortion(found), found.width, found.height, to_colour)


def align_ignores_bend(profile: Any) -> bool | None:
    """Whether librealsense's alignment takes a colour lens for straight that is not; None: not known here.

    Its SIMD code for x86 (2.59, and as a test of ours finds it) bends only what is called modified Brown-Conrady.
    """
    found, models = profile.get_intrinsics(), library().distortion
    if found.model in (models.none, models.modified_brown_conrady) or not any(found.coeffs):
        return False
    return True if platform.machine() in ("x86_64", "AMD64") else None


def bend(lens: Lens) -> np.ndarray:
    """Where each pixel of a lens's image would be without distortion: (H, W) index into the flat image.

    What would be outside of it is H * W. Bending has no inverse in closed form; the usual iteration finds it.
    """
    u, v = np.meshgrid(np.arange(lens.width_px), np.arange(lens.height_px))
    m = lens.matrix
    bent = np.stack(((u - m[0, 2]) / m[0, 0], (v - m[1, 2]) / m[1, 1]))
    k1, k2, p1, p2, k3 = lens.distortion
    x, y = bent
    for _ in range(20):
        r2 = x * x + y * y
        radial = 1 + r2 * (k1 + r2 * (k2 + r2 * k3))
        x, y = (
            (bent[0] - 2 * p1 * x * y - p2 * (r2 + 2 * x * x)) / radial,
            (bent[1] - 2 * p2 * x * y - p1 * (r2 + 2 * y * y)) / radial,
        )
    column, row = np.rint(x * m[0, 0] + m[0, 2]), np.rint(y * m[1, 1] + m[1, 2])
    inside = (column >= 0) & (column < lens.width_px) & (row >= 0) & (row < lens.height_px)
    return np.where(inside, row * lens.width_px + column, u.size).astype(np.intp)


def lens_text(name: str, lens: Lens) -> dict[str, str]:
    """A lens as it is told in diagnostics: fx fy cx cy [px], k1 k2 p1 p2 k3, and where it is in the colour frame."""
    m = lens.matrix
    values = {
        f"{name}.fx_fy_cx_cy": _numbers((m[0, 0], m[1, 1], m[0, 2], m[1, 2])),
        f"{name}.distortion": _numbers(lens.distortion),
    }
    if name != "color":
        values[f"{name}.to_color"] = _numbers(lens.to_colour[:3].reshape(-1))  # rows of [R | t], t in metres
    return values


def _numbers(values: Iterable[float]) -> str:
    return " ".join(f"{value:.6g}" for value in values)


def _distortion(found: Any) -> np.ndarray:
    """(5,) k1, k2, p1, p2, k3 of Brown and Conrady.

    D400 devices call their colour image's model the inverse one, but librealsense's own projection (rsutil.h, 2.59)
    bends points of all three models with the same forward polynomial, and so do OpenCV and ROS.
    """
    models = library().distortion
    coefficients = np.array(found.coeffs, dtype=np.float64)
    if found.model == models.none:
        return np.zeros(5)
    if found.model in (models.brown_conrady, models.modified_brown_conrady, models.inverse_brown_conrady):
        return coefficients
    raise ConfigError(
        f"the lens has distortion of the model {found.model}, not Brown-Conrady; such a device (a fisheye) is not "
        "supported."
    )
