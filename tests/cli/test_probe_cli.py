"""`robot-learning probe` on a small store: its files, its tables, and what it refuses."""

from __future__ import annotations

import json
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import torch

sys.path.append(str(Path(__file__).parents[1] / "training"))
from toy_store import contract, make_store

from robot_learning.cli import probe
from robot_learning.errors import ConfigError, StoreError, UnknownName, UserError
from robot_learning.policies import checkpoint, registry
from robot_learning.policies.act.config import ActConfig, MapConfig
from robot_learning.policies.act_jepa.config import ActJepaConfig
from robot_learning.policies.mse.config import MseConfig
from robot_learning.training.config import TrainConfig
from robot_learning.training.dataset import choose_view, prepare

SIZES = {
    "Tp": 4, "Ta": 2, "dim": 16, "heads": 2, "ffn_dim": 16, "encoder_layers": 1,
    "vision": MapConfig(image_size=(32, 32), backbone="resnet10t"),
}  # fmt: skip
JEPA = ActJepaConfig(**SIZES, future=5, predictor_dim=8, predictor_ffn_dim=8, predictor_layers=1)


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    return make_store(tmp_path_factory.mktemp("stores") / "store", episodes=6, steps=20)


@pytest.fixture(scope="module")
def image_store(tmp_path_factory):
    return make_store(tmp_path_factory.mktemp("stores") / "images", episodes=4, steps=8, image=True)


def saved(store, folder, config, preset="act_jepa_state_small", **changes):
    """A checkpoint of a run of no steps."""
    run = TrainConfig.of_preset(preset, store.path, config=config, val_fraction=0.3, **changes)
    data = prepare(run, progress=False)
    torch.manual_seed(0)
    policy = registry.make(config, contract("image" in preset), choose_view(data.cache.contract, run), data.normalizer)
    facts = {"run": run.to_json(), "train_episodes": data.train_ids, "val_episodes": data.val_ids}
    return checkpoint.save(folder, policy, data.cache.snapshot_hash, facts), data


@pytest.fixture(scope="module")
def jepa(store, tmp_path_factory):
    return saved(store, tmp_path_factory.mktemp("runs") / "jepa", JEPA)


def test_it_tells_what_each_input_predicts_and_leaves_three_files(jepa, tmp_path, capsys):
    folder, data = jepa
    assert probe.main(["--checkpoint", str(folder), "--output", str(tmp_path / "out")]) == 0
    said = capsys.readouterr().out
    report = json.loads((tmp_path / "out" / "probe.json").read_text())
    assert tuple(report["val"]["episodes"]) == data.val_ids
    assert tuple(report["train"]["episodes"]) == data.train_ids
    names = ["context", "predictor", "untrained context", "untrained predictor", "observation", "stays as it is"]
    assert list(report["inputs"]) == names
    assert all(len(figures["r2"]) == 5 for figures in report["inputs"].values())
    assert set(report["inputs"]["context"]["features"]) == {"position", "heading", "goal"}
    # This checkpoint has its run's first weights, and these come back from the run's seed.
    assert report["inputs"]["context"] == report["inputs"]["untrained context"]
    goal = report["inputs"]["stays as it is"]["features"]["goal"]
    assert goal["r2"] == pytest.approx([1.0] * 5)  # it never moves
    assert goal["rmse"] == pytest.approx([0.0] * 5, abs=1e-6)
    assert report["inputs"]["observation"]["features"]["goal"]["r2_mean"] > 0.7  # four places to learn from
    assert set(report["collapse"]) == set(names[:4])
    assert "the run's own: judged on episodes that it held out" in said
    assert "untrained predictor" in said
    assert "<svg" in (tmp_path / "out" / "probe.html").read_text()
    assert "steps ahead" in (tmp_path / "out" / "probe.svg").read_text()


def test_act_s_encoder_is_probed_from_images_too(image_store, tmp_path):
    config = ActConfig(**SIZES, style_layers=1)
    folder, _ = saved(image_store, tmp_path / "act", config, "act_image_small")
    given = ["--checkpoint", str(folder), "--output", str(tmp_path / "out"), "--steps", "2"]
    assert probe.main(given) == 0
    report = json.loads((tmp_path / "out" / "probe.json").read_text())
    assert list(report["inputs"]) == ["context", "untrained context", "observation", "stays as it is"]
    assert set(report["inputs"]["context"]["features"]) == {"position", "heading"}
    assert len(report["inputs"]["context"]["r2"]) == 2


def test_other_episodes_are_split_anew_and_that_is_said(jepa, tmp_path, capsys):
    more = make_store(tmp_path / "more", episodes=3, steps=8)
    given = ["--checkpoint", str(jepa[0]), "--store", str(more.path), "--output", str(tmp_path / "out")]
    assert probe.main(given) == 0
    assert "none of which the policy was trained on" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("line", "error", "match"),
    [
        ("--steps 6", ConfigError, "looks 5 steps ahead at most; got --steps 6"),
        ("--steps 0", ConfigError, "--steps must be at least 1; got 0"),
        ("--episodes nowhere", UnknownName, "unknown episode 'nowhere'"),
        ("--store nowhere", StoreError, "nowhere"),
    ],
)
def test_a_mistake_is_named(jepa, tmp_path, line, error, match):
    with pytest.raises(error, match=match):
        probe.main(["--checkpoint", str(jepa[0]), "--output", str(tmp_path), *line.split()])


def test_a_policy_without_a_representation_is_refused(store, tmp_path):
    config = replace(MseConfig(), Tp=4, Ta=2)
    folder, _ = saved(store, tmp_path / "mse", config, "mse_state_small")
    with pytest.raises(UserError, match="'mse' has no representation to probe; give a checkpoint of act_jepa or act"):
        probe.main(["--checkpoint", str(folder), "--output", str(tmp_path / "out")])
