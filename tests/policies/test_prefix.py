"""Chunks that begin with committed actions."""

from dataclasses import replace

import pytest
import torch
from toy_policies import TRANSFORMER, UNET, arm_contract, batch, make_policy

from robot_learning.errors import UserError
from robot_learning.policies.base import Policy

CURRENT = UNET.To - 1  # the current step's place in a chunk


def seeded(seed=0):
    return torch.Generator().manual_seed(seed)


@pytest.mark.parametrize("sampler", ["ddim", "ddpm"])
@pytest.mark.parametrize("config", [UNET, TRANSFORMER], ids=["unet", "transformer"])
def test_a_chunk_begins_with_what_is_committed_from_the_current_step_on(config, sampler):
    policy = make_policy(replace(config, sampler=sampler)).eval()
    given = batch(policy.contract, policy.view, 3)
    prefix = given["action"][:, :4]
    chunk = policy.predict(given["observation"], seeded(), prefix=prefix)
    assert chunk.shape == (3, config.Tp, 10)
    assert torch.equal(chunk[:, CURRENT : CURRENT + 4], prefix)
    assert chunk.isfinite().all()


@pytest.fixture(scope="module")
def two_ways():
    """A policy that has learned two ways to act on one observation, and these."""
    policy = make_policy(UNET, ("joints",), arm_contract(action_gated=((2,), "m")))
    ways = torch.tensor([1.5, -1.5])[:, None, None].expand(2, UNET.Tp, 2)
    optimizer = torch.optim.AdamW(policy.parameters(), lr=1e-2)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, 200)
    for _ in range(200):
        optimizer.zero_grad()
        policy.loss({"observation": still(32), "action": ways.repeat(16, 1, 1)})[0].backward()
        optimizer.step()
        schedule.step()
    return policy.eval(), ways


def still(n):
    return {"joints": torch.zeros(n, UNET.To, 3)}


def test_the_rest_of_a_chunk_goes_on_the_way_that_it_began(two_ways):
    policy, ways = two_ways
    left_to_itself = policy.predict(still(32), seeded(1))[:, -1, 0]
    assert 0.2 < (left_to_itself > 0).float().mean() < 0.8
    for way in ways:
        prefix = way[CURRENT : CURRENT + 5].expand(32, -1, -1)
        end = policy.predict(still(32), seeded(1), prefix)[:, -1, 0]
        assert ((end > 0) == (way[-1, 0] > 0)).float().mean() > 0.75


@pytest.mark.parametrize("shape", [(2, 0, 10), (2, 8, 10), (2, 3, 9), (1, 3, 10), (3, 10)])
def test_a_prefix_that_does_not_fit_is_refused_with_what_would(shape):
    policy = make_policy(UNET).eval()
    observation = batch(policy.contract, policy.view, 2)["observation"]
    with pytest.raises(UserError, match=r"must be \(2, 1 to 7, 10\) for this policy; got"):
        policy.predict(observation, seeded(), torch.zeros(shape))


def test_a_policy_without_support_says_so():
    policy = make_policy(UNET)
    policy.supports_prefix = Policy.supports_prefix
    observation = batch(policy.contract, policy.view, 2)["observation"]
    with pytest.raises(UserError, match="can't begin a chunk with committed actions"):
        policy.predict(observation, prefix=torch.zeros(2, 3, 10))
