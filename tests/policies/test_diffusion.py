import json
from dataclasses import asdict, replace

import pytest
import torch
from toy_policies import TRANSFORMER, UNET, VISION, arm_contract, batch, make_policy

from robot_learning.errors import ConfigError, UnknownName
from robot_learning.policies import registry
from robot_learning.policies.diffusion.config import DiffusionUNetConfig
from robot_learning.policies.encoders import ImageEncoder


def seeded(seed=0):
    return torch.Generator().manual_seed(seed)


@pytest.mark.parametrize("config", [UNET, TRANSFORMER], ids=["unet", "transformer"])
def test_a_chunk_has_the_horizon_and_the_contract_s_action_width(config):
    policy = make_policy(config).eval()
    observation = batch(policy.contract, policy.view, 3)["observation"]
    chunk = policy.predict(observation, seeded())
    assert chunk.shape == (3, config.Tp, 10)
    x, y = chunk[..., 3:6], chunk[..., 6:9]
    torch.testing.assert_close((x * x).sum(-1), torch.ones(3, config.Tp))
    torch.testing.assert_close((x * y).sum(-1), torch.zeros(3, config.Tp), atol=1e-5, rtol=0)


@pytest.mark.parametrize("config", [UNET, TRANSFORMER], ids=["unet", "transformer"])
def test_every_parameter_is_trained_and_in_one_group(config):
    policy = make_policy(config, ("joints", "front"))
    optimizer = torch.optim.SGD(policy.parameters(), lr=1e-2)
    for _ in range(2):  # residual branches begin at zero, so that what is inside them learns from the second step on
        optimizer.zero_grad()
        policy.loss(batch(policy.contract, policy.view, 2))[0].backward()
        optimizer.step()
    assert [n for n, p in policy.named_parameters() if p.grad is None or not p.grad.any()] == []
    grouped = [id(p) for g in policy.parameter_groups(1e-3, 1e-6) for p in g["params"]]
    assert sorted(grouped) == sorted(id(p) for p in policy.parameters())


def learn_by_heart(config, steps):
    contract = arm_contract(action_gated=((2,), "m"))
    policy = make_policy(config, ("joints",), contract)
    two = batch(contract, policy.view, 2)
    two["observation"]["joints"] = torch.tensor([-2.5, 2.5])[:, None, None].expand(2, 2, 3).contiguous()
    many = {
        "observation": {"joints": two["observation"]["joints"].repeat(16, 1, 1)},
        "action": two["action"].repeat(16, 1, 1),
    }
    optimizer = torch.optim.AdamW(policy.parameters(), lr=5e-3, fused=True)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, steps)
    for _ in range(steps):
        optimizer.zero_grad()
        policy.loss(many)[0].backward()
        optimizer.step()
        schedule.step()
    return policy.eval(), two


@pytest.mark.parametrize(
    ("config", "steps"),
    [(replace(UNET, dims=(32, 64), step_dim=32), 350), (TRANSFORMER, 500)],
    ids=["unet", "transformer"],
)
def test_two_windows_are_learned_by_heart_and_both_samplers_recite_them(config, steps):
    policy, two = learn_by_heart(config, steps)
    ddpm = make_policy(replace(config, sampler="ddpm", inference_steps=config.K), ("joints",), policy.contract).eval()
    ddpm.load_state_dict(policy.state_dict())
    apart = (two["action"][0] - two["action"][1]).abs().mean()
    for sampler in (policy, ddpm):
        chunk = sampler.predict(two["observation"], seeded())
        assert (chunk - two["action"]).abs().mean() < 0.2 * apart


def test_ddim_is_decided_by_its_first_noise_and_ddpm_is_not():
    first_noise_only = make_policy(UNET).eval()
    observation = batch(first_noise_only.contract, first_noise_only.view, 1)["observation"]
    a, b = (first_noise_only.predict(observation, seeded(1)) for _ in range(2))
    assert torch.equal(a, b)
    assert not torch.equal(a, first_noise_only.predict(observation, seeded(2)))

    once, generator = seeded(1), seeded(1)
    torch.randn((1, 8, 10), generator=once)
    first_noise_only.predict(observation, generator)
    assert torch.equal(generator.get_state(), once.get_state())
    stochastic = make_policy(replace(UNET, sampler="ddpm", inference_steps=100)).eval()
    generator = seeded(1)
    stochastic.predict(observation, generator)
    assert not torch.equal(generator.get_state(), once.get_state())


def test_predictions_stay_in_the_range_of_the_data():
    policy = make_policy(UNET).eval()
    policy.denoiser.register_forward_hook(lambda *_: 50 * torch.ones(1, 8, 10))
    observation = batch(policy.contract, policy.view, 1)["observation"]
    normalized = policy.act(policy.act.split(policy.predict(observation, seeded())))
    assert normalized[..., :3].abs().max() <= 1 + 1e-5


def test_z_scored_actions_are_not_clipped_at_one_standard_deviation():
    policy = make_policy(replace(UNET, normalization={"action": "z_score"}))
    assert not policy.sampler.config.clip_sample
    assert make_policy(UNET).sampler.config.clip_sample


