"""Runs in LeRobot's environment: `FOLDER CASES` makes random policies FOLDER/0, ...; FOLDER/0.npz has what it predicts.

CASES, a JSON list of objects: `type`, `cameras` (names), `environment` (whether there is such a state),
`normalization` (type of feature to mode), all else as LeRobot's configuration has it.
"""

import json
import sys

import numpy as np
import torch
from lerobot.configs.types import FeatureType, NormalizationMode, PolicyFeature
from lerobot.policies.act.configuration_act import ACTConfig
from lerobot.policies.act.modeling_act import ACTPolicy
from lerobot.policies.diffusion.configuration_diffusion import DiffusionConfig
from lerobot.policies.diffusion.modeling_diffusion import DiffusionPolicy
from lerobot.policies.factory import make_pre_post_processors

B, IMAGE = 3, (70, 84)
VECTORS = {"observation.state": ("STATE", 5), "observation.environment_state": ("ENV", 3), "action": ("ACTION", 4)}
SMALL = {
    "act": {
        "dim_model": 32, "n_heads": 2, "dim_feedforward": 48, "n_encoder_layers": 2, "n_vae_encoder_layers": 2,
        "latent_dim": 6, "chunk_size": 8, "n_action_steps": 8, "dropout": 0.0,
    },
    "diffusion": {
        "down_dims": (16, 32), "diffusion_step_embed_dim": 16, "noise_scheduler_type": "DDIM",
        "num_inference_steps": 5,
    },
    "act published": {},
}  # fmt: skip


def make_statistics(features, rng):
    """Of each feature; the last value of the environment's state and of the action is constant."""
    stats = {}
    for key, feature in features.items():
        if feature.type is FeatureType.VISUAL:
            low, span, shape = rng.uniform(0, 0.2, 3), rng.uniform(0.5, 0.8, 3), (3, 1, 1)
        else:
            low, shape = rng.normal(size=feature.shape), feature.shape
            span = rng.uniform(1, 3, feature.shape)
            if key != "observation.state":
                span[-1] = 0
        entry = {"min": low, "max": low + span, "mean": low + span / 3, "std": span * rng.uniform(0.2, 0.5, span.shape)}
        stats[key] = {name: value.astype(np.float32).reshape(shape) for name, value in entry.items()}
        if span[-1] == 0:
            for name in ("max", "mean"):
                stats[key][name][-1] = stats[key]["min"][-1]
    return stats


def perturb(policy, generator):
    """No weight stays 0 or 1, no statistic of a batch norm what it begins with."""
    with torch.no_grad():
        for parameter in policy.parameters():
            scale = {1: 0.2, 2: parameter.std()}.get(parameter.ndim, 0.3 * parameter.std())
            parameter += scale * torch.randn(parameter.shape, generator=generator)
        for name, buffer in policy.named_buffers():
            kind = name.rsplit(".", 1)[-1]
            if kind in ("running_var", "weight"):
                buffer.uniform_(0.5, 2, generator=generator)
            elif kind in ("running_mean", "bias"):
                buffer.normal_(0, 0.1, generator=generator)


def diffusion_chunk(policy, batch):
    if policy.config.image_features:
        batch = batch | {"observation.images": torch.stack([batch[k] for k in policy.config.image_features], dim=-4)}
    condition = policy.diffusion._prepare_global_conditioning(batch)
    generator = torch.Generator().manual_seed(7)
    return policy.diffusion.conditional_sample(B, global_cond=condition, generator=generator)


def act_style(policy, batch, actions, padded):
    """Mean and log variance of z, which only training asks for."""
    images = {"observation.images": [batch[key] for key in policy.config.image_features]}
    given = batch | {"action": actions, "action_is_pad": padded} | (images if policy.config.image_features else {})
    _, style = policy.model.train()(given)
    policy.eval()
    return style


def make(folder, out, options):
    kind, cameras = options.pop("type", "diffusion"), options.pop("cameras", [])
    modes = {"STATE": "MIN_MAX", "ENV": "MIN_MAX", "ACTION": "MIN_MAX", "VISUAL": "MEAN_STD"}
    modes |= options.pop("normalization", {})
    features = {key: PolicyFeature(FeatureType(name), (size,)) for key, (name, size) in VECTORS.items()}
    if not options.pop("environment", True):
        del features["observation.environment_state"]
    pictures = {f"observation.images.{name}": PolicyFeature(FeatureType.VISUAL, (3, *IMAGE)) for name in cameras}
    features = pictures | features  # not in the order in which our network takes them
    act = kind.startswith("act")
    config = (ACTConfig if act else DiffusionConfig)(
        input_features={key: f for key, f in features.items() if key != "action"},
        output_features={"action": features["action"]},
        normalization_mapping={name: NormalizationMode(mode) for name, mode in modes.items()},
        pretrained_backbone_weights=None,
        device="cpu",
        **(SMALL[kind] | options),
    )
    torch.manual_seed(0)
    rng = np.random.default_rng(0)
    stats = make_statistics(features, rng)
    policy = (ACTPolicy if act else DiffusionPolicy)(config).eval()
    perturb(policy, torch.Generator().manual_seed(1))
    pre, post = make_pre_post_processors(config, dataset_stats=stats)
    for part in (policy, pre, post):
        part.save_pretrained(folder)

    lead = (B,) if act else (B, config.n_obs_steps)
    values, given = {}, {}
    for key in config.input_features:
        if key in pictures:
            coarse = rng.integers(0, 256, (*lead, 5, 6, 3), dtype=np.uint8)  # patches, for noise looks alike everywhere
            values[key] = coarse.repeat(IMAGE[0] // 5, axis=-3).repeat(IMAGE[1] // 6, axis=-2)
            given[key] = torch.from_numpy(values[key]).movedim(-1, -3) / 255
        else:
            low, high = stats[key]["min"], stats[key]["max"]
            values[key] = rng.uniform(low, high, (*lead, *low.shape)).astype(np.float32)
            given[key] = torch.from_numpy(values[key])
    told = {}
    with torch.no_grad():
        batch = pre(dict(given))
        chunk = policy.predict_action_chunk(batch) if act else diffusion_chunk(policy, batch)
        if act and config.use_vae:
            low, high = stats["action"]["min"], stats["action"]["max"]
            told["action"] = rng.uniform(low, high, (B, config.chunk_size, *low.shape)).astype(np.float32)
            told["padded"] = np.arange(config.chunk_size) >= np.array([[config.chunk_size], [5], [3]])
            actions = pre(dict(given) | {"action": torch.from_numpy(told["action"])})["action"]
            style = act_style(policy, batch, actions, torch.from_numpy(told["padded"]))
            told["style"] = torch.cat(style, dim=-1).numpy()
    np.savez(out, chunk=post(chunk).numpy(), **told, **values)


if __name__ == "__main__":
    for number, case in enumerate(json.loads(sys.argv[2])):
        make(f"{sys.argv[1]}/{number}", f"{sys.argv[1]}/{number}.npz", case)
