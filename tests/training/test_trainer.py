import json
from dataclasses import replace

import numpy as np
import pytest
import torch
from toy_store import contract, make_store

from robot_learning.data.store import Store
from robot_learning.errors import ConfigError, StoreError, UnknownName, UserError
from robot_learning.policies import checkpoint
from robot_learning.policies.config import VisionConfig
from robot_learning.training import nan_guard
from robot_learning.training.config import TrainConfig
from robot_learning.training.dataset import prepare, split
from robot_learning.training.folder import RunRecord
from robot_learning.training.metrics import read_metrics
from robot_learning.training.trainer import Trainer, train


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    return make_store(tmp_path_factory.mktemp("stores") / "store")


@pytest.fixture(scope="module")
def image_store(tmp_path_factory):
    return make_store(tmp_path_factory.mktemp("stores") / "images", episodes=3, steps=8, image=True)


def small(store, output, preset="diffusion_unet_state_small", steps=6, **changes):
    config = TrainConfig.of_preset(preset, store.path, output=output)
    vision = VisionConfig(image_size=(48, 48), backbone="resnet10t", keypoints=4, feature_dim=8)
    sizes = {"layers": 1, "heads": 2, "dim": 16} if "transformer" in preset else {"dims": (8, 16), "step_dim": 8}
    policy = replace(config.config, Tp=8, Ta=4, vision=vision, inference_steps=2, **sizes)
    recipe = replace(config.recipe, steps=steps, batch_size=4, warmup_steps=1, accumulate=changes.pop("accumulate", 1))
    return replace(config, config=policy, recipe=recipe, **changes)


def weights(output):
    return checkpoint.load(output).state_dict()


def test_training_lowers_the_loss_and_leaves_a_policy_that_predicts(store, tmp_path):
    config = small(store, tmp_path / "run", steps=90, log_every=30, validate_every=30)
    recipe = replace(config.recipe, lr=1e-2, batch_size=16)
    config = replace(config, config=replace(config.config, dims=(16, 32), step_dim=16), recipe=recipe)
    result = train(config, progress=False)
    curve = read_metrics(result.output)
    assert [m["step"] for m in curve] == [30, 60, 90]
    assert curve[-1]["loss"] < 0.8 * curve[0]["loss"]
    assert curve[-1]["val_loss"] < curve[0]["val_loss"]
    assert {"lr", "samples_per_s", "seconds", "grad_norm"} <= set(curve[0])
    assert list((result.output / "tensorboard").iterdir())
    policy = checkpoint.load(result.output, contract())
    observation = {n: torch.zeros(1, 2, *policy.contract.spec_of(n).shape) for n in policy.observations}
    assert policy.predict(observation).shape == (1, 8, 2)
    assert checkpoint.describe(result.output)["training"]["step"] == 90


@pytest.mark.parametrize(
    "preset", ["diffusion_transformer_state", "diffusion_unet_image_small", "diffusion_transformer_image"]
)
def test_each_kind_of_policy_trains(image_store, tmp_path, preset):
    result = train(small(image_store, tmp_path / "run", preset, steps=2), progress=False)
    policy = checkpoint.load(result.output)
    images = "image" in preset
    assert ("camera" in policy.observations) == images
    assert ("goal" in policy.observations) != images  # what only a simulator knows
    assert policy.view.image_size == ((48, 48) if images else None)


def test_training_may_begin_with_the_weights_of_a_checkpoint(store, tmp_path):
    first = train(small(store, tmp_path / "first"), progress=False).output
    second = small(store, tmp_path / "second", steps=1, begin_with=first)
    fine = replace(second, recipe=replace(second.recipe, lr=1e-12, ema="none"))
    mine, theirs = weights(train(fine, progress=False).output), weights(first)
    assert all(torch.allclose(mine[name], theirs[name], atol=1e-6) for name in theirs)
    assert RunRecord.read(fine.output).config.begin_with == first
    with pytest.raises(ConfigError, match=r"is a checkpoint of 'diffusion_unet'; begin with one of 'mse'"):
        train(TrainConfig.of_preset("mse_state_small", store.path, output=tmp_path / "o", begin_with=first), False)
    wider = replace(fine, config=replace(fine.config, step_dim=16), output=tmp_path / "wider")
    with pytest.raises(ConfigError, match="does not fit this configuration: 'denoiser"):
        train(wider, progress=False)


