"""LeRobot's policies, imported: what they predict is what LeRobot's own code predicts, from the same noise."""

import json

import numpy as np
import pytest
import torch

from robot_learning.errors import ConfigError
from robot_learning.policies import checkpoint
from robot_learning.policies.lerobot.diffusion import import_diffusion


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"use_film_scale_modulation": False, "prediction_type": "sample", "horizon": 8, "n_action_steps": 4},
        {"normalization": "MEAN_STD", "clip_sample": False},
    ],
)
def test_an_imported_diffusion_policy_predicts_the_same(tmp_path, run_lerobot, options):
    run_lerobot("lerobot_policies.py", tmp_path / "theirs", tmp_path / "told.npz", json.dumps(options))
    told = np.load(tmp_path / "told.npz")
    policy = checkpoint.load(import_diffusion(tmp_path / "theirs", tmp_path / "ours", rate_hz=10))
    observation = {key.removeprefix("observation."): torch.from_numpy(told[key]) for key in told if key != "chunk"}
    chunk = policy.predict(observation, torch.Generator().manual_seed(7))
    np.testing.assert_allclose(chunk.numpy(), told["chunk"], rtol=1e-5, atol=1e-5)
    assert told["chunk"].std() > 0.1  # it does something
    config = json.loads((tmp_path / "theirs/config.json").read_text())
    (tmp_path / "theirs/config.json").write_text(json.dumps({**config, "n_groups": 4}))
    with pytest.raises(ConfigError, match="n_groups"):
        import_diffusion(tmp_path / "theirs", tmp_path / "more", rate_hz=10)
