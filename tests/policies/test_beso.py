from dataclasses import replace

import pytest
import torch
from toy_policies import VISION, arm_contract, batch, make_policy

from robot_learning.errors import ConfigError, UnknownName, UserError
from robot_learning.policies import checkpoint
from robot_learning.policies.beso.config import BesoConfig

FREE = BesoConfig(Tp=8, Ta=4, layers=2, heads=2, dim=32, attention_dropout=0.0, vision=VISION)
GOAL = replace(FREE, goal=2)


def seeded(seed=0):
    return torch.Generator().manual_seed(seed)


def made(config, observations=("joints", "yaw"), size=3, **changes):
    """A policy of random weights, large enough to tell inputs apart, and a batch for it."""
    policy = make_policy(replace(config, **changes), observations).eval()
    with torch.no_grad():
        for parameter in policy.denoiser.parameters():
            parameter.add_(0.1 * torch.randn(parameter.shape, generator=seeded(7)))
    return policy, batch(policy.contract, policy.view, size)


@pytest.mark.parametrize("config", [FREE, GOAL, replace(GOAL, To=4, Tp=4, Ta=1)], ids=["free", "goal", "last_action"])
@pytest.mark.parametrize("observations", [("joints", "yaw"), ("joints", "front")], ids=["state", "image"])
def test_a_chunk_has_the_horizon_and_every_parameter_learns(config, observations):
    policy, b = made(config, observations)
    assert policy.predict(b["observation"], seeded(), goal=b.get("goal")).shape == (3, config.Tp, 10)
    assert policy.takes_goal == bool(config.goal)
    optimizer = torch.optim.SGD(policy.train().parameters(), lr=1e-2)
    for _ in range(2):  # residual branches begin at zero, so that what is inside them learns from the second step on
        optimizer.zero_grad()
        policy.loss(b)[0].backward()
        optimizer.step()
    assert [n for n, p in policy.named_parameters() if p.grad is None or not p.grad.any()] == []
    grouped = [id(p) for g in policy.parameter_groups(1e-3, 1e-6) for p in g["params"]]
    assert sorted(grouped) == sorted(id(p) for p in policy.parameters())


def test_the_paper_s_policy_executes_its_last_action_and_a_chunk_s_begins_at_the_newest_observation():
    assert make_policy(replace(FREE, To=4, Tp=4, Ta=1)).executed == slice(3, 4)
    assert make_policy(FREE).executed == slice(1, 5)


def test_an_output_sees_states_and_actions_up_to_its_own_step_all_of_its_chunk_and_all_goals():
    policy, _ = made(GOAL, To=3)  # the chunk begins at action 2
    inputs = [torch.randn(1, 8, 10), torch.randn(1, 3, 5), torch.randn(1, 2, 5)]
    A, O, G = (x.requires_grad_() for x in inputs)  # noqa: E741
    for t in (0, 1, 5):
        for x in (A, O, G):
            x.grad = None
        policy.denoiser(A, torch.zeros(1), O, G)[0, t].sum().backward()
        assert [bool(g.any()) for g in A.grad[0]] == [i <= t or t >= 2 for i in range(8)]
        assert [bool(g.any()) for g in O.grad[0]] == [i <= t for i in range(3)]
        assert G.grad.abs().amin() > 0


def test_a_state_and_its_action_share_a_position_and_sigma_has_none():
    policy, _ = made(GOAL, To=3)
    assert policy.denoiser.position.shape == (1, 2 + 8, 32)


def test_guidance_moves_the_denoised_actions_from_unconditional_through_conditional():
    policy, b = made(GOAL)
    a, O, G = torch.randn(3, 8, 10), policy.observe(b["observation"]), policy.observe(b["goal"])  # noqa: E741
    without, with_goal = policy.denoise(a, 0.3, O, torch.zeros_like(G)), policy.denoise(a, 0.3, O, G)
    assert not torch.allclose(without, with_goal, atol=1e-3)
    for guidance in (0.0, 0.5, 1.0, 2.0):
        guided = policy.with_sampler(guidance=guidance).guided(a, 0.3, O, G)
        torch.testing.assert_close(guided, without + guidance * (with_goal - without))


def test_without_a_goal_a_policy_of_goals_acts_as_towards_the_zero_goal():
    policy, b = made(GOAL, guidance=1.5)
    free = policy.predict(b["observation"], seeded())
    assert not torch.equal(free, policy.predict(b["observation"], seeded(), goal=b["goal"]))
    policy.denoiser.register_forward_pre_hook(lambda _, inputs: (*inputs[:3], torch.zeros_like(inputs[3])))
    assert torch.equal(free, policy.predict(b["observation"], seeded(), goal=b["goal"]))


@pytest.mark.parametrize("per", ["sample", "element"])
def test_goals_are_hidden_whole_and_value_by_value_only_when_asked(per):
    policy, b = made(GOAL, size=400, goal_dropout=0.3, goal_dropout_per=per)
    b["goal_mask"][:40] = False
    G, seen = policy.observe(b["goal"]), []
    policy.denoiser.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[3].detach()))
    torch.manual_seed(0)
    policy.loss(b)
    hidden = seen[0] == 0
    assert hidden[:40].all()
    assert torch.equal(seen[0][~hidden], G[~hidden])
    hidden = hidden[40:].flatten(1)
    assert hidden.float().mean() == pytest.approx(0.3, abs=0.06)
    whole = (hidden.all(1) | ~hidden.any(1)).float().mean()
    assert whole == 1 if per == "sample" else whole < 0.1