def test_bf16_trains(store, tmp_path):
    train(small(store, tmp_path / "run", steps=2, precision="bf16"), progress=False)
    assert all(torch.isfinite(w).all() for w in weights(tmp_path / "run").values())


def test_the_checkpoint_holds_the_average_and_not_the_last_weights(store, tmp_path):
    trainer = Trainer(small(store, tmp_path / "run"), progress=False)
    trainer.run()
    saved = weights(tmp_path / "run")
    names = [n for n, _ in trainer.policy.named_parameters()]
    for name, average in zip(names, trainer.state.ema.shadow_params, strict=True):
        assert torch.equal(saved[name], average)
    assert any(not torch.equal(saved[n], p) for n, p in trainer.policy.named_parameters())


def test_the_average_follows_the_published_schedule(store, tmp_path):
    trainer = Trainer(small(store, tmp_path / "run", steps=1), progress=False)
    ema = trainer.state.ema
    decays = [ema.get_decay(step) for step in (1, 2, 11, 10**7)]
    assert decays == pytest.approx([0, 1 - 2**-0.75, 1 - 11**-0.75, 0.9999])


def test_one_seed_gives_one_policy_and_another_gives_another(store, tmp_path):
    for name, seed in (("a", 0), ("b", 0), ("c", 1)):
        train(small(store, tmp_path / name, seed=seed), progress=False)
    a, b, c = (weights(tmp_path / name) for name in "abc")
    assert all(torch.equal(a[n], b[n]) for n in a)
    assert any(not torch.equal(a[n], c[n]) for n in a)


def test_logging_and_validating_more_often_changes_no_weight(store, tmp_path):
    train(small(store, tmp_path / "a"), progress=False)
    often = {"log_every": 1, "validate_every": 1, "checkpoint_every": 1}
    train(small(store, tmp_path / "b", **often), progress=False)
    a, b = (weights(tmp_path / name) for name in "ab")
    assert all(torch.equal(a[n], b[n]) for n in a)


def test_accumulated_batches_count_as_one_step(store, tmp_path):
    result = train(small(store, tmp_path / "run", steps=3, accumulate=2, log_every=1), progress=False)
    assert [m["step"] for m in read_metrics(result.output)] == [1, 2, 3]


def test_validation_uses_held_out_episodes_and_repeats_itself(store, tmp_path):
    trainer = Trainer(small(store, tmp_path / "run", val_fraction=0.3), progress=False)
    data = trainer.data
    assert len(data.val_ids) == 2
    assert not set(data.train_ids) & set(data.val_ids)
    ends = data.cache.episode_ends
    seen = {data.cache.episode_ids[np.searchsorted(ends, row, side="right")] for row in data.windows.rows}
    assert seen == set(data.train_ids)
    assert trainer._validate() == trainer._validate()


def test_a_held_out_episode_s_mirror_image_is_held_out_with_it():
    train, held_out = split(["a", "b", "c", "d", "a", "b", "c", "d"], 0.5, seed=0)
    assert len(held_out) == len(train) == 4
    assert {i % 4 for i in train} == set(range(4)) - {i % 4 for i in held_out}


def test_the_normaliser_is_fitted_on_training_episodes_only(tmp_path):
    _, held_out = split(range(4), 0.5, seed=0)

    def far_away(episode, step, values):
        values["position"] = values["position"] + 100.0 * (episode in held_out)

    store = make_store(tmp_path / "store", episodes=4, spoil=far_away)
    data = prepare(small(store, None, val_fraction=0.5), progress=False)
    x = torch.from_numpy(np.array(data.cache.arrays["position"]))
    y = data.normalizer.normalize("position", x)
    ends = data.cache.episode_ends
    train_rows = np.isin(np.searchsorted(ends, np.arange(len(x)), side="right"), [
        data.cache.episode_ids.index(i) for i in data.train_ids
    ])  # fmt: skip
    assert y[train_rows].abs().max() <= 1 + 1e-5
    assert y[~train_rows].abs().max() > 1.1


def test_only_the_newest_checkpoints_and_one_state_stay(store, tmp_path):
    train(small(store, tmp_path / "run", checkpoint_every=1, keep_checkpoints=2), progress=False)
    assert sorted(p.name for p in (tmp_path / "run/checkpoints").iterdir()) == ["00000005", "00000006"]
    assert [p.name for p in (tmp_path / "run/state").iterdir()] == ["00000006"]
    assert checkpoint.find(tmp_path / "run").name == "00000006"


