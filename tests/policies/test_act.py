"""ACT against its paper: loss and positions by independent arithmetic, what reaches what, what is decided by what."""

import math
from dataclasses import asdict, replace

import pytest
import torch
from toy_policies import arm_contract, batch, make_policy

from robot_learning.errors import ConfigError, UserError
from robot_learning.policies import checkpoint, registry
from robot_learning.policies.act.config import ActConfig, MapConfig
from robot_learning.policies.act.cvae import StyleEncoder, kl_divergence
from robot_learning.policies.act.observe import FeatureMap
from robot_learning.policies.act.policy import masked_l1
from robot_learning.policies.act.positions import map_positions, sequence_positions

ACT = ActConfig(
    Tp=8, Ta=4, dim=32, heads=2, ffn_dim=48, dropout=0.0, encoder_layers=2, decoder_layers=3, style_layers=1,
    style_dim=4, vision=MapConfig(backbone="resnet10t"),
)  # fmt: skip
SEEN = ("joints", "yaw", "front")


@pytest.fixture(scope="module")
def seeing():
    return make_policy(ACT, SEEN)


def test_the_divergence_is_that_of_torch_s_distributions():
    mu, log_variance = torch.randn(2, 5, 7, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    q = torch.distributions.Normal(mu, (log_variance / 2).exp())
    expected = torch.distributions.kl_divergence(q, torch.distributions.Normal(0.0, 1.0)).sum(1).mean()
    torch.testing.assert_close(kl_divergence(mu, log_variance), expected)


def test_the_style_is_that_of_whole_layers_written_out():
    generator = torch.Generator().manual_seed(2)
    encoder = StyleEncoder(3, 2, replace(ACT, Tp=4, style_layers=2)).double().eval()
    state, A = (torch.randn(2, n, d, dtype=torch.float64, generator=generator) for n, d in ((1, 3), (4, 2)))
    real = torch.tensor([[1, 1, 1, 1], [1, 1, 0, 0]], dtype=torch.bool)
    for b in range(2):
        seen = 2 + int(real[b].sum())  # what is padded is no token at all
        x = torch.cat([encoder.cls[0], encoder.state(state[b]), encoder.action(A[b])])[:seen]
        for layer in encoder.layers:
            at, attend = x + encoder.positions[:seen], layer.attend
            weights, biases = attend.in_proj_weight.chunk(3), attend.in_proj_bias.chunk(3)
            q, k, v = (given @ w.T + c for given, w, c in zip((at, at, x), weights, biases, strict=True))
            heads = [(q[:, h] @ k[:, h].T / 16**0.5).softmax(-1) @ v[:, h] for h in (slice(16), slice(16, 32))]
            x = layer.norms[0](x + attend.out_proj(torch.cat(heads, -1)))
            x = layer.norms[1](x + layer.feed[3](layer.feed[0](x).relu()))
        expected = encoder.head(x[0])
        torch.testing.assert_close(torch.cat(encoder(state, A, real), -1)[b], expected)


@pytest.mark.parametrize("over_all", [False, True])
def test_the_l1_loss_counts_real_actions_alone_and_is_divided_by_them_or_as_in_the_original_by_all(over_all):
    generator = torch.Generator().manual_seed(1)
    predicted, true = torch.randn(2, 3, 5, 2, dtype=torch.float64, generator=generator)
    real = torch.tensor([[1, 1, 1, 1, 1], [1, 1, 0, 0, 0], [1, 0, 1, 0, 1]], dtype=torch.bool)
    total, count = 0.0, 0
    for b in range(3):
        for t in range(5):
            for d in range(2):
                if real[b, t]:
                    total += abs(float(predicted[b, t, d]) - float(true[b, t, d]))
                    count += 1
    assert float(masked_l1(predicted, true, real, over_all)) == pytest.approx(total / (30 if over_all else count))


def test_the_loss_is_l1_and_ten_times_the_divergence():
    policy = make_policy(ACT, ("joints",)).double()
    loss, figures = policy.loss(batch(policy.contract, policy.view, 3))
    torch.testing.assert_close(loss.detach(), figures["l1"] + 10 * figures["kl"])
    assert figures["kl"] > 0


def test_what_padded_actions_are_makes_no_difference():
    policy = make_policy(ACT, ("joints",)).double().eval()
    one = batch(policy.contract, policy.view, 2)
    one["mask"][:, 5:] = False
    other = one | {"action": one["action"].clone()}
    other["action"][:, 5:, :3] += 7
    losses = []
    for given in (one, other):
        torch.manual_seed(0)
        losses.append(policy.loss(given)[0])
    torch.testing.assert_close(*losses)
    assert losses[0].dtype == torch.float64


def test_positions_are_the_papers_sinusoids():
    table = sequence_positions(5, 8).double()
    for p in range(5):
        for i in range(4):
            angle = p / 10_000 ** (2 * i / 8)
            assert table[p, 2 * i] == pytest.approx(math.sin(angle), abs=1e-6)
            assert table[p, 2 * i + 1] == pytest.approx(math.cos(angle), abs=1e-6)
    height, width, dim = 2, 3, 8
    grid = map_positions(height, width, dim).double()
    for row in range(height):
        for column in range(width):
            here = grid[row * width + column]
            for half, at, count in ((0, row, height), (1, column, width)):
                for i in range(dim // 4):
                    angle = 2 * math.pi * (at + 1) / count / 10_000 ** (2 * i / (dim // 2))
                    assert here[half * dim // 2 + 2 * i] == pytest.approx(math.sin(angle), abs=1e-6)
                    assert here[half * dim // 2 + 2 * i + 1] == pytest.approx(math.cos(angle), abs=1e-6)


def test_in_use_z_is_zero_and_nothing_is_random(seeing):
    policy = seeing.eval()
    observation = batch(policy.contract, policy.view, 2)["observation"]
    chunk = policy.predict(observation, torch.Generator().manual_seed(1))
    assert chunk.shape == (2, 8, 10)
    assert torch.equal(chunk, policy.predict(observation, torch.Generator().manual_seed(2)))
    z = torch.zeros(2, 4)
    assert torch.equal(chunk, policy.act.inverse(policy.decode(z, policy.observe(observation))))
    assert not torch.equal(chunk, policy.act.inverse(policy.decode(z + 1, policy.observe(observation))))


def test_every_layer_of_the_decoder_counts():
    policy = make_policy(ACT, ("joints",)).eval()
    assert len(policy.decode.decoder) == 3
    observation = batch(policy.contract, policy.view, 2)["observation"]
    chunk = policy.predict(observation)
    for layer in policy.decode.decoder:
        before = layer.feed[-1].bias.clone()
        with torch.no_grad():
            layer.feed[-1].bias += torch.randn(32, generator=torch.Generator().manual_seed(0))
        assert not torch.allclose(chunk, policy.predict(observation), atol=1e-3)
        with torch.no_grad():
            layer.feed[-1].bias.copy_(before)
    assert torch.equal(chunk, policy.predict(observation))


def test_every_parameter_is_trained_and_in_one_group():
    policy = make_policy(ACT, SEEN)
    optimizer = torch.optim.SGD(policy.parameters(), lr=1e-2)
    for _ in range(2):  # residual branches of the backbone begin at zero
        optimizer.zero_grad()
        policy.loss(batch(policy.contract, policy.view, 2))[0].backward()
        optimizer.step()
    # The first decoder layer attends from zeros: its own queries and keys get no gradient from equal values.
    assert [n for n, p in policy.named_parameters() if p.grad is None] == []
    idle = {n for n, p in policy.named_parameters() if not p.grad.any()}
    assert all("decoder.0.attend" in n or "in_proj_bias" in n for n in idle)
    grouped = [id(p) for g in policy.parameter_groups(1e-3, 1e-6) for p in g["params"]]
    assert sorted(grouped) == sorted(id(p) for p in policy.parameters())


def test_state_and_actions_are_normalised_to_unit_variance_by_default():
    policy = make_policy(ACT, ("joints",))
    assert policy.normalizer.methods == {"joints": "z_score", "action": "z_score"}
    mixed = make_policy(replace(ACT, normalization={"action": "min_max"}), ("joints",))
    assert mixed.normalizer.methods == {"joints": "z_score", "action": "min_max"}


def test_frozen_batch_norms_have_no_parameters_and_the_default_has_groups():
    def norms(norm):
        config = replace(ACT, vision=MapConfig(backbone="resnet10t", norm=norm))
        backbone = make_policy(config, SEEN).observe.cameras.maps["front"].backbone
        return {type(m).__name__ for m in backbone.modules() if "Norm" in type(m).__name__}, backbone

    assert norms("group")[0] == {"GroupNorm"}
    kinds, backbone = norms("frozen_batch")
    assert kinds == {"FrozenBatchNorm2d"}
    assert not [n for n, _ in backbone.named_parameters() if ".bn" in n]
    assert all(m.weight.all() for m in backbone.modules() if type(m).__name__ == "FrozenBatchNorm2d")


def learn(config, steps=200):
    contract = arm_contract(action_gated=((2,), "m"))
    policy = make_policy(config, ("joints",), contract)
    two = batch(contract, policy.view, 2)
    two["observation"]["joints"] = torch.tensor([-1.5, 1.5])[:, None, None].expand(2, 1, 3).contiguous()
    many = {
        "observation": {"joints": two["observation"]["joints"].repeat(8, 1, 1)},
        "action": two["action"].repeat(8, 1, 1),
        "mask": two["mask"].repeat(8, 1),
    }
    optimizer = torch.optim.AdamW(policy.parameters(), lr=2e-3)
    torch.manual_seed(0)
    for _ in range(steps):
        optimizer.zero_grad()
        policy.loss(many)[0].backward()
        optimizer.step()
    return policy.eval(), two


@pytest.mark.parametrize("cvae", [True, False])
def test_two_windows_are_learned_by_heart(cvae):
    policy, two = learn(replace(ACT, cvae=cvae, decoder_layers=1))
    apart = (two["action"][0] - two["action"][1]).abs().mean()
    assert (policy.predict(two["observation"]) - two["action"]).abs().mean() < 0.2 * apart
    assert (policy.style is not None) == cvae


def test_a_checkpoint_predicts_the_same_bits(seeing, tmp_path):
    policy = seeing.eval()
    loaded = checkpoint.load(checkpoint.save(tmp_path / "p", policy, "abc"))
    observation = batch(policy.contract, policy.view, 2)["observation"]
    assert torch.equal(loaded.predict(observation), policy.predict(observation))
    assert loaded.config == policy.config


def test_a_chunk_begins_now():
    policy = make_policy(ACT, ("joints",))
    assert policy.spec.first_action == 0
    assert policy.executed == slice(0, 4)


def test_the_named_networks_do_the_work(seeing):
    policy = seeing.eval()
    observation = batch(policy.contract, policy.view, 1)["observation"]
    with torch.no_grad():
        networks = policy.networks(observation)
        tokens = policy.observe(*networks["observe"])
        z, expected = networks["decode"]
    assert torch.equal(tokens, expected)
    torch.testing.assert_close(policy.act.inverse(policy.decode(z, tokens)), policy.predict(observation))


def test_mistakes_are_told(seeing):
    observation = batch(seeing.contract, seeing.view, 1)["observation"]
    with pytest.raises(ConfigError, match="To must be 1; got 2"):
        replace(ACT, To=2)
    with pytest.raises(ConfigError, match="divisible by 4 and by heads = 2; got 34"):
        replace(ACT, dim=34)
    with pytest.raises(ConfigError, match="reads the robot's state beside its images"):
        make_policy(ACT, ("front",))
    with pytest.raises(UserError, match="can't begin a chunk"):
        seeing.predict(observation, prefix=torch.zeros(1, 2, 10))
    with pytest.raises(UserError, match="takes no goal"):
        seeing.predict(observation, goal=observation)
    with pytest.raises(UserError, match="the policy needs 'yaw'"):
        seeing.predict({n: v for n, v in observation.items() if n != "yaw"})


def test_training_crops_each_image_at_a_place_of_its_own_and_use_takes_the_centre():
    vision = MapConfig(crop=0.5, backbone="resnet10t")
    seen = []
    camera = FeatureMap((64, 80), 8, vision)
    camera.backbone.register_forward_pre_hook(lambda _, given: seen.append(given[0].detach()))
    rows, columns = torch.meshgrid(torch.arange(64), torch.arange(80), indexing="ij")
    image = torch.stack([rows, columns, rows], -1).to(torch.uint8).expand(6, -1, -1, -1)
    torch.manual_seed(0)
    camera(image)
    camera.eval()(image)
    corners = [{tuple(x[:2, 0, 0].tolist()) for x in batch * camera.std * 255 + camera.mean * 255} for batch in seen]
    assert all(batch.shape == (6, 3, 32, 40) for batch in seen)
    assert len(corners[0]) > 1
    assert len(corners[1]) == 1
    assert next(iter(corners[1])) == pytest.approx((16, 20), abs=1e-3)


def test_each_vector_may_have_a_token_of_its_own():
    policy = make_policy(replace(ACT, vector_tokens="each"), SEEN).eval()
    one = batch(policy.contract, policy.view, 2)["observation"]
    tokens = policy.observe(one)
    together = make_policy(ACT, SEEN)
    assert tokens.shape[1] == together.observe(one).shape[1] + 1
    for place, name in enumerate(("joints", "yaw")):
        changed = (policy.observe(one | {name: one[name] + 1}) != tokens).any(-1)
        assert changed.nonzero()[:, 1].unique().tolist() == [place]
    assert policy.decode.first_positions.shape == (3, 32)
    assert policy.predict(one).shape == (2, 8, 10)
    assert policy.representations(one)["context"].shape == together.representations(one)["context"].shape


def test_a_configuration_from_before_there_was_a_choice_of_tokens_is_read():
    content = asdict(ACT)
    del content["vector_tokens"]
    assert registry.parse_config("act", content) == ACT