def test_each_window_has_one_noise_level_and_the_loss_is_edm_s():
    policy, b = made(FREE)
    policy.double()
    seen = []
    policy.denoiser.register_forward_hook(lambda _, inputs, out: seen.append((*inputs[:2], out)))
    torch.manual_seed(0)
    loss, _ = policy.loss(b)
    scaled, c_noise, out = seen[0]
    sigma = (4 * c_noise).exp()[:, None, None]
    assert sigma.unique().numel() == 3
    noisy, A = scaled * (sigma**2 + 0.25).sqrt(), policy.act(policy.act.split(b["action"]))
    D = 0.25 / (sigma**2 + 0.25) * noisy + sigma * 0.5 / (sigma**2 + 0.25).sqrt() * out
    weight = (sigma**2 + 0.25) / (sigma * 0.5) ** 2
    torch.testing.assert_close(loss, (weight * (D - A) ** 2).mean(), rtol=1e-4, atol=0)


def train(config, contract, steps=400):
    """A policy on a toy with two right answers, all actions -2.5 or all 2.5, near the ends of the data's range."""
    policy = make_policy(config, ("joints",), contract)
    optimizer = torch.optim.AdamW(policy.parameters(), lr=3e-3)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, steps)
    b = batch(contract, policy.view, 128)
    for _ in range(steps):
        side = torch.randint(2, (128,)) * 2.0 - 1
        b["observation"]["joints"] = torch.zeros(128, config.To, 3)
        b["action"] = 2.5 * side[:, None, None].expand(128, config.Tp, 2).contiguous()
        if config.goal:
            b["goal"]["joints"] = side[:, None, None].expand(128, config.goal, 3).contiguous()
        optimizer.zero_grad()
        policy.loss(b)[0].backward()
        optimizer.step()
        schedule.step()
    return policy.eval()


@pytest.fixture(scope="module")
def left_or_right():
    """The paper's policy of a last action. The goal says which answer, and is hidden from one window in five."""
    config = replace(FREE, goal=1, goal_dropout=0.2, To=2, Tp=2, Ta=1)
    return train(config, arm_contract(action_gated=((2,), "m")))


def test_three_steps_find_both_modes_without_a_goal(left_or_right):
    chunks = left_or_right.predict({"joints": torch.zeros(200, 2, 3)}, seeded())
    way = chunks[:, left_or_right.executed].mean((1, 2))
    for mode in (-2.5, 2.5):
        assert ((way - mode).abs() < 0.5).float().mean() > 0.2


def test_a_goal_decides_which_mode(left_or_right):
    goal = torch.tensor([-1.0, 1.0]).repeat(50)[:, None, None].expand(100, 1, 3)
    for guidance in (1.0, 1.5):
        policy = left_or_right.with_sampler(guidance=guidance)
        chunks = policy.predict({"joints": torch.zeros(100, 2, 3)}, seeded(), goal={"joints": goal})
        assert (chunks.mean((1, 2)).sign() == goal[:, 0, 0]).float().mean() > 0.97


def test_a_checkpoint_gives_the_same_actions(tmp_path):
    policy, b = made(GOAL, guidance=1.5, sampler="dpm++_2m")
    loaded = checkpoint.load(checkpoint.save(tmp_path / "c", policy, "snapshot"))
    assert loaded.config == policy.config
    expected = policy.predict(b["observation"], seeded(), goal=b["goal"])
    assert torch.equal(loaded.predict(b["observation"], seeded(), goal=b["goal"]), expected)


@pytest.mark.parametrize("sampler", ["ddim", "euler_ancestral", "dpm++_2m_sde"])
def test_a_window_s_noise_is_its_own_whatever_else_is_in_the_batch(sampler):
    policy, b = made(FREE, sampler=sampler)
    together = policy.predict(b["observation"], [seeded(i) for i in range(3)])
    alone = policy.predict({n: v[1:2] for n, v in b["observation"].items()}, [seeded(1)])
    torch.testing.assert_close(together[1:2], alone, atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("config", [FREE, GOAL], ids=["free", "goal"])
def test_the_networks_do_the_work_of_predict_and_can_be_exported(config):
    policy, b = made(config, size=1)
    networks = policy.networks(b["observation"])
    assert list(networks) == ["observe", *(["observe_goal"] if config.goal else []), "denoiser"]
    assert policy.observe(*networks["observe"]).shape == (1, 2, 5)
    program = torch.export.export(policy.denoiser, networks["denoiser"])
    A, c_noise, *rest = (torch.randn_like(x) for x in networks["denoiser"])
    torch.testing.assert_close(program.module()(A, c_noise, *rest), policy.denoiser(A, c_noise, *rest))


def test_a_goal_that_does_not_fit_is_refused():
    policy, b = made(GOAL)
    with pytest.raises(UserError, match=r"'joints' must be \(B, 2, ...\).*got \(3, 1, 3\)"):
        policy.predict(b["observation"], goal={n: v[:, :1] for n, v in b["goal"].items()})
    with pytest.raises(UnknownName, match="yaw"):
        policy.predict(b["observation"], goal={"joints": b["goal"]["joints"]})
    with pytest.raises(UserError, match=r"trained without goals"):
        made(FREE)[0].predict(b["observation"], goal=b["goal"])
    with pytest.raises(UserError, match="can't begin a chunk"):
        policy.predict(b["observation"], prefix=torch.zeros(3, 1, 10))
    with pytest.raises(UnknownName, match="did you mean 'guidance'"):
        policy.with_sampler(guidence=2.0)
    with pytest.raises(ConfigError, match="inference_steps must be at least 1"):
        policy.with_sampler(steps=0)
