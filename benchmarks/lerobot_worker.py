"""Runs in LeRobot's environment: `diffusion|act JSON SECONDS [--compile]` trains one of its policies on random windows.

As its trainer does: loss, gradient, its norm clipped at 10, the optimiser of the policy's own preset. What it prints
last is JSON: samples/s and the most memory.
"""

import json
import resource
import statistics
import sys
import time

import torch
from lerobot.configs.types import FeatureType, PolicyFeature
from lerobot.policies.act.configuration_act import ACTConfig
from lerobot.policies.act.modeling_act import ACTPolicy
from lerobot.policies.diffusion.configuration_diffusion import DiffusionConfig
from lerobot.policies.diffusion.modeling_diffusion import DiffusionPolicy

WARM_UP = 3
STATE, ENV, IMAGE, ACTION = "observation.state", "observation.environment_state", "observation.images.front", "action"
KINDS = {STATE: FeatureType.STATE, ENV: FeatureType.ENV, IMAGE: FeatureType.VISUAL, ACTION: FeatureType.ACTION}


def make(kind, given):
    """The policy, and a function that makes a batch as its preprocessor would leave it."""
    shapes = {key: tuple(shape) for key, shape in given["features"].items()}
    features = {key: PolicyFeature(KINDS[key], shape) for key, shape in shapes.items()}
    config_class, policy_class = (DiffusionConfig, DiffusionPolicy) if kind == "diffusion" else (ACTConfig, ACTPolicy)
    config = config_class(
        input_features={key: f for key, f in features.items() if key != ACTION},
        output_features={ACTION: features[ACTION]}, device="cpu", **given["config"],
    )  # fmt: skip
    torch.manual_seed(0)
    policy = policy_class(config).train()
    size, steps = given["batch_size"], given["steps"]
    observed = (size, config.n_obs_steps) if kind == "diffusion" else (size,)
    raw = {key: torch.randn(*observed, *shape) for key, shape in shapes.items() if key not in (ACTION, IMAGE)}
    raw |= {ACTION: torch.randn(size, steps, *shapes[ACTION]), "action_is_pad": torch.zeros(size, steps).bool()}
    pixels = torch.randint(256, (*observed, *shapes[IMAGE]), dtype=torch.uint8) if IMAGE in shapes else None
    mean, std = torch.tensor([0.485, 0.456, 0.406])[:, None, None], torch.tensor([0.229, 0.224, 0.225])[:, None, None]

    def batch():
        return raw if pixels is None else {**raw, IMAGE: (pixels.float() / 255 - mean) / std}

    return policy, batch


def main(kind, given, seconds, *options):
    torch.set_num_threads(1)
    given = json.loads(given)
    policy, batch = make(kind, given)
    if "--compile" in options:
        if kind == "diffusion":
            policy.diffusion.unet = torch.compile(policy.diffusion.unet)
        else:
            policy.model = torch.compile(policy.model)
    optimizer = policy.config.get_optimizer_preset().build(policy.get_optim_params())

    def step():
        policy.forward(batch())[0].backward()
        torch.nn.utils.clip_grad_norm_(policy.parameters(), 10.0).item()
        optimizer.step()
        optimizer.zero_grad()

    for _ in range(WARM_UP):
        step()
    times, end = [], time.perf_counter() + float(seconds)
    while time.perf_counter() < end or len(times) < WARM_UP:
        began = time.perf_counter()
        step()
        times.append(time.perf_counter() - began)
    peak_mb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    parameters = sum(p.numel() for p in policy.parameters())
    print(json.dumps({"samples_per_s": given["batch_size"] / statistics.median(times), "peak_mb": peak_mb,
                      "parameters": parameters}))  # fmt: skip


if __name__ == "__main__":
    main(*sys.argv[1:])
