"""ACT-JEPA: who sees what, what learns from what, and whether latents that collapsed are noticed."""

import copy
from dataclasses import replace

import pytest
import torch
from toy_policies import arm_contract, batch, make_policy

from robot_learning.errors import ConfigError, UserError
from robot_learning.policies import checkpoint
from robot_learning.policies.act.config import MapConfig
from robot_learning.policies.act_jepa.collapse import effective_rank, spread
from robot_learning.policies.act_jepa.config import ActJepaConfig
from robot_learning.policies.pretrained import begin_with

JEPA = ActJepaConfig(
    Tp=6, Ta=4, future=5, dim=32, heads=2, ffn_dim=48, dropout=0.0, encoder_layers=2, predictor_dim=16,
    predictor_ffn_dim=32, predictor_layers=2, vision=MapConfig(backbone="resnet10t"),
)  # fmt: skip


def made(config=JEPA, seen=("joints", "yaw"), size=4):
    policy = make_policy(config, seen)
    return policy, batch(policy.contract, policy.view, size)


def test_no_gradient_reaches_the_target():
    policy, given = made()
    latents = []
    policy.target.layers.register_forward_hook(lambda *a: latents.append(a[-1]))
    policy.loss(given)[0].backward()
    assert all(p.grad is None for p in policy.target.parameters())
    assert not latents[0].requires_grad
    assert all(p.grad is not None for n, p in policy.named_parameters() if not n.startswith("target."))
    grouped = {id(p) for g in policy.parameter_groups(0.1, 0.1) for p in g["params"]}
    assert grouped == {id(p) for n, p in policy.named_parameters() if not n.startswith("target.")}


def test_the_target_follows_with_a_momentum_that_grows_linearly():
    policy, _ = made(seen=("joints",))
    policy.double()
    assert [policy.momentum(s, 5) for s in range(1, 6)] == pytest.approx([0.996, 0.997, 0.998, 0.999, 1.0])
    expected = copy.deepcopy(dict(policy.target.named_parameters()))
    for step in range(1, 6):
        with torch.no_grad():
            for p in policy.context.parameters():
                p += torch.randn_like(p)
        policy.after_step(step, 5)
        m = 0.996 + 0.001 * (step - 1)
        for name, p in policy.context.named_parameters():
            expected[name] = m * expected[name] + (1 - m) * p.detach()
    for name, p in policy.target.named_parameters():
        torch.testing.assert_close(p.detach(), expected[name].detach())


def test_the_loss_is_l1_of_actions_and_latents_without_what_is_padded():
    policy, given = made()
    policy.double().eval()
    given["future_mask"][0, 2:], given["mask"][1, 4:] = False, False
    loss, figures = policy.loss(given)
    with torch.no_grad():
        context = policy.context(given["observation"])
        sides = (policy.predictor(context), policy._target(given)), (
            policy.decode(context), policy.act(policy.act.split(given["action"])))  # fmt: skip
    means = []
    for (mine, theirs), mask in zip(sides, (given["future_mask"], given["mask"]), strict=True):
        errors = []
        for m, t, r in zip(mine, theirs, mask, strict=True):
            for i in range(len(r)):
                if r[i]:
                    errors += [abs(a - b) for a, b in zip(m[i].tolist(), t[i].tolist(), strict=True)]
        means.append(sum(errors) / len(errors))
    assert [float(figures["latent_l1"]), float(figures["l1"])] == pytest.approx(means)
    assert float(loss) == pytest.approx(sum(means))


def test_latents_count_as_much_as_is_asked_for_or_not_at_all():
    policy, given = made(replace(JEPA, latent_weight=0.5))
    loss, figures = policy.loss(given)
    assert float(loss) == pytest.approx(float(figures["l1"] + 0.5 * figures["latent_l1"]))
    policy, given = made(replace(JEPA, latent_weight=0.0))
    policy.loss(given)[0].backward()
    assert all(not p.grad.any() for p in policy.predictor.parameters())
    assert any(p.grad.any() for p in policy.context.parameters())
    with pytest.raises(ConfigError, match=r"latent_weight is at least 0.*got -1\."):
        replace(JEPA, latent_weight=-1.0)
    with pytest.raises(ConfigError, match="pretrain learns nothing else"):
        replace(JEPA, latent_weight=0.0, pretrain=True)


