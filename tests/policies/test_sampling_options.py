"""Sampling otherwise than trained: which policies can, what is refused, and that both commands hand it on."""

from __future__ import annotations

from dataclasses import asdict, replace

import pytest
import torch
import tyro
from toy_policies import UNET, batch, make_policy

from robot_learning.cli.serve import ServeConfig
from robot_learning.deployment.backends import load_backend
from robot_learning.errors import ConfigError, UnknownName
from robot_learning.evaluation import workers
from robot_learning.evaluation.evaluate import EvaluateConfig
from robot_learning.policies import checkpoint
from robot_learning.policies.beso.config import BesoConfig
from robot_learning.policies.diffusion.config import FlowUNetConfig
from robot_learning.policies.mse.config import MseConfig
from robot_learning.policies.sampling import Sampling

TINY = replace(UNET, dims=(8,), step_dim=8, inference_steps=10)


def test_both_commands_have_the_same_options():
    options = ["--checkpoint", "c", "--sampler", "dpm++", "--inference-steps", "5"]
    expected = Sampling("dpm++", 5)
    assert tyro.cli(ServeConfig, args=options).sampling == expected
    assert tyro.cli(EvaluateConfig, args=[*options, "--env", "two_way"]).sampling == expected
    assert tyro.cli(ServeConfig, args=["--schedule", "karras", "--guidance", "2"]).sampling == Sampling(
        schedule="karras", guidance=2.0
    )


@pytest.mark.parametrize(
    ("config", "sampling", "error", "match"),
    [
        (TINY, Sampling("dpmm++"), UnknownName, r"unknown sampler 'dpmm\+\+'; did you mean 'dpm\+\+'"),
        (TINY, Sampling(inference_steps=0), ConfigError, "inference_steps"),
        (TINY, Sampling(schedule="karras"), ConfigError, "no --schedule: it can change --sampler, --inference-steps"),
        (FlowUNetConfig(), Sampling("ddim"), ConfigError, "no --sampler: it can change --inference-steps"),
        (BesoConfig(), Sampling("huen"), UnknownName, "did you mean 'heun'"),
        (BesoConfig(), Sampling(schedule="karas"), UnknownName, "did you mean 'karras'"),
        (BesoConfig(), Sampling(guidance=2.0), ConfigError, "--guidance is towards a goal.*trained without"),
        (MseConfig(), Sampling("ddim"), ConfigError, "'mse' has no --sampler: it makes a chunk in one pass, leave it"),
    ],
)
def test_what_a_policy_can_not_do_is_refused_by_its_configuration(config, sampling, error, match):
    with pytest.raises(error, match=match):
        sampling.applied(config)


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    policy = make_policy(TINY, ("joints",))
    return checkpoint.save(tmp_path_factory.mktemp("c") / "c", policy, "snapshot"), policy


def test_the_server_s_chunks_are_those_of_the_policy_sampling_so(saved):
    folder, policy = saved
    seen = {n: v[:1] for n, v in batch(policy.contract, policy.view, 1)["observation"].items()}
    window = {n: v[0].numpy() for n, v in seen.items()}
    expected = policy.with_sampler("dpm++", 3).predict(seen, torch.Generator().manual_seed(0))[0]
    changed = load_backend(folder, "eager", sampling=Sampling("dpm++", 3)).infer(window, None, "")
    torch.testing.assert_close(torch.from_numpy(changed).float(), expected[policy.executed.start :])
    as_trained = load_backend(folder, "eager").infer(window, None, "")
    assert abs(changed - as_trained).max() > 1e-3


def test_a_worker_s_policy_samples_so_and_the_report_says_how(saved, monkeypatch):
    folder, _ = saved
    used = []
    monkeypatch.setattr(workers, "rollout", lambda policy, *_: used.append(policy.config))
    monkeypatch.setattr(workers, "make", lambda *_, **__: type("Env", (), {"close": lambda self: None})())
    task = workers.Task(str(folder), "any", sampling=Sampling("dpm++", 3))
    with workers._rolling(task, ()) as roll:
        roll([0], None)
    assert (used[0].sampler, used[0].inference_steps) == ("dpm++", 3)
    written = checkpoint.describe(folder)["config"]
    assert task.sampling.used(written) == {"sampler": "dpm++", "inference_steps": 3}
    assert Sampling().used(written) == {"sampler": "ddim", "inference_steps": 10}


def test_nothing_given_changes_nothing(saved):
    policy = saved[1]
    assert Sampling().of(policy) is policy


@pytest.mark.parametrize(
    ("sampling", "said"),
    [
        (Sampling(), ""),
        (Sampling("heun"), "heun in 3 steps from a noise of 20"),
        (Sampling("heun", 10), ""),
        (Sampling("heun", 1), ""),
    ],
)
def test_heun_in_few_steps_from_much_noise_is_cautioned_against(sampling, said):
    assert sampling.caution(asdict(BesoConfig(sigma_max=20))).startswith(said)
    assert bool(sampling.caution(asdict(BesoConfig(sigma_max=20)))) == bool(said)
    assert not sampling.caution(asdict(BesoConfig(sigma_max=1)))
