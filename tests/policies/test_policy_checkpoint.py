import json

import pytest
import torch
from toy_policies import TRANSFORMER, UNET, arm_contract, batch, make_policy

from robot_learning.errors import ContractMismatch, StoreError, UnknownName, UserError
from robot_learning.policies import checkpoint


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    path = tmp_path_factory.mktemp("saved") / "one"
    return checkpoint.save(path, make_policy(UNET), "abc123", {"step": 7})


@pytest.fixture
def copy(saved, tmp_path):
    for file in saved.iterdir():
        (tmp_path / file.name).write_bytes(file.read_bytes())
    return tmp_path


def edit(folder, **changes):
    path = folder / checkpoint.RECORD
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


@pytest.mark.parametrize("config", [UNET, TRANSFORMER], ids=["unet", "transformer"])
def test_a_loaded_policy_predicts_the_same_bits(config, tmp_path):
    policy = make_policy(config, ("joints", "yaw", "front")).eval()
    loaded = checkpoint.load(checkpoint.save(tmp_path / "p", policy, "abc"))
    assert (loaded.config, loaded.view, loaded.contract) == (policy.config, policy.view, policy.contract)
    observation = batch(policy.contract, policy.view, 2)["observation"]
    a, b = (p.predict(observation, torch.Generator().manual_seed(3)) for p in (policy, loaded))
    assert torch.equal(a, b)


def test_a_checkpoint_names_data_code_and_training(saved):
    record = checkpoint.describe(saved)
    assert record["snapshot"] == "abc123"
    assert record["training"] == {"step": 7}
    assert record["view"]["observations"] == ["joints", "orientation", "yaw"]
    assert {"robot_learning", "torch", "diffusers"} <= set(record["versions"])


def test_a_checkpoint_is_never_overwritten(saved):
    with pytest.raises(StoreError, match="exists already"):
        checkpoint.save(saved, make_policy(UNET), "abc")


def test_nothing_is_left_where_writing_fails(tmp_path, monkeypatch):
    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(checkpoint.safetensors.torch, "save_file", full)
    with pytest.raises(UserError, match="No space left on device"):
        checkpoint.save(tmp_path / "p", make_policy(UNET), "abc")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("keep", [0, 100, 5000])
def test_truncated_weights_are_refused(copy, keep):
    weights = copy / checkpoint.WEIGHTS
    weights.write_bytes(weights.read_bytes()[:keep])
    with pytest.raises(StoreError, match="truncated or damaged"):
        checkpoint.load(copy)


def test_missing_files_are_refused(copy):
    (copy / checkpoint.WEIGHTS).unlink()
    with pytest.raises(StoreError, match=r"incomplete: can't read model\.safetensors"):
        checkpoint.load(copy)
    with pytest.raises(StoreError, match="there is no checkpoint"):
        checkpoint.load(copy / "none")


@pytest.mark.parametrize("text", ["", "{", "[]", '{"format": 1}'])
def test_a_damaged_record_is_refused(copy, text):
    (copy / checkpoint.RECORD).write_text(text)
    with pytest.raises(StoreError, match="damaged"):
        checkpoint.load(copy)


def test_another_format_version_is_refused(copy):
    edit(copy, format=2)
    with pytest.raises(StoreError, match=r"has format 2, this version of robot_learning reads 1"):
        checkpoint.load(copy)


def test_an_unknown_policy_is_refused_with_the_closest_name(copy):
    edit(copy, policy="diffusion_unett")
    with pytest.raises(UnknownName, match="did you mean 'diffusion_unet'"):
        checkpoint.load(copy)


def test_weights_of_another_configuration_are_refused(copy):
    config = checkpoint.describe(copy)["config"]
    edit(copy, config=config | {"dims": [16, 32, 64]})
    with pytest.raises(StoreError, match="does not fit the configuration"):
        checkpoint.load(copy)
    edit(copy, config=config | {"dims": [16, 64]})
    with pytest.raises(StoreError, match="does not fit the configuration"):
        checkpoint.load(copy)


def test_a_rig_that_lacks_or_changes_a_needed_feature_is_refused_with_both_sides(saved):
    checkpoint.load(saved, arm_contract())
    with pytest.raises(
        ContractMismatch, match=r"unit of feature 'yaw': the checkpoint .* has angle_rad, the rig has rad"
    ):
        checkpoint.load(saved, arm_contract(yaw=((1,), "rad")))
    with pytest.raises(ContractMismatch, match=r"robot: the checkpoint .* has arm, the rig has leg"):
        checkpoint.load(saved, arm_contract(robot="leg"))


def test_features_that_the_policy_does_not_use_may_differ(saved):
    checkpoint.load(saved, arm_contract(keypoints=((5, 2), "m")))