@pytest.mark.parametrize("target", ["state", "image"])
def test_the_target_sees_the_future_alone_and_the_context_the_present_alone(target):
    policy, given = made(replace(JEPA, target=target), ("joints", "front"), 2)
    assert set(given["future"]) == ({"front"} if target == "image" else {"joints"})
    policy.eval()
    with torch.no_grad():
        latents, chunk = policy._target(given), policy.predict(given["observation"])
        other = given | {"observation": {n: v.flip(0) for n, v in given["observation"].items()}}
        assert torch.equal(policy._target(other), latents)
        later = given | {"future": {n: v.flip(0) for n, v in given["future"].items()}}
        assert not torch.allclose(policy._target(later), latents, atol=1e-3)
        assert torch.equal(policy.predict(later["observation"]), chunk)
        assert not torch.allclose(policy.predict(other["observation"]), chunk, atol=1e-4)


def test_padded_steps_of_the_future_change_no_other_latent():
    policy, given = made()
    given["future_mask"][:, 3:] = False
    latents = policy._target(given)
    given["future"]["joints"][:, 3:] += 5
    torch.testing.assert_close(policy._target(given)[:, :3], latents[:, :3])


def test_pre_training_looks_at_no_action_and_can_be_gone_on_from(tmp_path):
    policy, given = made(replace(JEPA, pretrain=True))
    loss, figures = policy.loss({n: v for n, v in given.items() if n not in ("action", "mask")})
    assert float(loss) == float(figures["latent_l1"])
    assert not any(p.requires_grad for p in policy.decode.parameters())
    with pytest.raises(UserError, match="pre-trained without actions"):
        policy.predict(given["observation"])
    path = checkpoint.save(tmp_path / "p", policy, "abc")
    tuned = make_policy(JEPA, ("joints", "yaw"), seed=1)
    decoder = copy.deepcopy(tuned.decode.state_dict())
    begin_with(tuned, path)
    for part in ("context", "target", "predictor"):
        mine, theirs = (p.get_submodule(part).state_dict() for p in (tuned, policy))
        assert all(torch.equal(mine[n], theirs[n]) for n in mine)
    assert all(torch.equal(decoder[n], t) for n, t in tuned.decode.state_dict().items())
    with pytest.raises(ConfigError, match="does not fit this configuration: 'context"):
        begin_with(make_policy(replace(JEPA, dim=64), ("joints", "yaw")), path)


def test_a_collapse_shows():
    noise = torch.randn(64, 256, generator=torch.Generator().manual_seed(0))
    assert spread(torch.ones(64, 3, 256)) == 0
    assert effective_rank(torch.ones(64, 256)) == 0
    assert float(spread(noise)) == pytest.approx(1, abs=0.05)
    assert effective_rank(noise) > 0.9 * 63
    assert float(effective_rank(noise[:, :1] * noise[:1])) == pytest.approx(1, abs=0.1)


def test_training_lowers_both_losses_and_a_checkpoint_predicts_the_same_bits(tmp_path):
    contract = arm_contract(action_gated=((2,), "m"))
    policy = make_policy(JEPA, ("joints",), contract)
    given = batch(contract, policy.view, 8)
    optimizer = torch.optim.AdamW([p for p in policy.parameters() if p.requires_grad], lr=2e-3)
    seen = []
    for step in range(1, 151):
        loss, figures = policy.loss(given)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        policy.after_step(step, 150)
        seen.append(figures)
    assert seen[-1]["l1"] < 0.5 * seen[0]["l1"]
    assert seen[-1]["latent_l1"] < 0.7 * seen[0]["latent_l1"]
    policy.eval()
    loaded = checkpoint.load(checkpoint.save(tmp_path / "p", policy, "abc"))
    assert torch.equal(loaded.predict(given["observation"]), policy.predict(given["observation"]))
    assert not policy.train().target.training


def test_an_image_target_needs_images():
    with pytest.raises(ConfigError, match="target image needs an image"):
        make_policy(replace(JEPA, target="image"), ("joints",))
