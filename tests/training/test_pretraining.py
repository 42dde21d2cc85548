"""ACT-JEPA's two stages: recordings without actions first, then demonstrations with them."""

from dataclasses import replace

import numpy as np
import pytest
import torch
import toy_store
from toy_store import make_store

from robot_learning.contract import Contract
from robot_learning.errors import ConfigError, UserError
from robot_learning.policies import checkpoint
from robot_learning.training.config import TrainConfig
from robot_learning.training.trainer import train

SIZES = {
    "dim": 16,
    "heads": 2,
    "ffn_dim": 16,
    "predictor_dim": 8,
    "predictor_ffn_dim": 16,
    "Tp": 4,
    "Ta": 2,
    "future": 4,
}


def configured(store, output, preset="act_jepa_state_small", **config):
    chosen = TrainConfig.of_preset(preset, store.path, output=output, observations=("position", "heading"))
    recipe = replace(chosen.recipe, steps=4, batch_size=4, warmup_steps=1)
    return replace(chosen, config=replace(chosen.config, **config), recipe=recipe)


@pytest.fixture
def watched(tmp_path, monkeypatch):
    """A store of recordings in which nobody acts."""

    def contract(image=False):
        full = whole(image)
        streams = tuple(s for s in full.streams if s.name != "action_gated")
        features = tuple(f for f in full.features if f.role != "action")
        return Contract(rig="toy", robot="point", policy_rate_hz=10.0, streams=streams, features=features)

    whole = toy_store.contract
    monkeypatch.setattr(toy_store, "contract", contract)

    def forget(episode, step, values):
        del values["action_gated"]

    store = make_store(tmp_path / "watched", spoil=forget)
    monkeypatch.undo()
    return store


def test_recordings_without_actions_are_pre_trained_on_and_fine_tuning_goes_on_from_there(watched, tmp_path):
    first = train(configured(watched, tmp_path / "first", pretrain=True, **SIZES), progress=False).checkpoint
    pretrained = checkpoint.load(first)
    assert pretrained.actions == ()
    with pytest.raises(UserError, match="fine-tune it first"):
        pretrained.predict({"position": torch.zeros(1, 1, 2), "heading": torch.zeros(1, 1, 1)})
    acted = make_store(tmp_path / "acted")
    config = replace(configured(acted, tmp_path / "second", **SIZES), begin_with=first)
    policy = checkpoint.load(train(config, progress=False).checkpoint)
    chunk = policy.predict({"position": torch.zeros(1, 1, 2), "heading": torch.zeros(1, 1, 1)})
    assert chunk.shape == (1, 4, 2)
    assert np.isfinite(chunk.numpy()).all()


def test_other_training_on_them_says_what_is_missing(watched, tmp_path):
    with pytest.raises(ConfigError, match="no action feature"):
        train(configured(watched, tmp_path / "run", "act_state_small"), progress=False)
