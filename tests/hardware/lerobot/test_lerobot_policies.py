"""LeRobot's policies, imported: what they predict is what LeRobot's own code predicts, from the same noise."""

import json

import numpy as np
import pytest
import torch

from robot_learning.policies import checkpoint
from robot_learning.policies.lerobot.importing import import_checkpoint

TWO = {"cameras": ["wrist", "top"]}
STANDARD = {"STATE": "MEAN_STD", "ENV": "MEAN_STD", "ACTION": "MEAN_STD"}
TOLERANCE = {"rtol": 1e-5, "atol": 1e-5}

DIFFUSION = [
    {},
    {"use_film_scale_modulation": False, "prediction_type": "sample", "horizon": 8, "n_action_steps": 4},
    {"normalization": STANDARD, "clip_sample": False},
    {"noise_scheduler_type": "DDPM", "num_train_timesteps": 10, "num_inference_steps": None},
    {**TWO, "environment": False, "crop_shape": [65, 76]},
    {
        **TWO,
        "use_group_norm": False,
        "use_separate_rgb_encoder_per_camera": True,
        "horizon": 8,
        "n_action_steps": 4,
    },
    {"cameras": ["top"], "normalization": {"VISUAL": "MIN_MAX"}, "vision_backbone": "resnet34"},
]
ACT = [
    {"use_vae": False},
    {"normalization": STANDARD, "n_decoder_layers": 2},
    {**TWO, "environment": False, "normalization": STANDARD},
    {**TWO, "normalization": {"VISUAL": "MIN_MAX", "STATE": "IDENTITY", "ACTION": "MEAN_STD"}},
    {"type": "act published", "cameras": ["top"], "environment": False, "normalization": STANDARD, "dropout": 0.0},
]
CASES = [*DIFFUSION, *({"type": "act"} | options for options in ACT)]


@pytest.fixture(scope="module")
def theirs(tmp_path_factory, run_lerobot):
    """What LeRobot makes of all cases, in one process: most of the time goes into importing it."""
    folder = tmp_path_factory.mktemp("theirs")
    run_lerobot("lerobot_policies.py", folder, json.dumps(CASES))
    return folder


@pytest.fixture
def imported(theirs, tmp_path):
    """What LeRobot said of a policy of its, and the same as a policy of ours."""

    def make(options):
        number = CASES.index(options)
        made = import_checkpoint(theirs / str(number), tmp_path / "ours", rate_hz=10)
        return dict(np.load(theirs / f"{number}.npz")), checkpoint.load(made.path)

    return make


def observed(told, time):
    """Their observations by our names, with an axis of time where theirs have none."""
    keys = [key for key in told if key.startswith("observation.")]
    short = {key: key.removeprefix("observation.").removeprefix("images.") for key in keys}
    return {short[key]: torch.from_numpy(told[key] if time else told[key][:, None]) for key in keys}


@pytest.mark.parametrize("options", DIFFUSION)
def test_an_imported_diffusion_policy_predicts_the_same(imported, options):
    told, policy = imported(options)
    observation = observed(told, time=True)
    assert set(observation) == set(policy.observations)
    chunk = policy.predict(observation, torch.Generator().manual_seed(7)).numpy()
    np.testing.assert_allclose(chunk, told["chunk"], **TOLERANCE)
    assert told["chunk"][..., :-1].std((0, 1)).min() > 0.02  # it does something
    for name in policy.view.images(policy.contract):
        dark = observation | {name: observation[name] // 2}
        assert np.abs(policy.predict(dark, torch.Generator().manual_seed(7)).numpy() - chunk).max() > 1e-3


@pytest.mark.parametrize("options", ACT)
def test_an_imported_act_policy_predicts_the_same(imported, options):
    told, policy = imported({"type": "act"} | options)
    observation = observed(told, time=False)
    assert set(observation) == set(policy.observations)
    chunk = policy.predict(observation).numpy()
    np.testing.assert_allclose(chunk, told["chunk"], **TOLERANCE)
    assert told["chunk"][..., :-1].std((0, 1)).min() > 0.02
    for name in policy.observations:
        other = observation | {name: observation[name].roll(1, 0)}
        assert np.abs(policy.predict(other).numpy() - chunk).max() > 1e-3
    assert (policy.style is None) == ("style" not in told)
    if policy.style is not None:
        with torch.no_grad():
            A = policy.act.encode(torch.from_numpy(told["action"]), observation)
            style = policy.style(policy.observe.vector(observation), A, ~torch.from_numpy(told["padded"]))
        np.testing.assert_allclose(torch.cat(style, dim=-1).numpy(), told["style"], **TOLERANCE)
