"""Runs in LeRobot's environment: `FOLDER OUT.npz OPTIONS` makes a random diffusion policy and says what it predicts."""

import json
import sys

import numpy as np
import torch
from lerobot.configs.types import FeatureType, NormalizationMode, PolicyFeature
from lerobot.policies.diffusion.configuration_diffusion import DiffusionConfig
from lerobot.policies.diffusion.modeling_diffusion import DiffusionPolicy
from lerobot.policies.factory import make_pre_post_processors

SHAPES = {"observation.state": 5, "observation.environment_state": 3, "action": 4}


def main(folder, out, options):
    options = json.loads(options)
    mode = NormalizationMode(options.pop("normalization", "MIN_MAX"))
    kinds = {"observation.state": "STATE", "observation.environment_state": "ENV", "action": "ACTION"}
    features = {key: PolicyFeature(FeatureType(kinds[key]), (n,)) for key, n in SHAPES.items()}
    config = DiffusionConfig(
        input_features={key: f for key, f in features.items() if key != "action"},
        output_features={"action": features["action"]},
        normalization_mapping=dict.fromkeys(("STATE", "ENV", "ACTION"), mode),
        down_dims=(16, 32), diffusion_step_embed_dim=16, noise_scheduler_type="DDIM", num_inference_steps=5,
        device="cpu", **options,
    )  # fmt: skip
    torch.manual_seed(0)
    rng = np.random.default_rng(0)
    stats = {}
    for key, n in SHAPES.items():
        low = rng.normal(size=n).astype(np.float32)
        stats[key] = {"min": low, "max": low + rng.uniform(1, 3, n).astype(np.float32), "mean": low + 1}
        stats[key]["std"] = rng.uniform(0.5, 2, n).astype(np.float32)
    policy = DiffusionPolicy(config).eval()
    pre, post = make_pre_post_processors(config, dataset_stats=stats)
    for part in (policy, pre, post):
        part.save_pretrained(folder)
    values = {
        key: rng.uniform(stats[key]["min"], stats[key]["max"], (3, 2, n)).astype(np.float32)
        for key, n in SHAPES.items()
        if key != "action"
    }
    batch = pre({key: torch.from_numpy(v) for key, v in values.items()})
    noise = torch.randn(3, config.horizon, SHAPES["action"], generator=torch.Generator().manual_seed(7))
    with torch.no_grad():
        condition = policy.diffusion._prepare_global_conditioning(batch)
        chunk = policy.diffusion.conditional_sample(3, global_cond=condition, noise=noise)
    np.savez(out, chunk=post(chunk).numpy(), **values)


if __name__ == "__main__":
    main(*sys.argv[1:])
