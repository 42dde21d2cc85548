"""The card of a checkpoint says what the policy is and what it saw."""

from dataclasses import replace

from toy_store import make_store

from robot_learning.policies import checkpoint
from robot_learning.training.config import TrainConfig
from robot_learning.training.trainer import train


def test_a_checkpoint_s_card_names_policy_data_training_and_limits(tmp_path):
    store = make_store(tmp_path / "store")
    config = TrainConfig.of_preset("diffusion_unet_state_small", store.path, output=tmp_path / "run", seed=7)
    small = replace(config.config, dims=(8, 16), step_dim=8, Tp=8, Ta=4)
    saved = train(replace(config, config=small, recipe=replace(config.recipe, steps=2, batch_size=4)), progress=False)
    card = (saved.checkpoint / "README.md").read_text()
    record = checkpoint.describe(saved.checkpoint)
    assert card.startswith("---\nlibrary_name: robot_learning\n")
    for fact in (record["snapshot"], "diffusion_unet_state_small", "5 episodes to train on"):
        assert fact in card
    assert "2 of 2 steps, batches of 4\nwindows in each of 1 processes, seed 7" in card
    assert "not a safety function" in card
    assert "unknown" not in card
