import numpy as np
import pytest
import torch
from toy_policies import arm_contract, raw_values

from robot_learning.contract import StreamSpec
from robot_learning.errors import ConfigError
from robot_learning.policies.encode import Encoding
from robot_learning.rotation import matrix_to_rotation_6d, quaternion_to_matrix


def encoding(shape, unit):
    return Encoding("x", StreamSpec(name="x", shape=shape, dtype="float64", unit=unit, rate_hz=1))


def test_an_angle_is_seen_as_cosine_and_sine_so_that_its_wrap_is_no_jump():
    e = encoding((1,), "angle_rad")
    before, after = e.encode(torch.tensor([[np.pi - 1e-4], [-np.pi + 1e-4]], dtype=torch.float64))
    assert e.dim == 2
    assert torch.dist(before, after) < 1e-3
    angles = torch.linspace(-3, 3, 7, dtype=torch.float64)[:, None]
    torch.testing.assert_close(e.decode(e.encode(angles)), angles)


def test_a_quaternion_and_its_negative_are_one_input():
    e = encoding((4,), "quaternion_wxyz")
    q = torch.tensor([0.5, -0.5, 0.1, 0.7], dtype=torch.float64)
    q = q / q.norm()
    torch.testing.assert_close(e.encode(q), e.encode(-q))
    expected = matrix_to_rotation_6d(quaternion_to_matrix(q.numpy()))
    np.testing.assert_allclose(e.encode(q).numpy(), expected, atol=1e-12)
    torch.testing.assert_close(e.decode(e.encode(-q)), q)


def test_a_mixed_vector_is_encoded_part_by_part():
    e = encoding((8,), "m[3] quaternion_wxyz[4] angle_rad[1]")
    raw = torch.tensor([[0.1, 0.2, 0.3, 1.0, 0.0, 0.0, 0.0, 0.5]])
    out = e.encode(raw)
    assert (e.raw_dim, e.dim, out.shape) == (8, 11, (1, 11))
    torch.testing.assert_close(out[0, :3], raw[0, :3])
    torch.testing.assert_close(out[0, 3:9], torch.tensor([1.0, 0, 0, 0, 1, 0]))
    assert e.rotational.tolist() == [False] * 3 + [True] * 8
    torch.testing.assert_close(e.decode(out), raw)


def test_a_predicted_rotation_is_made_a_proper_one():
    e = encoding((6,), "rotation_6d")
    x, y = e.decode(torch.tensor([2.0, 0.1, 0, 0.3, 1, 0])).unflatten(-1, (2, 3))
    torch.testing.assert_close(torch.stack([x @ x, y @ y, x @ y]), torch.tensor([1.0, 1.0, 0.0]))


def test_features_of_several_axes_are_flattened_and_windows_keep_theirs():
    contract = arm_contract()
    e = Encoding("keypoints", contract.spec_of("keypoints"))
    raw = raw_values(contract, "keypoints", (5, 2), np.random.default_rng(0))
    assert e.encode(raw).shape == (5, 2, 6)
    torch.testing.assert_close(e.decode(e.encode(raw)), raw.flatten(-2))


def test_counts_that_make_no_whole_quaternion_are_refused():
    with pytest.raises(ConfigError, match="5 values of unit quaternion_wxyz; it takes a multiple of 4"):
        encoding((5,), "quaternion_wxyz")


def test_images_are_no_vectors():
    with pytest.raises(ConfigError, match=r"'front' is an image \(rgb\)"):
        Encoding("front", arm_contract().spec_of("front"))
