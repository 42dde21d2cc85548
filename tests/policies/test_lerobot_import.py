"""What of LeRobot's checkpoints is refused, by name and in a sentence; tests/hardware/lerobot has what is imported."""

import json

import pytest
import safetensors.torch
import torch

from robot_learning.cli import main as cli
from robot_learning.errors import ConfigError, UnknownName, UserError
from robot_learning.policies.lerobot import act, diffusion
from robot_learning.policies.lerobot.importing import import_checkpoint
from robot_learning.policies.lerobot.reading import read

STATE, CAMERA = {"type": "STATE", "shape": [2]}, {"type": "VISUAL", "shape": [3, 96, 96]}
ACT = {
    "type": "act", "n_obs_steps": 1, "chunk_size": 8, "n_action_steps": 4, "vision_backbone": "resnet18",
    "replace_final_stride_with_dilation": False, "pre_norm": False, "dim_model": 16, "n_heads": 2,
    "dim_feedforward": 16, "feedforward_activation": "relu", "n_encoder_layers": 1, "n_decoder_layers": 1,
    "use_vae": False, "latent_dim": 4, "n_vae_encoder_layers": 1, "dropout": 0.1, "kl_weight": 10.0,
    "temporal_ensemble_coeff": None,
}  # fmt: skip
DIFFUSION = {
    "type": "diffusion", "n_obs_steps": 2, "horizon": 8, "n_action_steps": 4, "vision_backbone": "resnet18",
    "crop_shape": [84, 84], "resize_shape": None, "use_group_norm": True, "spatial_softmax_num_keypoints": 4,
    "use_separate_rgb_encoder_per_camera": False, "down_dims": [8, 16], "kernel_size": 5, "n_groups": 8,
    "diffusion_step_embed_dim": 8, "use_film_scale_modulation": True, "noise_scheduler_type": "DDIM",
    "num_train_timesteps": 100, "beta_schedule": "squaredcos_cap_v2", "prediction_type": "epsilon",
    "clip_sample": True, "clip_sample_range": 1.0, "num_inference_steps": 10,
}  # fmt: skip
STATISTICS = {
    "observation.state.min": [-1.0, 5.0], "observation.state.max": [3.0, 5.0],
    "observation.state.mean": [1.0, 5.0], "observation.state.std": [0.5, 1e-7],
    "action.min": [0.0, -2.0], "action.max": [4.0, -2.0], "action.mean": [1.0, -2.0], "action.std": [0.25, 0.0],
    "observation.images.top.mean": [0.5, 0.4, 0.3], "observation.images.top.std": [0.2, 0.2, 0.1],
}  # fmt: skip
MODES = {"STATE": "MIN_MAX", "ACTION": "MIN_MAX", "VISUAL": "MEAN_STD"}


@pytest.fixture
def theirs(tmp_path):
    """Write a checkpoint of which only the weights are not right; changes are by the part that they are of."""

    def write(config, inputs=(), step=(), statistics=(), more=()):
        folder = tmp_path / config["type"]
        folder.mkdir()
        seen = {"observation.state": STATE, "observation.images.top": CAMERA} | dict(inputs)
        features = {"input_features": {key: f for key, f in seen.items() if f is not None}}
        content = features | {"output_features": {"action": {"type": "ACTION", "shape": [2]}}} | config
        (folder / "config.json").write_text(json.dumps(content))
        options = {"eps": 1e-8, "norm_map": MODES} | dict(step)
        known = {"registry_name": "normalizer_processor", "config": options, "state_file": "step.safetensors"}
        (folder / "policy_preprocessor.json").write_text(json.dumps({"steps": [known, *more]}))
        (folder / "policy_postprocessor.json").write_text(json.dumps({"steps": []}))
        values = {key: torch.tensor(v) for key, v in (STATISTICS | dict(statistics)).items() if v is not None}
        safetensors.torch.save_file(values, folder / "step.safetensors")
        misfit = {"diffusion.unet.mid_modules.0.cond_encoder.1.weight": torch.zeros(2, 3)}
        safetensors.torch.save_file(misfit, folder / "model.safetensors")
        return folder

    return write


