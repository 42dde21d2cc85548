import pytest
from toy_policies import arm_contract

from robot_learning.errors import ConfigError, UnknownName
from robot_learning.policies import registry
from robot_learning.policies.presets import PRESETS, preset
from robot_learning.policies.recipe import Recipe
from robot_learning.policies.view import choose_observations


def test_names_are_unique_and_configurations_survive_json():
    from dataclasses import asdict

    assert len({p.name for p in PRESETS}) == len(PRESETS)
    for p in PRESETS:
        assert registry.parse_config(p.config.policy, asdict(p.config)) == p.config


def test_a_misspelt_preset_is_answered_with_the_closest():
    with pytest.raises(UnknownName, match="did you mean 'diffusion_unet_state'"):
        preset("diffusion_unet_sate")


def test_a_configuration_with_a_foreign_key_or_value_is_refused():
    with pytest.raises(ConfigError, match="has no key 'width'"):
        registry.parse_config("diffusion_unet", {"width": 3})
    with pytest.raises(ConfigError, match="wrong at 'sampler'"):
        registry.parse_config("diffusion_unet", {"sampler": "euler"})


def test_a_recipe_without_steps_is_refused():
    with pytest.raises(ConfigError, match="batch-size must be at least 1; got 0"):
        Recipe(steps=1, batch_size=0)


def test_state_policies_see_all_vectors_and_image_policies_what_a_robot_has():
    contract = arm_contract()
    assert choose_observations(contract, None, images=False) == ("joints", "orientation", "yaw", "keypoints")
    assert choose_observations(contract, None, images=True) == ("joints", "orientation", "yaw", "front", "wrist")
    assert choose_observations(contract, ["keypoints", "wrist"], images=True) == ("keypoints", "wrist")


@pytest.mark.parametrize(
    ("names", "images", "message"),
    [
        (["joint"], False, "did you mean 'joints'"),
        (["action"], False, "unknown observation feature 'action'"),
        (["depth"], True, "depth image"),
        (["front"], False, "choose an image policy"),
    ],
)
def test_observations_that_a_policy_can_t_read_are_refused(names, images, message):
    with pytest.raises((ConfigError, UnknownName), match=message):
        choose_observations(arm_contract(), names, images)
