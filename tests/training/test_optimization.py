"""What a recipe names is what happens to the weights."""

import json
from dataclasses import replace

import pytest
import torch
from toy_store import make_store

from robot_learning.errors import ConfigError
from robot_learning.policies import checkpoint, noise
from robot_learning.policies.recipe import Recipe
from robot_learning.training import optimization
from robot_learning.training.config import TrainConfig
from robot_learning.training.metrics import read_metrics
from robot_learning.training.trainer import Trainer, train

RECIPE = Recipe(steps=6, batch_size=4, warmup_steps=1, lr=1e-3)


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    return make_store(tmp_path_factory.mktemp("stores") / "store")


class Toy(torch.nn.Module):
    """Twelve weights."""

    def __init__(self):
        super().__init__()
        self.weight = torch.nn.Parameter(torch.linspace(-2, 1, 12).reshape(3, 4))

    def parameter_groups(self, weight_decay, encoder_weight_decay):
        return [{"params": [self.weight], "weight_decay": weight_decay}]


def small(store, output, **recipe):
    config = TrainConfig.of_preset("diffusion_unet_state_small", store.path, output=output, val_fraction=0.0)
    policy = replace(config.config, Tp=8, Ta=4, dims=(8, 16), step_dim=8)
    return replace(config, config=policy, recipe=replace(RECIPE, **recipe))


def test_the_step_schedule_is_besos():
    weight = torch.nn.Parameter(torch.zeros(1))
    optimizer = torch.optim.Adam([weight], lr=1e-4)
    schedule = optimization.make_schedule(optimizer, replace(RECIPE, schedule="step"))
    rates = []
    for _ in range(40_000):
        rates.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        schedule.step()
    assert rates[99] == 1e-4
    assert rates[100] == pytest.approx(0.99e-4)
    assert rates[-1] == pytest.approx(1e-4 * 0.99**399)  # 1.8e-6


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({}, [0, 1 - 2**-0.75, 1 - 11**-0.75, 0.9999]),
        ({"ema_decay": 0.5}, [0, 1 - 2**-0.75, 0.5, 0.5]),
        ({"ema": "ramp", "ema_decay": 0.999}, [0, 2 / 11, 11 / 20, 0.999]),
    ],
)
def test_the_average_has_the_decay_that_the_recipe_says(changes, expected):
    average = optimization.make_average(Toy(), replace(RECIPE, **changes))
    assert [average.get_decay(step) for step in (1, 2, 11, 10**7)] == pytest.approx(expected)


def test_without_an_average_the_newest_weights_are_kept_and_resumed(store, tmp_path):
    trainer = Trainer(small(store, tmp_path / "run", ema="none"), progress=False)
    trainer.run()
    saved = checkpoint.load(tmp_path / "run").state_dict()
    assert all(torch.equal(saved[n], w) for n, w in trainer.policy.state_dict().items())
    again = Trainer(replace(small(store, tmp_path / "run", ema="none"), resume=True), progress=False)
    assert all(torch.equal(saved[n], w) for n, w in again.policy.state_dict().items())


def test_adam_decays_by_the_gradient_and_adamw_apart_from_it():
    def after_one_step(kind):
        policy = Toy()
        optimizer = optimization.make_optimizer(policy, replace(RECIPE, optimizer=kind, weight_decay=0.5))
        before = policy.weight.detach().clone()
        policy.weight.grad = torch.zeros_like(before)
        optimizer.step()
        return before, policy.weight.detach()

    before, decoupled = after_one_step("adamw")
    torch.testing.assert_close(decoupled, before * (1 - 1e-3 * 0.5))
    before, coupled = after_one_step("adam")
    torch.testing.assert_close((before - coupled).abs(), torch.full((3, 4), 1e-3))  # Adam's step, whatever the size


