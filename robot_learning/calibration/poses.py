"""Rigid motions as (4, 4) matrices, and their small changes."""

from __future__ import annotations

import numpy as np

from robot_learning.rotation import (
    matrix_to_quaternion,
    matrix_to_rotation_vector,
    quaternion_to_matrix,
    rotation_distance,
    rotation_vector_to_matrix,
)


def pose(position: np.ndarray, rotation: np.ndarray) -> np.ndarray:
    """(4, 4) of a position (3,) [m] and a rotation (3, 3)."""
    made = np.eye(4)
    made[:3, :3], made[:3, 3] = rotation, np.reshape(position, 3)
    return made


def from_quaternion(position: np.ndarray, quaternion: np.ndarray) -> np.ndarray:
    """(4, 4) of a position (3,) [m] and a unit quaternion (4,), scalar first."""
    return pose(position, quaternion_to_matrix(np.asarray(quaternion, dtype=np.float64)))


def to_quaternion(T: np.ndarray) -> np.ndarray:
    """(4,) scalar first."""
    return matrix_to_quaternion(T[:3, :3])


def from_vector(v: np.ndarray) -> np.ndarray:
    """(4, 4) of a rotation vector and a position, (6,)."""
    return pose(v[3:], rotation_vector_to_matrix(v[:3]))


def inverse(T: np.ndarray) -> np.ndarray:
    """Of rigid motions (..., 4, 4)."""
    made = np.zeros_like(T)
    R = np.swapaxes(T[..., :3, :3], -1, -2)
    made[..., :3, :3] = R
    made[..., :3, 3] = -(R @ T[..., :3, 3:])[..., 0]
    made[..., 3, 3] = 1
    return made


def moved(T: np.ndarray, step: np.ndarray) -> np.ndarray:
    """A pose changed by a small step (6,): a turn in its own frame, then a shift in its parent's."""
    made = T.copy()
    made[:3, :3] = T[:3, :3] @ rotation_vector_to_matrix(step[:3])
    made[:3, 3] += step[3:]
    return made


def distance_mm(a: np.ndarray, b: np.ndarray) -> float:
    """Between the origins of two poses."""
    return float(1e3 * np.linalg.norm(a[:3, 3] - b[:3, 3]))


def angle_deg(a: np.ndarray, b: np.ndarray) -> float:
    """Between the rotations of two poses."""
    return float(np.degrees(rotation_distance(a[:3, :3], b[:3, :3])))


def mean_rotation(rotations: np.ndarray) -> np.ndarray:
    """(3, 3) nearest to all of (N, 3, 3) in the chordal sense (Hartley et al., IJCV 2013, sec. 5.3)."""
    U, _, Vt = np.linalg.svd(np.sum(rotations, axis=0))
    return U @ np.diag([1, 1, np.sign(np.linalg.det(U @ Vt))]) @ Vt


def turns(rotations: np.ndarray) -> np.ndarray:
    """(N, 3) rotation vectors of (N, 3, 3) from their mean, in the mean's frame [rad]."""
    middle = mean_rotation(rotations)
    return np.array([matrix_to_rotation_vector(middle.T @ R) for R in rotations])
