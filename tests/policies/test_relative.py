"""Actions relative to the newest observation."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from scipy.spatial.transform import Rotation
from toy_policies import UNET, arm_contract, batch, make_policy

from robot_learning.errors import ConfigError, UnknownName
from robot_learning.policies import checkpoint
from robot_learning.policies.encode import Encoding
from robot_learning.policies.relative import Relative
from robot_learning.policies.view import View

SEEN = ("joints", "orientation", "yaw")
POSE = (("action", "joints"), ("action", "orientation"))
CONTRACT = arm_contract(joints=((3,), "m"))
VIEW = View(SEEN, ("action",), UNET.spec)


def windows(seed=0, size=4):
    """Random poses: (B, 2, *shape) observations and (B, 8, 10) actions, float64."""
    rng = np.random.default_rng(seed)
    turns = Rotation.random(size * 8, random_state=seed).as_matrix().reshape(size, 8, 3, 3)
    rotations = np.concatenate([turns[..., 0], turns[..., 1]], axis=-1)
    actions = np.concatenate([rng.normal(size=(size, 8, 3)), rotations, rng.normal(size=(size, 8, 1))], axis=-1)
    xyzw = Rotation.random(size * 2, random_state=seed + 1).as_quat().reshape(size, 2, 4)
    seen = {"joints": rng.normal(size=(size, 2, 3)), "orientation": xyzw[..., [3, 0, 1, 2]]}
    return torch.from_numpy(actions), {name: torch.from_numpy(x) for name, x in seen.items()}


def relative(pairs=POSE):
    return Relative(CONTRACT, VIEW, pairs)


def encoded(actions):
    return Encoding("action", CONTRACT.spec_of("action")).encode(actions)


def test_positions_are_differences_and_rotations_turns_from_the_newest_observation():
    actions, seen = windows()
    found = relative().subtract("action", encoded(actions), seen).numpy()
    for b in range(4):
        newest = Rotation.from_quat(seen["orientation"][b, -1, [1, 2, 3, 0]].numpy()).as_matrix()
        for t in range(8):
            a = actions[b, t].numpy()
            assert found[b, t, :3] == pytest.approx(a[:3] - seen["joints"][b, -1].numpy(), abs=1e-12)
            turn = newest.T @ np.stack([a[3:6], a[6:9]], axis=1)
            assert found[b, t, 3:9] == pytest.approx(turn.T.ravel(), abs=1e-12)
            assert found[b, t, 9] == a[9]  # the gripper has no reference


def test_back_are_the_absolute_actions():
    actions, seen = windows(1)
    z = encoded(actions)
    back = relative().add("action", relative().subtract("action", z, seen), seen)
    torch.testing.assert_close(back, z, rtol=0, atol=1e-12)


def test_moved_together_with_the_robot_actions_stay_what_they_are():
    actions, seen = windows(2)
    shift = torch.tensor([0.3, -2.0, 1.0], dtype=torch.float64)
    moved = actions.clone()
    moved[..., :3] += shift
    there = relative().subtract("action", encoded(moved), seen | {"joints": seen["joints"] + shift})
    torch.testing.assert_close(there, relative().subtract("action", encoded(actions), seen), rtol=0, atol=1e-12)


@pytest.mark.parametrize(
    ("pairs", "error", "message"),
    [
        ((("acton", "joints"),), UnknownName, "action"),
        ((("action", "joint"),), UnknownName, "joints"),
        ((("action", "keypoints"),), ConfigError, "--observations joints orientation yaw keypoints"),
        ((("action", "yaw"),), ConfigError, "no part of the shape and unit"),
        ((("action", "joints"), ("action", "joints")), ConfigError, "no other part"),
    ],
)
def test_what_can_t_be_a_reference_is_refused(pairs, error, message):
    with pytest.raises(error, match=message):
        relative(pairs)


def test_a_policy_predicts_absolute_actions_after_a_checkpoint_too(tmp_path):
    policy = make_policy(replace(UNET, relative=POSE), SEEN, contract=CONTRACT).eval()
    given = batch(CONTRACT, policy.view, 2)["observation"]

    def chunk(of, **more):
        return of.predict(given, [torch.Generator().manual_seed(i) for i in range(2)], **more)

    loaded = checkpoint.load(checkpoint.save(tmp_path / "c", policy, "none"))
    assert loaded.config.relative == POSE
    assert torch.equal(chunk(loaded), chunk(policy))
    near = {name: x[:, -1:, :] for name, x in given.items() if name == "joints"}["joints"]
    absolute = make_policy(UNET, SEEN, contract=CONTRACT).eval()
    absolute.load_state_dict(policy.state_dict())
    torch.testing.assert_close(chunk(policy)[..., :3] - near, chunk(absolute)[..., :3], rtol=0, atol=1e-5)
    prefix = chunk(policy)[:, policy.executed.start :][:, :2]
    assert torch.equal(chunk(policy, prefix=prefix)[:, policy.executed.start :][:, :2], prefix)