@pytest.mark.parametrize(
    ("config", "said"),
    [
        (ACT | {"pre_norm": True}, "pre_norm=True can't be imported; False can"),
        (ACT | {"feedforward_activation": "gelu"}, "feedforward_activation='gelu' .* 'relu' can"),
        (ACT | {"n_obs_steps": 2}, "n_obs_steps=2"),
        (ACT | {"replace_final_stride_with_dilation": True}, "replace_final_stride_with_dilation=True"),
        (ACT | {"vision_backbone": "resnext50_32x4d"}, "vision_backbone='resnext50_32x4d' .* 'resnet18'"),
        (ACT | {"dim_model": 18}, "dim must be divisible by 4"),
        (ACT | {"dim_model": "wide"}, "policy 'act' is wrong at 'dim'"),
        ({k: v for k, v in ACT.items() if k != "latent_dim"}, "should have 'latent_dim'"),
        (DIFFUSION | {"n_groups": 4}, "n_groups=4 can't be imported; 8 can"),
        (DIFFUSION | {"beta_schedule": "linear"}, "beta_schedule='linear'"),
        (DIFFUSION | {"clip_sample": False}, "clip_sample=False with ACTION normalised min_max"),
        (DIFFUSION | {"clip_sample_range": 2.0}, "clip_sample_range=2.0"),
        (DIFFUSION | {"resize_shape": [64, 64]}, r"resize_shape=\[64, 64\] .* None can"),
        (DIFFUSION | {"crop_shape": [84, 85]}, "one pixel beside LeRobot's; .* got 11"),
        (DIFFUSION | {"crop_shape": [100, 84]}, "at most the image's size"),
        (DIFFUSION | {"crop_shape": [84]}, "policy 'diffusion_unet' is wrong at 'vision.crop"),
        (DIFFUSION | {"vision_backbone": "resnet18d"}, "vision_backbone='resnet18d'"),
        (DIFFUSION | {"num_train_timesteps": "many"}, "policy 'diffusion_unet' is wrong at 'K'"),
        (DIFFUSION | {"spatial_softmax_num_keypoints": None}, "spatial_softmax_num_keypoints=None .* whole number"),
        (DIFFUSION | {"crop_shape": ["big", 84]}, "policy 'diffusion_unet' is wrong at 'vision.crop"),
    ],
)
def test_an_option_that_our_network_lacks_is_refused_by_its_key(theirs, tmp_path, config, said):
    with pytest.raises(ConfigError, match=said):
        import_checkpoint(theirs(config), tmp_path / "ours", rate_hz=10)
    assert not (tmp_path / "ours").exists()


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"inputs": {"observation.state": None}}, "no feature 'observation.state'"),
        ({"inputs": {"observation.depth": {"type": "VISUAL", "shape": [1, 96, 96]}}}, r"'observation.depth' \(VISUAL"),
        ({"inputs": {"task": {"type": "LANGUAGE", "shape": [1]}}}, r"'task' \(LANGUAGE"),
        ({"inputs": {"observation.state": {"type": "STATE", "shape": "wide"}}}, "does not describe its features"),
        ({"step": {"norm_map": MODES | {"STATE": "QUANTILES"}}}, "QUANTILES normalisation of 'observation.state'"),
        ({"step": {"normalize_observation_keys": ["observation.state"]}}, "normalize_observation_keys="),
        ({"statistics": {"action.min": None}}, "no statistic 'action.min'"),
        ({"statistics": {"action.min": [0.0]}}, "'action.min' has 1 values; the feature has 2"),
        ({"more": [{"registry_name": "tokenizer_processor"}]}, "step 'tokenizer_processor' can't be imported"),
        ({"inputs": {"observation.images.Action": CAMERA}}, "two features would get the same name"),
        ({"inputs": {"observation.images.Top": CAMERA}}, "two features would get the same name"),
        ({}, "weights don't fit config.json"),
    ],
)
def test_features_and_their_processing_are_refused_by_name(theirs, tmp_path, changes, said):
    for config in (ACT, DIFFUSION):
        with pytest.raises(UserError, match=said):
            import_checkpoint(theirs(config, **changes), tmp_path / "ours", rate_hz=10)