def test_an_existing_run_is_kept_unless_asked(store, tmp_path):
    train(small(store, tmp_path / "run", steps=2), progress=False)
    with pytest.raises(StoreError, match="holds a run already; go on with it by --resume"):
        train(small(store, tmp_path / "run", steps=1), progress=False)
    train(small(store, tmp_path / "run", steps=1, overwrite=True), progress=False)
    assert [p.name for p in (tmp_path / "run/checkpoints").iterdir()] == ["00000001"]
    assert [m["step"] for m in read_metrics(tmp_path / "run")] == [1]


def test_a_mistake_in_a_new_run_does_not_cost_the_old_one(store, tmp_path):
    train(small(store, tmp_path / "run", steps=1), progress=False)
    with pytest.raises(UnknownName):
        train(small(store, tmp_path / "run", overwrite=True, observations=("nothing",)), progress=False)
    assert checkpoint.find(tmp_path / "run").name == "00000001"


def test_what_a_user_can_mend_is_one_sentence(store, tmp_path):
    with pytest.raises(StoreError, match="is not a store"):
        train(replace(small(store, tmp_path / "a"), store=tmp_path / "none"), progress=False)
    with pytest.raises(StoreError, match="holds no sealed episodes"):
        train(small(Store.create(tmp_path / "empty"), tmp_path / "b"), progress=False)
    with pytest.raises(UnknownName, match="did you mean 'position'"):
        train(small(store, tmp_path / "c", observations=("positon",)), progress=False)
    good = small(store, tmp_path / "d")
    bad = replace(good, recipe=replace(good.recipe, schedule="cosin"))
    with pytest.raises(UnknownName, match="unknown schedule 'cosin'; did you mean 'cosine'"):
        train(bad, progress=False)
    bad = replace(good, config=replace(good.config, normalization={"speed": "z_score"}))
    with pytest.raises(ConfigError, match="normalization names 'speed'"):
        train(bad, progress=False)
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match="can't write"):
        train(small(store, tmp_path / "file" / "run"), progress=False)


def test_failures_are_not_imitated_unless_asked(tmp_path):
    store = make_store(tmp_path / "store", episodes=2, outcome="failure")
    with pytest.raises(StoreError, match=r"all 2 episodes of the store .* are failures"):
        prepare(small(store, None), progress=False)
    make_store(store.path, episodes=2)
    data = prepare(small(store, None), progress=False)
    assert len(data.train_ids + data.val_ids) == 2
    data = prepare(small(store, None, include_failures=True), progress=False)
    assert len(data.train_ids + data.val_ids) == 4
    data = prepare(small(store, None, max_episodes=1), progress=False)
    assert (len(data.train_ids), data.val_ids) == (1, ())


def test_a_gradient_that_is_not_finite_stops_training_before_it_reaches_the_weights(store, tmp_path, capsys):
    trainer = Trainer(small(store, tmp_path / "run", steps=5), progress=False)
    original, calls = trainer.policy.loss, []

    def poisoned(batch):
        calls.append(batch)
        loss, metrics = original(batch)
        if len(calls) == 3:
            batch["observation"]["position"][1, 0, 0] = float("nan")
            loss = loss * batch["observation"]["position"].sum()
        return loss, metrics

    trainer.policy.loss = poisoned
    with pytest.raises(nan_guard.TrainingDiverged, match=r"diverged at step 2: the loss is nan; .*nan_guard"):
        trainer.run()
    assert all(torch.isfinite(w).all() for w in weights(tmp_path / "run").values())
    assert checkpoint.describe(tmp_path / "run")["training"]["step"] == 2
    report = json.loads((tmp_path / "run/nan/report.json").read_text())
    assert set(report["episodes"]) <= set(trainer.data.train_ids)
    table = nan_guard.describe(tmp_path / "run/nan")
    line = next(line for line in table.splitlines() if line.startswith("observation.position"))
    assert f"NOT FINITE in episodes ['{report['episodes'][1]}']" in line


def test_the_nan_guard_s_folder_is_named_where_it_holds_nothing(tmp_path):
    with pytest.raises(StoreError, match="does not hold a batch"):
        nan_guard.describe(tmp_path)
