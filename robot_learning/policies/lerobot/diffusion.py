"""LeRobot's Diffusion Policy from state (as of LeRobot 0.4.4) on our own network: the same numbers by other names."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import safetensors
import safetensors.torch
import torch
from torch import Tensor

from robot_learning.contract import Contract, Feature, StreamSpec
from robot_learning.errors import ConfigError, UserError
from robot_learning.policies import checkpoint, registry
from robot_learning.policies.config import Method
from robot_learning.policies.diffusion.config import DiffusionUNetConfig
from robot_learning.policies.normalizer import Normalizer
from robot_learning.policies.view import View

FEATURES = {"observation.state": "state", "observation.environment_state": "environment_state", "action": "action"}
EPS = 1e-8  # what LeRobot divides by where a dimension is constant
# What our network does; LeRobot's has a choice.
FIXED = {"type": "diffusion", "beta_schedule": "squaredcos_cap_v2", "n_groups": 8, "clip_sample_range": 1.0}
RENAMED = [
    (r"^diffusion\.unet\.", ""),
    (r"^diffusion_step_encoder\.", "step."),
    (r"^down_modules\.(\d+)\.2\.", r"shrink.\1."),
    (r"^up_modules\.(\d+)\.2\.", r"expand.\1."),
    (r"^(down|up)_modules\.", r"\1."),
    (r"^mid_modules\.", "middle."),
    (r"^final_conv\.0\.block\.", "head.0."),
    (r"^final_conv\.", "head."),
    (r"\.conv1\.block\.", ".first."),
    (r"\.conv2\.block\.", ".second."),
    (r"\.cond_encoder\.1\.", ".film."),
    (r"\.residual_conv\.", ".shortcut."),
]


def import_diffusion(source: str | Path, output: str | Path, rate_hz: float, robot: str = "") -> Path:
    """Write a LeRobot Diffusion Policy checkpoint (a folder) as one of ours, and return where it is.

    Its features become plain vectors of the unit "1": a LeRobot checkpoint says neither units nor rate.

    Args:
        output: must not exist yet.
        rate_hz: of the dataset that it was trained on, in steps per second.
        robot: the kind of robot; a rig that serves the policy must have the same.

    Raises:
        UserError: something is missing or damaged, or `output` exists.
        ConfigError: an option that our network does not have, by its key.
    """
    source = Path(source)
    content = _json(source / "config.json")
    kinds = _features(content)
    config = _config(content)
    weights = _tensors(source / "model.safetensors")
    methods: dict[str, Method] = {}
    scale, offset = {}, {}
    for key, (kind, _) in kinds.items():
        name = FEATURES[key]
        mode = content["normalization_mapping"].get(kind, "IDENTITY")
        methods[name], scale[name], offset[name] = _affine(mode, key, _statistics(source))
    bounded = methods["action"] == "min_max"
    if bool(content["clip_sample"]) != bounded:
        raise ConfigError(
            f"clip_sample={content['clip_sample']} with ACTION normalised {methods['action']} can't be imported; "
            "ours clips samples where actions are normalised MIN_MAX, and only there."
        )
    observations = tuple(FEATURES[key] for key in kinds if key != "action")
    contract = _contract({FEATURES[k]: shape for k, (_, shape) in kinds.items()}, rate_hz, robot or source.name)
    policy = registry.make(
        config, contract, View(observations, ("action",), config.spec), Normalizer(methods, scale, offset)
    )
    renamed = _renamed(weights, bool(content["use_film_scale_modulation"]))
    try:
        policy.load_state_dict(renamed)
    except RuntimeError as error:
        raise UserError(f"{source}: the weights don't fit config.json: {' '.join(str(error).split())[:300]}") from None
    return checkpoint.save(output, policy.eval(), snapshot="", training={"imported_from": "lerobot", "config": content})


def _config(content: Mapping[str, Any]) -> DiffusionUNetConfig:
    try:
        for key, value in FIXED.items():
            if content[key] != value:
                raise ConfigError(f"config.json: {key}={content[key]!r} can't be imported; only {value!r} can.")
        steps = content["num_inference_steps"]
        sampler = content["noise_scheduler_type"].lower()
        return DiffusionUNetConfig(
            To=content["n_obs_steps"],
            Tp=content["horizon"],
            Ta=content["n_action_steps"],
            dims=tuple(content["down_dims"]),
            step_dim=content["diffusion_step_embed_dim"],
            kernel_size=content["kernel_size"],
            K=content["num_train_timesteps"],
            prediction=content["prediction_type"],
            sampler=sampler,
            inference_steps=content["num_train_timesteps"] if steps is None else steps,
        )
    except KeyError as error:
        raise ConfigError(f"config.json of a LeRobot diffusion policy should have {error}.") from None


def _features(content: Mapping[str, Any]) -> dict[str, tuple[str, tuple[int, ...]]]:
    """Key to (type, shape), in the order in which LeRobot's network takes them."""
    try:
        given = {**content["input_features"], **content["output_features"]}
        if other := sorted(set(given) - set(FEATURES)):
            raise ConfigError(
                f"config.json: the feature '{other[0]}' can't be imported; policies from {', '.join(FEATURES)} can."
            )
        for key in ("observation.state", "action"):
            if key not in given:
                raise ConfigError(f"config.json has no feature '{key}', which LeRobot's diffusion policy needs.")
        return {key: (given[key]["type"], tuple(given[key]["shape"])) for key in FEATURES if key in given}
    except (KeyError, TypeError) as error:
        raise ConfigError(f"config.json does not describe its features as LeRobot does: {error}.") from None


