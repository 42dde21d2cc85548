"""The statistics of relative actions are those of what is learned: of every real step of every training window."""

from dataclasses import replace

import numpy as np
import pytest
from toy_store import make_store

from robot_learning.errors import ConfigError
from robot_learning.training.config import TrainConfig
from robot_learning.training.dataset import prepare


def prepared(path, relative, **options):
    store = make_store(path / "store")
    config = TrainConfig.of_preset("diffusion_unet_state_small", store.path, val_fraction=0.3, **options)
    return prepare(replace(config, config=replace(config.config, relative=relative)), progress=False)


def test_they_are_those_of_a_loop_over_windows(tmp_path):
    data = prepared(tmp_path, (("action", "position"),))
    spec, arrays, low, high = data.view.spec, data.cache.arrays, np.full(2, np.inf), np.full(2, -np.inf)
    ends = data.cache.episode_ends.tolist()
    for begin, end, id in zip([0, *ends[:-1]], ends, data.cache.episode_ids, strict=True):
        if id in data.train_ids:
            for now in range(begin, end):
                for step in range(now + spec.first_action, now + spec.first_action + spec.Tp):
                    if begin <= step < end:
                        far = arrays["action"][step] - arrays["position"][now]
                        low, high = np.minimum(low, far), np.maximum(high, far)
    got = data.normalizer.to_json()["action"]
    assert got["scale"] == pytest.approx(2 / (high - low), rel=1e-5)
    assert got["offset"] == pytest.approx(-(high + low) / (high - low), rel=1e-4, abs=1e-5)


def test_absolute_ones_are_of_rows(tmp_path):
    data = prepared(tmp_path, ())
    train = [i for i, id in enumerate(data.cache.episode_ids) if id in data.train_ids]
    ends = data.cache.episode_ends
    rows = np.concatenate([np.arange(ends[i - 1] if i else 0, ends[i]) for i in train])
    action = data.cache.arrays["action"][rows]
    got = data.normalizer.to_json()["action"]
    assert got["scale"] == pytest.approx(2 / (action.max(0) - action.min(0)), rel=1e-5)


def test_a_reference_that_is_not_observed_is_named_before_training(tmp_path):
    with pytest.raises(ConfigError, match="which the policy does not read"):
        prepared(tmp_path, (("action", "position"),), observations=("heading", "goal"))
