"""Intrinsics and extrinsics as librealsense has them, as ours."""

from __future__ import annotations

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