@pytest.mark.parametrize("weight_lies", [torch.contiguous_format, torch.channels_last])
@pytest.mark.parametrize("gradient_lies", [torch.contiguous_format, torch.channels_last])
def test_weights_take_the_same_steps_however_they_and_their_gradients_lie(weight_lies, gradient_lies):
    def after_three_steps(weight_lies, gradient_lies, make):
        torch.manual_seed(0)
        model = torch.nn.Conv2d(3, 4, 3).to(memory_format=weight_lies)
        optimizer = make(model)
        for k in range(3):
            model.weight.grad = (torch.randn(4, 3, 3, 3) + k).contiguous(memory_format=gradient_lies)
            optimizer.step()
        return model.weight

    def torchs(model):
        return torch.optim.AdamW(model.parameters(), lr=1e-3, betas=RECIPE.betas, weight_decay=0.5, fused=False)

    def ours(model):
        model.parameter_groups = lambda weight_decay, _: [{"params": [model.weight], "weight_decay": weight_decay}]
        return optimization.make_optimizer(model, replace(RECIPE, weight_decay=0.5))

    expected = after_three_steps(torch.contiguous_format, torch.contiguous_format, torchs)
    weight = after_three_steps(weight_lies, gradient_lies, ours)
    assert weight.is_contiguous(memory_format=weight_lies)
    torch.testing.assert_close(weight, expected)


def test_a_clipped_gradient_has_the_norm_asked_for(store, tmp_path):
    trainer = Trainer(small(store, tmp_path / "run", grad_clip=0.01, ema="none"), progress=False)
    seen = []
    step = trainer.optimizer.step

    def record():
        seen.append(float(torch.nn.utils.get_total_norm([p.grad for p in trainer.policy.parameters()])))
        step()

    trainer.optimizer.step = record
    trainer.run()
    assert seen == pytest.approx([0.01] * 6, rel=1e-4)
    assert read_metrics(tmp_path / "run")[-1]["grad_norm"] > 0.1  # what it was before


def test_figures_of_the_loss_are_logged_as_means_and_the_policy_is_told_of_each_step(store, tmp_path):
    config = replace(small(store, tmp_path / "run", accumulate=2), log_every=3)
    trainer = Trainer(config, progress=False)
    original, told, calls = trainer.policy.loss, [], []

    def loss(batch):
        calls.append(None)
        return original(batch)[0], {"part": torch.tensor(float(len(calls)))}

    trainer.policy.loss = loss
    trainer.policy.after_step = lambda step, steps: told.append((step, steps, trainer.state.ema.optimization_step))
    trainer.run()
    assert [m["part"] for m in read_metrics(tmp_path / "run")] == [3.5, 9.5]  # of 1 to 6, and of 7 to 12
    assert told == [(n, 6, n - 1) for n in range(1, 7)]


def test_a_compiled_run_has_the_loss_of_one_that_is_not(store, tmp_path):
    for name, compiled in (("eager", False), ("compiled", True)):
        config = small(store, tmp_path / name, compile=compiled, steps=2)
        tiny = replace(config.config, dims=(8,))  # compiling takes seconds per layer
        train(replace(config, config=tiny, log_every=1), progress=False)
    eager, fast = (read_metrics(tmp_path / name) for name in ("eager", "compiled"))
    assert [m["loss"] for m in fast] == pytest.approx([m["loss"] for m in eager], rel=1e-4)


def test_records_of_earlier_runs_are_read_as_they_were_meant(store):
    content = json.loads(json.dumps(small(store, None).to_json()))
    for name in ("optimizer", "ema", "ema_decay", "grad_clip", "compile"):
        del content["recipe"][name]
    recipe = TrainConfig.from_json(content, "here").recipe
    assert (recipe.optimizer, recipe.ema, recipe.ema_decay) == ("adamw", "power", 0.9999)
    assert (recipe.grad_clip, recipe.compile) == (None, False)


def test_a_recipe_out_of_range_says_what_is_allowed():
    with pytest.raises(ConfigError, match=r"ema-decay must be in \[0, 1\); got 1"):
        replace(RECIPE, ema_decay=1.0)
    with pytest.raises(ConfigError, match="grad-clip must be positive"):
        replace(RECIPE, grad_clip=0.0)


def test_noise_of_a_process_is_its_part_of_the_global_batch():
    x = torch.zeros(3, 5)

    def drawn(rank, world, x):
        with noise.shared(torch.Generator().manual_seed(1), rank, world):
            return noise.normal_like(x), noise.uniform((len(x), 2), x.device), noise.integers(9, (len(x),), x.device)

    whole = drawn(0, 1, torch.zeros(6, 5))
    for rank in (0, 1):
        for part, of in zip(drawn(rank, 2, x), whole, strict=True):
            assert torch.equal(part, of[rank::2])
    torch.manual_seed(0)
    alone = noise.normal_like(x)
    torch.manual_seed(0)
    assert torch.equal(alone, torch.randn(3, 5))
