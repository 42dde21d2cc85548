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
    return Lens(matrix, _distortion(found, matrix), found.width, found.height, to_colour)


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
    return " ".join(f"{value:.8g}" for value in values)


def _distortion(found: Any, matrix: np.ndarray) -> np.ndarray:
    """(5,) k1, k2, p1, p2, k3 of Brown and Conrady."""
    models = library().distortion
    coefficients = np.array(found.coeffs, dtype=np.float64)
    if not coefficients.any() or found.model == models.none:
        return np.zeros(5)
    if found.model in (models.brown_conrady, models.modified_brown_conrady):
        return coefficients
    if found.model == models.inverse_brown_conrady:
        return invert(coefficients, matrix, found.width, found.height)
    raise ConfigError(
        f"the lens has distortion of the model {found.model}, which is neither Brown-Conrady nor its inverse; "
        "such a device (a fisheye) is not supported."
    )


def invert(coefficients: np.ndarray, matrix: np.ndarray, width_px: int, height_px: int) -> np.ndarray:
    """The forward Brown-Conrady coefficients (5,) of a lens that is described by its inverse.

    librealsense's inverse model takes a distorted point to the straight one with the polynomial that Brown and Conrady
    use the other way round; OpenCV and ROS know only theirs. The polynomial is linear in its coefficients, so the ones
    that take a grid of straight points back to their distorted ones are a least-squares problem.
    """
    u, v = np.meshgrid(np.linspace(0, width_px, 41), np.linspace(0, height_px, 41))
    bent = np.stack(((u - matrix[0, 2]) / matrix[0, 0], (v - matrix[1, 2]) / matrix[1, 1]), axis=-1).reshape(-1, 2)
    straight = bent + np.einsum("nij,j->ni", _terms(bent), coefficients)
    terms, shift = _terms(straight).reshape(-1, 5), (bent - straight).reshape(-1)
    return np.linalg.lstsq(terms, shift, rcond=None)[0]


def _terms(points: np.ndarray) -> np.ndarray:
    """(N, 2, 5): how far each coefficient shifts each point (N, 2); OpenCV's `calib3d` documents the model."""
    x, y = points.T
    r2 = x * x + y * y
    of_x = np.stack((x * r2, x * r2**2, 2 * x * y, r2 + 2 * x * x, x * r2**3), axis=-1)
    of_y = np.stack((y * r2, y * r2**2, r2 + 2 * y * y, 2 * x * y, y * r2**3), axis=-1)
    return np.stack((of_x, of_y), axis=1)
