"""LeRobot's Diffusion Policy on our own network: the same numbers by other names."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from robot_learning.errors import ConfigError
from robot_learning.policies.lerobot.reading import ACTION, ENVIRONMENT, RESNETS, STATE, Source, renamed

# What our network does; LeRobot's has a choice.
FIXED = {
    "beta_schedule": (("squaredcos_cap_v2",), "it is our noise schedule"),
    "n_groups": ((8,), "LeRobot's last block has 8 groups in any case"),
    "clip_sample_range": ((1.0,), "our actions lie in [-1, 1]"),
    "noise_scheduler_type": (("DDPM", "DDIM"), "these are LeRobot's"),
}
DENOISER = [
    (r"\._orig_mod\.", "."),  # of torch.compile
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
CAMERA = [
    (r"^backbone\.0\.", "backbone.conv1."),
    (r"^backbone\.1\.", "backbone.bn1."),
    *((rf"^backbone\.{layer + 3}\.", f"backbone.layer{layer}.") for layer in (1, 2, 3, 4)),
    (r"^pool\.nets\.weight$", "pool.to_keypoints.weight"),
    (r"^out\.", "project."),
]
# Coordinates that our network computes, a bias that a softmax undoes, a count that nothing reads.
UNUSED = ("pool.pos_grid", "pool.nets.bias", "num_batches_tracked")


def configure(source: Source) -> dict[str, Any]:
    """The configuration of our policy `diffusion_unet`, in the JSON form; ConfigError for an option it lacks."""
    for key, (allowed, why) in FIXED.items():
        source.require(key, allowed, why)
    method, _, _ = source.affine(ACTION)
    if bool(source.option("clip_sample")) != (method == "min_max"):
        raise ConfigError(
            f"clip_sample={source.option('clip_sample')} with ACTION normalised {method} can't be imported; "
            "ours clips samples where actions are normalised MIN_MAX, and only there."
        )
    K, steps = source.option("num_train_timesteps"), source.option("num_inference_steps")
    return {
        "To": source.option("n_obs_steps"),
        "Tp": source.option("horizon"),
        "Ta": source.option("n_action_steps"),
        "dims": source.option("down_dims"),
        "step_dim": source.option("diffusion_step_embed_dim"),
        "kernel_size": source.option("kernel_size"),
        "K": K,
        "prediction": source.option("prediction_type"),
        "sampler": str(source.option("noise_scheduler_type")).lower(),
        "inference_steps": K if steps is None else steps,
        "vision": _vision(source) if source.cameras else {},
    }


def _vision(source: Source) -> dict[str, Any]:
    source.require("vision_backbone", RESNETS, "these are the same network there and here")
    if (size := source.config.get("resize_shape")) is not None:
        raise ConfigError(
            f"config.json: resize_shape={size} can't be imported; None can, for our images are resized before the "
            "network, by other weights than LeRobot's."
        )
    crop = source.option("crop_shape")
    keypoints = source.count("spatial_softmax_num_keypoints")
    if isinstance(crop, list):
        for key in source.cameras:
            _require_centre(crop, key, source.shapes[key])
    return {
        "image_size": None,
        "crop": 1.0 if crop is None else crop,
        "backbone": source.option("vision_backbone"),
        "norm": "group" if source.option("use_group_norm") else "frozen_batch",
        "pixels": "statistics",
        "keypoints": keypoints,
        "feature_dim": 2 * keypoints,
        "activation": "relu",
    }


def _require_centre(crop: list[Any], key: str, shape: tuple[int, ...]) -> None:
    """Raise ConfigError where half of an odd margin is rounded otherwise there (to even) than here (down)."""
    for side, size in zip(shape, crop, strict=False):
        if isinstance(size, int) and (side - size) % 4 == 3:
            raise ConfigError(
                f"config.json: crop_shape={crop} of '{key}' {shape[:2]} can't be imported, for its centre would lie "
                f"one pixel beside LeRobot's; margins can of which no side is 3, 7, 11, ... pixels: got {side - size}."
            )


def weights(source: Source, names: Mapping[str, str]) -> dict[str, Tensor]:
    """By our names; where LeRobot's cameras share an encoder, each of ours has a copy."""
    unet = {name: t for name, t in source.weights.items() if name.startswith("diffusion.unet.")}
    scales, columns = bool(source.option("use_film_scale_modulation")), _condition(source)
    given = {}
    for name, tensor in renamed(unet, DENOISER).items():
        if name.endswith(".film.weight"):
            tensor = tensor[:, columns]
        if ".film." in name and not scales:  # LeRobot's FiLM without scale is ours with the scale 1
            ones = torch.zeros_like(tensor) if name.endswith("weight") else torch.ones_like(tensor)
            tensor = torch.cat([ones, tensor])
        given[f"denoiser.{name}"] = tensor
    for i, key in enumerate(source.cameras):
        prefix = f"diffusion.rgb_encoder.{i}." if _separate(source) else "diffusion.rgb_encoder."
        encoder = {
            name.removeprefix(prefix): tensor
            for name, tensor in source.weights.items()
            if name.startswith(prefix) and not name.endswith(UNUSED)
        }
        own = renamed(encoder, CAMERA) | source.pixel_statistics(key)
        given |= {f"observe.cameras.{names[key]}.{name}": tensor for name, tensor in own.items()}
    return given


def notes(source: Source) -> list[str]:
    """On cameras that shared weights."""
    if len(source.cameras) > 1 and not _separate(source):
        return ["LeRobot's cameras share an encoder; here each has a copy of it"]
    return []


def _separate(source: Source) -> bool:
    return bool(source.option("use_separate_rgb_encoder_per_camera"))


def _condition(source: Source) -> Tensor:
    """Which columns of LeRobot's condition are ours, in order.

    Both are the diffusion step, then each observation; LeRobot's is state, images, environment, ours has both vectors
    before the images.
    """
    step, To = source.count("diffusion_step_embed_dim"), source.count("n_obs_steps")
    images = len(source.cameras) * 2 * source.count("spatial_softmax_num_keypoints") if source.cameras else 0
    state, environment = source.shapes[STATE][0], sum(source.shapes.get(ENVIRONMENT, ()))
    at = torch.arange(state + images + environment)
    one = torch.cat([at[:state], at[state + images :], at[state : state + images]])
    return torch.cat([torch.arange(step), *(step + t * len(one) + one for t in range(To))])