def _statistics(source: Path) -> dict[str, Tensor]:
    """`<key>.<statistic>` as the checkpoint's own normaliser has it."""
    for step in _json(source / "policy_preprocessor.json").get("steps", []):
        if step.get("registry_name") == "normalizer_processor":
            return _tensors(source / str(step.get("state_file")))
    raise UserError(f"{source / 'policy_preprocessor.json'} has no normalizer_processor.")


def _affine(mode: str, key: str, statistics: Mapping[str, Tensor]) -> tuple[Method, Tensor, Tensor]:
    """Our method, scale and offset for LeRobot's mode."""
    try:
        if mode == "MEAN_STD":
            mean, std = (statistics[f"{key}.{name}"].double() for name in ("mean", "std"))
            scale = 1 / (std if key == "action" else std + EPS)
            return "z_score", scale, -mean * scale
        if mode == "MIN_MAX":
            low, high = (statistics[f"{key}.{name}"].double() for name in ("min", "max"))
            scale = 2 / torch.where(high == low, EPS, high - low)
            return "min_max", scale, -1 - low * scale
    except KeyError as error:
        raise UserError(f"the checkpoint's normaliser has no statistic {error}.") from None
    raise ConfigError(f"config.json: normalization_mapping {mode} of '{key}' can't be imported; MEAN_STD, MIN_MAX can.")


def _contract(shapes: Mapping[str, tuple[int, ...]], rate_hz: float, robot: str) -> Contract:
    streams, features = [], []
    for name, shape in shapes.items():
        action = name == "action"
        stream = "action_gated" if action else name
        streams.append(StreamSpec(name=stream, shape=shape, dtype="float32", unit="1", rate_hz=rate_hz))
        features.append(
            Feature(
                name=name, stream=stream, role="action" if action else "observation",
                alignment="nearest" if action else "previous", max_age_s=1 / rate_hz,
            )
        )  # fmt: skip
    return Contract(
        rig="lerobot", robot=robot, policy_rate_hz=rate_hz, streams=tuple(streams), features=tuple(features)
    )


def _renamed(weights: Mapping[str, Tensor], scales: bool) -> dict[str, Tensor]:
    out = {}
    for name, tensor in weights.items():
        for pattern, ours in RENAMED:
            name = re.sub(pattern, ours, name)
        if ".film." in name and not scales:  # LeRobot's FiLM without scale is ours with the scale 1
            ones = torch.zeros_like(tensor) if name.endswith("weight") else torch.ones_like(tensor)
            tensor = torch.cat([ones, tensor])
        out[f"denoiser.{name}"] = tensor
    return out


def _json(path: Path) -> dict[str, Any]:
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise UserError(f"can't read {path}: {error.strerror}; give the folder of a LeRobot 0.4 checkpoint.") from None
    except ValueError:
        content = None
    if not isinstance(content, dict):
        raise UserError(f"{path} is not a JSON object.")
    return content


def _tensors(path: Path) -> dict[str, Tensor]:
    try:
        return safetensors.torch.load_file(path)
    except OSError as error:
        raise UserError(f"can't read {path}: {error.strerror or error}.") from None
    except safetensors.SafetensorError as error:
        raise UserError(f"{path} is damaged: {error}.") from None
