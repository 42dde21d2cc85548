"""Rotations in the three forms that the stack uses: matrix, unit quaternion (scalar first), 6-D."""

from __future__ import annotations

import math

import numpy as np


def rotation_6d_to_matrix(r: np.ndarray) -> np.ndarray:
    """(..., 6) to (..., 3, 3) by Gram-Schmidt (Zhou et al., CVPR 2019, eq. 15)."""
    a, b = r[..., :3], r[..., 3:]
    x = a / np.linalg.norm(a, axis=-1, keepdims=True)
    y = b - (x * b).sum(-1, keepdims=True) * x
    y = y / np.linalg.norm(y, axis=-1, keepdims=True)
    m = np.empty((*r.shape[:-1], 3, 3), y.dtype)
    m[..., 0], m[..., 1] = x, y
    # x cross y, written out: numpy's cross takes longer than all the rest here, and a gate does this at each command.
    m[..., 0, 2] = x[..., 1] * y[..., 2] - x[..., 2] * y[..., 1]
    m[..., 1, 2] = x[..., 2] * y[..., 0] - x[..., 0] * y[..., 2]
    m[..., 2, 2] = x[..., 0] * y[..., 1] - x[..., 1] * y[..., 0]
    return m


def matrix_to_rotation_6d(m: np.ndarray) -> np.ndarray:
    """(..., 3, 3) to (..., 6): the first two columns."""
    return np.concatenate([m[..., :, 0], m[..., :, 1]], axis=-1)


def quaternion_to_matrix(q: np.ndarray) -> np.ndarray:
    """(..., 4) unit quaternion, scalar first, to (..., 3, 3)."""
    q = q / np.linalg.norm(q, axis=-1, keepdims=True)
    w, x, y, z = q[..., 0], q[..., 1], q[..., 2], q[..., 3]
    m = np.empty((*q.shape[:-1], 3, 3), q.dtype)
    m[..., 0, 0], m[..., 0, 1], m[..., 0, 2] = 1 - 2 * (y * y + z * z), 2 * (x * y - w * z), 2 * (x * z + w * y)
    m[..., 1, 0], m[..., 1, 1], m[..., 1, 2] = 2 * (x * y + w * z), 1 - 2 * (x * x + z * z), 2 * (y * z - w * x)
    m[..., 2, 0], m[..., 2, 1], m[..., 2, 2] = 2 * (x * z - w * y), 2 * (y * z + w * x), 1 - 2 * (x * x + y * y)
    return m


def matrix_to_quaternion(m: np.ndarray) -> np.ndarray:
    """(..., 3, 3) to (..., 4), scalar first and not negative (Shepperd 1978: the largest pivot)."""
    m = np.asarray(m, dtype=np.float64)
    d = np.stack([m[..., 0, 0], m[..., 1, 1], m[..., 2, 2]], axis=-1)
    trace = d.sum(-1)
    pivot = np.argmax(np.concatenate([trace[..., None], d], axis=-1), axis=-1)
    s = 1 + 2 * d - trace[..., None]  # four squared components, times four, for x, y, z
    a, b, c = m[..., 2, 1] - m[..., 1, 2], m[..., 0, 2] - m[..., 2, 0], m[..., 1, 0] - m[..., 0, 1]
    xy, xz, yz = (m[..., i, j] + m[..., j, i] for i, j in ((0, 1), (0, 2), (1, 2)))
    candidates = np.stack(
        [
            np.stack([1 + trace, a, b, c], axis=-1),
            np.stack([a, s[..., 0], xy, xz], axis=-1),
            np.stack([b, xy, s[..., 1], yz], axis=-1),
            np.stack([c, xz, yz, s[..., 2]], axis=-1),
        ],
        axis=-2,
    )
    q = np.take_along_axis(candidates, pivot[..., None, None], axis=-2)[..., 0, :]
    q = q / np.linalg.norm(q, axis=-1, keepdims=True)
    return np.where(q[..., :1] < 0, -q, q)


def rotation_distance(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """The angle between two rotation matrices (..., 3, 3) [rad]."""
    # atan2 of the skew and trace parts keeps its precision near 0 and near pi, where arccos loses it.
    r = np.swapaxes(a, -1, -2) @ b
    skew = np.stack([r[..., 2, 1] - r[..., 1, 2], r[..., 0, 2] - r[..., 2, 0], r[..., 1, 0] - r[..., 0, 1]], axis=-1)
    trace = np.trace(r, axis1=-2, axis2=-1)
    return np.arctan2(np.linalg.norm(skew, axis=-1), trace - 1)


def rotation_vector_to_matrix(r: np.ndarray) -> np.ndarray:
    """(3,) axis times angle [rad] to (3, 3) by Rodrigues' formula."""
    angle = math.sqrt(r[0] * r[0] + r[1] * r[1] + r[2] * r[2])
    K = np.array([[0.0, -r[2], r[1]], [r[2], 0.0, -r[0]], [-r[1], r[0], 0.0]])
    if angle < 1e-8:
        return np.eye(3) + K + 0.5 * (K @ K)
    return np.eye(3) + math.sin(angle) / angle * K + (1 - math.cos(angle)) / angle**2 * (K @ K)


def matrix_to_rotation_vector(m: np.ndarray) -> np.ndarray:
    """(3, 3) to (3,) axis times angle [rad], the angle in [0, pi]."""
    skew = np.array([m[2, 1] - m[1, 2], m[0, 2] - m[2, 0], m[1, 0] - m[0, 1]])
    s, c = math.sqrt(skew @ skew), m[0, 0] + m[1, 1] + m[2, 2] - 1
    angle = math.atan2(s, c)
    if s > 1e-6:
        return skew * (angle / s)
    if c > 0:
        return 0.5 * skew
    # Near pi the skew part vanishes; the quaternion keeps the axis.
    xyz = matrix_to_quaternion(m)[1:]
    return xyz * (angle / np.linalg.norm(xyz))