def test_the_transformer_s_actions_see_neither_later_actions_nor_later_observations():
    policy = make_policy(TRANSFORMER).eval()
    denoiser = policy.denoiser
    A = torch.randn(1, 8, 10, requires_grad=True)
    seen = torch.randn(1, 2, policy.observe.dim, requires_grad=True)
    denoiser(A, torch.tensor([5]), seen)[0, 0].sum().backward()
    assert A.grad[0, 0].any()
    assert not A.grad[0, 1:].any()
    assert seen.grad[0, 0].any()
    assert not seen.grad[0, 1].any()


def test_crops_are_random_in_training_and_central_in_use():
    policy = make_policy(UNET, ("joints", "front", "wrist"))
    observation = batch(policy.contract, policy.view, 2)["observation"]
    with torch.no_grad():
        assert not torch.equal(policy.observe(observation), policy.observe(observation))
        policy.eval()
        assert torch.equal(policy.observe(observation), policy.observe(observation))
        seen = policy.observe(observation)
        observation["front"] = observation["front"].clone()
        observation["front"][:, :, :8] = 0  # outside the centre crop
        assert torch.equal(policy.observe(observation), seen)
        observation["front"][:, :, 20:40] = 0
        assert not torch.equal(policy.observe(observation), seen)


def test_no_batch_normalisation_is_left_in_an_image_encoder():
    policy = make_policy(UNET, ("joints", "front"))
    kinds = {type(m).__name__ for m in policy.modules()}
    assert "GroupNorm" in kinds
    assert not [k for k in kinds if "BatchNorm" in k]


def test_images_of_another_size_are_refused():
    policy = make_policy(UNET, ("joints", "front")).eval()
    observation = batch(policy.contract, policy.view, 1)["observation"]
    observation["front"] = observation["front"][:, :, :16]
    with pytest.raises(ConfigError, match=r"'front' must be \(64, 80\) pixels .* got \(16, 80\)"):
        policy.predict(observation)


def test_images_too_small_for_a_feature_map_are_refused():
    with pytest.raises(ConfigError, match="1x1 feature map of a 24x24 crop"):
        ImageEncoder((32, 32), VISION)


def test_an_image_encoder_may_crop_by_pixels_standardise_colours_and_cut_off_below_zero():
    vision = replace(VISION, crop=(41, 62), pixels="statistics", norm="frozen_batch", activation="relu")
    encoder = ImageEncoder((64, 80), vision).eval()
    encoder.mean.copy_(torch.tensor([0.1, 0.2, 0.3])[:, None, None])
    encoder.std.copy_(torch.tensor([0.5, 0.25, 0.2])[:, None, None])
    seen = []
    encoder.backbone.register_forward_pre_hook(lambda _, given: seen.append(given[0]))
    image = torch.zeros(1, 1, 64, 80, 3, dtype=torch.uint8)
    image[:, :, 11:52, 9:71] = torch.tensor([255, 51, 102], dtype=torch.uint8)
    with torch.no_grad():
        values = encoder(image)
        encoder.project.bias -= 100
        assert not encoder(image).any()
    expected = torch.tensor([1.8, 0.0, 0.5])[:, None, None].expand(1, 3, 41, 62)
    torch.testing.assert_close(seen[0], expected)
    assert (values >= 0).all()
    assert values.any()
    assert "FrozenBatchNorm2d" in {type(m).__name__ for m in encoder.modules()}
    with pytest.raises(ConfigError, match=r"at most the image's size \(64, 60\)"):
        ImageEncoder((64, 60), vision)
    with pytest.raises(ConfigError, match=r"at least 1 each; got \(0, 5\)"):
        replace(VISION, crop=(0, 5))


def test_a_configuration_from_before_there_were_these_choices_is_read_and_sizes_survive_json():
    content = asdict(UNET)
    for name in ("norm", "pixels", "activation"):
        del content["vision"][name]
    assert registry.parse_config("diffusion_unet", content) == UNET
    exact = replace(UNET, vision=replace(VISION, crop=(41, 62)))
    assert registry.parse_config("diffusion_unet", json.loads(json.dumps(asdict(exact)))) == exact


def test_a_missing_observation_is_named():
    policy = make_policy(UNET)
    observation = batch(policy.contract, policy.view, 1)["observation"]
    del observation["yaw"]
    with pytest.raises(UnknownName, match="yaw"):
        policy.predict(observation)


def test_a_horizon_that_the_unet_can_t_halve_is_refused():
    with pytest.raises(ConfigError, match=r"Tp must be divisible by 4.*got 15, try 16"):
        DiffusionUNetConfig(Tp=15)


def test_executed_actions_begin_with_the_newest_observation():
    policy = make_policy(UNET)
    assert policy.executed == slice(1, 5)
    with pytest.raises(ConfigError, match=r"Ta must be at most 7.*got 8"):
        replace(UNET, Ta=8)


def test_the_unet_has_the_published_size():
    published = make_policy(DiffusionUNetConfig(), contract=arm_contract())
    assert 6.4e7 < sum(p.numel() for p in published.parameters()) < 7e7
