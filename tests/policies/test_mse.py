import pytest
import torch
from toy_policies import arm_contract, batch, make_policy

from robot_learning.errors import ConfigError, UserError
from robot_learning.policies import presets, registry
from robot_learning.policies.mse.config import MseConfig

CONFIG = MseConfig(Tp=8, Ta=4, hidden=(64, 64))


def test_where_two_things_were_done_it_does_what_lies_between():
    contract = arm_contract(action_gated=((2,), "m"))
    torch.manual_seed(0)
    policy = make_policy(CONFIG, ("joints",), contract)
    two = batch(contract, policy.view, 2)
    two["observation"]["joints"][:] = 0.5  # one state...
    optimizer = torch.optim.Adam(policy.parameters(), lr=3e-3)
    for _ in range(200):
        optimizer.zero_grad()
        policy.loss(two)[0].backward()
        optimizer.step()
    chunk = policy.eval().predict(two["observation"])
    torch.testing.assert_close(chunk, two["action"].mean(0, keepdim=True).expand(2, -1, -1), atol=0.02, rtol=0)


def test_its_loss_is_the_mean_squared_error_of_normalised_actions():
    policy = make_policy(CONFIG)
    given = batch(policy.contract, policy.view, 3)
    loss, _ = policy.loss(given)
    wanted = policy.act(policy.act.split(given["action"]))
    chunk = policy.mean(policy.observe(given["observation"]).flatten(1)).reshape(wanted.shape)
    assert loss.item() == pytest.approx(sum(((chunk - wanted) ** 2).flatten().tolist()) / wanted.numel(), rel=1e-5)


def test_it_draws_nothing_and_each_chunk_is_its_own():
    policy = make_policy(CONFIG).eval()
    observation = batch(policy.contract, policy.view, 3)["observation"]
    chunks = policy.predict(observation, torch.Generator().manual_seed(1))
    assert chunks.shape == (3, 8, 10)
    assert torch.equal(chunks, policy.predict(observation, torch.Generator().manual_seed(2)))
    alone = policy.predict({n: v[1:2] for n, v in observation.items()})
    torch.testing.assert_close(chunks[1:2], alone)


def test_every_parameter_is_in_one_group_and_learns():
    policy = make_policy(CONFIG, ("joints", "front"))
    policy.loss(batch(policy.contract, policy.view, 2))[0].backward()
    assert [n for n, p in policy.named_parameters() if p.grad is None] == []
    grouped = [id(p) for g in policy.parameter_groups(1e-3, 1e-6) for p in g["params"]]
    assert sorted(grouped) == sorted(id(p) for p in policy.parameters())


def test_the_networks_named_for_back_ends_do_the_work_of_predict():
    policy = make_policy(CONFIG).eval()
    observation = batch(policy.contract, policy.view, 1)["observation"]
    inputs = policy.networks(observation)
    raw = policy.mean(*inputs["mean"]).unflatten(-1, (8, -1))
    torch.testing.assert_close(policy.act.inverse(raw), policy.predict(observation))


def test_goals_and_committed_actions_are_refused():
    policy = make_policy(CONFIG).eval()
    observation = batch(policy.contract, policy.view, 1)["observation"]
    with pytest.raises(UserError, match="takes no goal"):
        policy.predict(observation, goal=observation)
    with pytest.raises(UserError, match="committed actions"):
        policy.predict(observation, prefix=torch.zeros(1, 2, 10))


def test_a_configuration_is_read_back_and_a_layer_of_no_width_is_refused():
    config = presets.preset("mse_state_small").config
    assert registry.parse_config("mse", {"hidden": list(config.hidden)}) == config
    with pytest.raises(ConfigError, match="at least 1 wide"):
        MseConfig(hidden=(8, 0))
