"""The three forms of a rotation agree with each other."""

import numpy as np
import pytest

from robot_learning.rotation import (
    matrix_to_quaternion,
    matrix_to_rotation_6d,
    quaternion_to_matrix,
    rotation_6d_to_matrix,
    rotation_distance,
)


@pytest.fixture
def quaternions() -> np.ndarray:
    q = np.random.default_rng(0).normal(size=(500, 4))
    # half-turns about each axis, where the usual formula divides by zero
    q[:4] = np.eye(4)
    return q / np.linalg.norm(q, axis=-1, keepdims=True)


def test_quaternion_and_matrix_round_trip(quaternions):
    again = matrix_to_quaternion(quaternion_to_matrix(quaternions))
    np.testing.assert_allclose(np.abs((again * quaternions).sum(-1)), 1, atol=1e-12)


def test_rotation_6d_and_matrix_round_trip(quaternions):
    m = quaternion_to_matrix(quaternions)
    np.testing.assert_allclose(rotation_6d_to_matrix(matrix_to_rotation_6d(m)), m, atol=1e-12)


def test_a_noisy_6d_still_gives_a_rotation():
    m = rotation_6d_to_matrix(np.array([1.1, 0.2, -0.1, 0.3, 0.8, 0.05]))
    np.testing.assert_allclose(m @ m.T, np.eye(3), atol=1e-12)
    assert np.linalg.det(m) == pytest.approx(1)


@pytest.mark.parametrize("angle", [0.0, 1e-9, 0.3, np.pi / 2, np.pi - 1e-9, np.pi])
def test_the_distance_is_the_angle(angle):
    turn = quaternion_to_matrix(np.array([np.cos(angle / 2), 0, 0, np.sin(angle / 2)]))
    assert rotation_distance(np.eye(3), turn) == pytest.approx(angle, abs=1e-12)
