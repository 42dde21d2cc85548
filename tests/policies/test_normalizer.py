import json

import numpy as np
import pytest
import torch

from robot_learning.errors import ConfigError
from robot_learning.policies.normalizer import Normalizer

METHODS = ("min_max", "z_score", "quantile", "identity")


def fit(x, method="min_max", rotational=None):
    flags = np.zeros(x.shape[1], bool) if rotational is None else np.asarray(rotational)
    return Normalizer.fit({"x": x}, {"x": flags}, {"x": method})


@pytest.fixture
def values():
    rng = np.random.default_rng(0)
    return rng.normal(size=(2000, 3)) * [0.01, 1, 50] + [5, 0, -300]


def test_min_max_maps_the_range_to_minus_one_and_one(values):
    y = fit(values).normalize("x", torch.from_numpy(values).float())
    torch.testing.assert_close(y.amin(0), -torch.ones(3), atol=1e-4, rtol=0)
    torch.testing.assert_close(y.amax(0), torch.ones(3), atol=1e-4, rtol=0)


def test_z_score_gives_zero_mean_and_unit_deviation(values):
    y = fit(values, "z_score").normalize("x", torch.from_numpy(values).float())
    torch.testing.assert_close(y.mean(0), torch.zeros(3), atol=1e-3, rtol=0)
    torch.testing.assert_close(y.std(0, unbiased=False), torch.ones(3), atol=1e-3, rtol=0)


def test_quantiles_are_not_moved_by_one_wild_value_which_is_clipped(values):
    values[7] = 1e6
    y = fit(values, "quantile").normalize("x", torch.from_numpy(values).float())
    assert y.abs().max() == 1
    assert 0.015 < (y.abs() == 1).float().mean() < 0.025
    assert y.std() > 0.3


@pytest.mark.parametrize("method", METHODS)
def test_normalising_can_be_undone(values, method):
    normalizer = fit(values, method)
    inside = torch.from_numpy(np.clip(values, *np.quantile(values, (0.02, 0.98), axis=0))).float()
    back = normalizer.unnormalize("x", normalizer.normalize("x", inside))
    torch.testing.assert_close(back, inside, atol=1e-4, rtol=1e-5)


@pytest.mark.parametrize("method", ["min_max", "z_score", "quantile"])
def test_a_constant_dimension_is_centred_and_not_scaled(method):
    x = np.full((50, 1), 7.0) + np.random.default_rng(0).uniform(-1e-5, 1e-5, (50, 1))
    normalizer = fit(x, method)
    y = normalizer.normalize("x", torch.tensor([[7.0], [7.5]]))
    torch.testing.assert_close(y, torch.tensor([[0.0], [0.5]]), atol=1e-4, rtol=0)
    torch.testing.assert_close(normalizer.unnormalize("x", y), torch.tensor([[7.0], [7.5]]))


def test_rotations_are_left_as_they_are(values):
    x = torch.from_numpy(values).float()
    y = fit(values, "min_max", [False, True, False]).normalize("x", x)
    assert torch.equal(y[:, 1], x[:, 1])
    assert not torch.equal(y[:, 0], x[:, 0])


@pytest.mark.parametrize("method", METHODS)
def test_json_keeps_every_bit(values, method):
    normalizer = fit(values / 3, method)
    again = Normalizer.from_json(json.loads(json.dumps(normalizer.to_json())))
    x = torch.from_numpy(values).float()
    assert torch.equal(again.normalize("x", x), normalizer.normalize("x", x))


def test_values_that_are_not_finite_are_refused_with_their_feature(values):
    values[3, 1] = np.nan
    with pytest.raises(ConfigError, match="feature 'x' has 1 values that are not finite"):
        fit(values)


def test_a_feature_without_values_is_refused():
    with pytest.raises(ConfigError, match="feature 'x' has no values"):
        fit(np.empty((0, 2)))