def test_another_type_is_refused_with_the_closest_of_those_that_can_be_imported(theirs, tmp_path):
    folder = theirs(DIFFUSION | {"type": "difusion"})
    with pytest.raises(UnknownName, match=r"'difusion'; did you mean 'diffusion'\? Allowed: act, diffusion"):
        cli.run(["import-policy", str(folder), str(tmp_path / "ours"), "--rate-hz", "10"])
    (folder / "config.json").write_text("{}")
    with pytest.raises(ConfigError, match="names no 'type'"):
        import_checkpoint(folder, tmp_path / "ours", rate_hz=10)


def test_what_is_missing_or_damaged_is_named(theirs, tmp_path):
    with pytest.raises(UserError, match=r"can't read .*config.json.*migrate_policy_normalization"):
        import_checkpoint(tmp_path / "nowhere", tmp_path / "ours", rate_hz=10)
    folder = theirs(ACT)
    with pytest.raises(UserError, match="a rate is a positive number"):
        import_checkpoint(folder, tmp_path / "ours", rate_hz=0)
    (folder / "model.safetensors").write_bytes(b"short")
    with pytest.raises(UserError, match=r"model\.safetensors is damaged"):
        import_checkpoint(folder, tmp_path / "ours", rate_hz=10)
    (folder / "policy_postprocessor.json").write_text("{}")
    with pytest.raises(UserError, match="does not list the steps"):
        import_checkpoint(folder, tmp_path / "ours", rate_hz=10)
    (folder / "policy_postprocessor.json").write_text('{"steps": []}')
    (folder / "policy_preprocessor.json").write_text('{"steps": []}')
    with pytest.raises(UserError, match="has no normalizer_processor"):
        import_checkpoint(folder, tmp_path / "ours", rate_hz=10)


@pytest.mark.parametrize("mode", ["MIN_MAX", "MEAN_STD"])
def test_a_constant_action_stays_so_and_a_constant_observation_is_not_made_loud(theirs, mode):
    source = read(theirs(ACT, step={"norm_map": dict.fromkeys(MODES, mode)}))
    method, scale, offset = (source.affine("action")[i] for i in range(3))
    assert method == {"MIN_MAX": "min_max", "MEAN_STD": "z_score"}[mode]
    y = torch.tensor([[-1.0, -1.0], [1.0, 3.0]], dtype=torch.float64)
    expected = {"MIN_MAX": [[0, -2], [4, -2]], "MEAN_STD": [[0.75, -2], [1.25, -2]]}[mode]
    torch.testing.assert_close((y - offset) / scale, torch.tensor(expected).double(), atol=1e-6, rtol=0)
    _, scale, offset = source.affine("observation.state")
    x = torch.tensor([[3.0, 5.0], [3.0, 5.001]], dtype=torch.float64)
    expected = {"MIN_MAX": [[1, -1], [1, -0.999]], "MEAN_STD": [[4, 0], [4, 0.001]]}[mode]
    torch.testing.assert_close(scale * x + offset, torch.tensor(expected).double(), atol=1e-6, rtol=0)


def test_what_is_not_in_the_weights_is_told(theirs):
    more = {"observation.images.wrist": CAMERA, "observation.effort": STATE}
    source = read(theirs(ACT | {"temporal_ensemble_coeff": 0.05}, inputs=more))
    assert source.unread == ("observation.effort",)
    assert source.cameras == ("observation.images.top", "observation.images.wrist")
    shared, ensemble = act.notes(source)
    assert "each has a copy" in shared
    assert "policy.execution.method: ensemble" in ensemble
    assert "0.01, the paper's, instead of 0.05" in ensemble
    shared = DIFFUSION | {"use_separate_rgb_encoder_per_camera": False}
    assert "each has a copy" in diffusion.notes(read(theirs(shared, inputs=more)))[0]
