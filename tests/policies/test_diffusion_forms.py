"""What each form of Diffusion Policy predicts, and what can be changed after training."""

from dataclasses import replace

import pytest
import torch
from gaussian import FLOW, squared_cosine
from toy_policies import TRANSFORMER, UNET, arm_contract, batch, make_policy

from robot_learning.errors import ConfigError, UnknownName
from robot_learning.policies.diffusion.config import FlowTransformerConfig
from robot_learning.policies.diffusion.flow import path

FORMS = [*(replace(UNET, prediction=p) for p in ("epsilon", "sample", "v")), FLOW]


def test_targets_are_three_views_of_one_noisy_sample():
    A_0, epsilon = torch.randn(2, 5, 8, 10, dtype=torch.float64)
    k = torch.tensor([0, 20, 50, 80, 97])
    alpha, sigma = (v[k].sqrt()[:, None, None] for v in (squared_cosine(100), 1 - squared_cosine(100)))
    of = {p: make_policy(replace(UNET, prediction=p)).target(A_0, epsilon, k) for p in ("epsilon", "sample", "v")}
    A_k = make_policy(UNET).ddpm.add_noise(A_0, epsilon, k)
    close = {"atol": 1e-5, "rtol": 0}
    torch.testing.assert_close(A_k, alpha * A_0 + sigma * epsilon, **close)
    assert torch.equal(of["epsilon"], epsilon)
    assert torch.equal(of["sample"], A_0)
    torch.testing.assert_close(alpha * A_k - sigma * of["v"], of["sample"], **close)
    torch.testing.assert_close(sigma * A_k + alpha * of["v"], of["epsilon"], **close)


def test_flow_s_path_goes_straight_from_noise_to_actions():
    A, epsilon = torch.randn(2, 3, 8, 10, dtype=torch.float64)
    assert torch.equal(path(A, epsilon, torch.zeros(3, 1, 1)), epsilon)
    assert torch.equal(path(A, epsilon, torch.ones(3, 1, 1)), A)
    torch.testing.assert_close(path(A, epsilon, torch.tensor(0.25)), epsilon + 0.25 * (A - epsilon))


def test_6d_rotations_are_not_rescaled():
    policy = make_policy(UNET)
    raw = batch(policy.contract, policy.view, 4)["action"]
    assert torch.equal(policy.act(policy.act.split(raw))[..., 3:9], raw[..., 3:9])


@pytest.mark.parametrize("config", [*FORMS, FlowTransformerConfig(layers=1, heads=2, dim=32, Tp=8, Ta=4)])
def test_double_in_double_out_and_the_networks_are_those_that_predict_calls(config):
    policy = make_policy(config).double().eval()
    observation = {n: v[:1] for n, v in batch(policy.contract, policy.view, 1)["observation"].items()}
    assert policy.predict(observation).dtype == torch.float64
    networks = policy.networks(observation)
    assert list(networks) == ["observe", "denoiser"]
    with torch.no_grad():
        assert policy.observe(*networks["observe"]).shape == (1, 2, policy.observe.dim)
        assert policy.denoiser(*networks["denoiser"]).shape == (1, config.Tp, policy.act.dim)


def test_sampler_and_steps_can_be_changed_without_training_and_leave_the_original_alone():
    policy = make_policy(UNET).eval()
    observation = batch(policy.contract, policy.view, 2)["observation"]
    seed = torch.Generator().manual_seed(0)
    changed = policy.with_sampler("dpm++", 5)
    calls = []
    policy.denoiser.register_forward_hook(lambda *_: calls.append(1))
    changed.predict(observation, seed)
    assert len(calls) == 5
    assert (policy.config.sampler, policy.config.inference_steps) == ("ddim", 10)
    assert changed.denoiser is policy.denoiser
    with pytest.raises(ConfigError, match="has one sampler"):
        make_policy(FLOW).with_sampler("ddim")


def test_misspelt_options_get_the_closest_match():
    with pytest.raises(UnknownName, match=r"did you mean 'dpm\+\+'"):
        replace(UNET, sampler="dpm+")
    with pytest.raises(UnknownName, match="did you mean 'epsilon'"):
        replace(UNET, prediction="epsilonn")
    with pytest.raises(ConfigError, match=r"begin ddim at diffusion step 63.*choose 50, or dpm"):
        replace(UNET, inference_steps=64)


@pytest.mark.parametrize("config", [*FORMS, replace(TRANSFORMER, sampler="dpm++"), replace(UNET, sampler="dpm++")])
def test_a_prefix_is_kept_by_every_form(config):
    policy = make_policy(config).eval()
    given = batch(policy.contract, policy.view, 2)
    chunk = policy.predict(given["observation"], torch.Generator().manual_seed(0), prefix=given["action"][:, :4])
    assert torch.equal(chunk[:, 1:5], given["action"][:, :4])
    assert chunk.isfinite().all()


@pytest.mark.parametrize("config", [*FORMS[1:], replace(UNET, sampler="dpm++")])
def test_the_rest_of_a_chunk_continues_the_prefix_in_every_form(config):
    policy = make_policy(config, ("joints",), arm_contract(action_gated=((2,), "m")))
    ways = torch.tensor([1.5, -1.5])[:, None, None].expand(2, config.Tp, 2)
    still = {"joints": torch.zeros(32, 2, 3)}
    optimizer = torch.optim.AdamW(policy.parameters(), lr=1e-2)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, 200)
    for _ in range(200):
        optimizer.zero_grad()
        policy.loss({"observation": still, "action": ways.repeat(16, 1, 1)})[0].backward()
        optimizer.step()
        schedule.step()
    policy.eval()
    right = []
    for way in ways:
        end = policy.predict(still, torch.Generator().manual_seed(1), way[1:6].expand(32, -1, -1))[:, -1, 0]
        right.append(((end > 0) == (way[-1, 0] > 0)).float().mean())
    assert sum(right) / 2 > 0.75  # by chance: 0.5
