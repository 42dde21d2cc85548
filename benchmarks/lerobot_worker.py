"""Runs in LeRobot's environment and trains one of its policies. What it prints last is JSON: samples/s, most memory.

diffusion|act JSON SECONDS [--compile]     on one batch of random windows, one thread
diffusion|act JSON SECONDS --workers N     on a dataset on disk that it makes, with N loading processes, all threads

As its trainer does: loss, gradient, its norm clipped at 10, the optimiser of the policy's own preset; from disk also
its dataset, loader and preprocessor. Images are PNG in its dataset, which it reads faster than video.
"""

import json
import resource
import statistics
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import torch
from lerobot.configs.types import FeatureType, PolicyFeature
from lerobot.datasets.factory import resolve_delta_timestamps
from lerobot.datasets.lerobot_dataset import LeRobotDataset
from lerobot.datasets.utils import cycle
from lerobot.policies.act.configuration_act import ACTConfig
from lerobot.policies.act.modeling_act import ACTPolicy
from lerobot.policies.diffusion.configuration_diffusion import DiffusionConfig
from lerobot.policies.diffusion.modeling_diffusion import DiffusionPolicy
from lerobot.policies.factory import make_pre_post_processors

WARM_UP = 3
EPISODES, FRAMES, FPS = 8, 200, 20  # as in policies_worker.py
STATE, ENV, IMAGE, ACTION = "observation.state", "observation.environment_state", "observation.images.front", "action"
KINDS = {STATE: FeatureType.STATE, ENV: FeatureType.ENV, IMAGE: FeatureType.VISUAL, ACTION: FeatureType.ACTION}


def make(kind, given):
    """The policy."""
    shapes = {key: tuple(shape) for key, shape in given["features"].items()}
    features = {key: PolicyFeature(KINDS[key], shape) for key, shape in shapes.items()}
    config_class, policy_class = (DiffusionConfig, DiffusionPolicy) if kind == "diffusion" else (ACTConfig, ACTPolicy)
    config = config_class(
        input_features={key: f for key, f in features.items() if key != ACTION},
        output_features={ACTION: features[ACTION]}, device="cpu", **given["config"],
    )  # fmt: skip
    torch.manual_seed(0)
    return policy_class(config).train()


def random_batches(kind, given, config):
    """The same windows for ever, as the preprocessor would leave them."""
    shapes = {key: tuple(shape) for key, shape in given["features"].items()}
    size, steps = given["batch_size"], given["steps"]
    observed = (size, config.n_obs_steps) if kind == "diffusion" else (size,)
    raw = {key: torch.randn(*observed, *shape) for key, shape in shapes.items() if key not in (ACTION, IMAGE)}
    raw |= {ACTION: torch.randn(size, steps, *shapes[ACTION]), "action_is_pad": torch.zeros(size, steps).bool()}
    pixels = torch.randint(256, (*observed, *shapes[IMAGE]), dtype=torch.uint8) if IMAGE in shapes else None
    mean, std = torch.tensor([0.485, 0.456, 0.406])[:, None, None], torch.tensor([0.229, 0.224, 0.225])[:, None, None]

    while True:
        yield raw if pixels is None else {**raw, IMAGE: (pixels.float() / 255 - mean) / std}


def batches_from_disk(given, config, folder, workers):
    """As lerobot-train gets them."""
    rng = np.random.default_rng(0)
    kinds = {key: "image" if key == IMAGE else "float32" for key in given["features"]}
    shapes = {key: (*shape[1:], shape[0]) if key == IMAGE else tuple(shape) for key, shape in given["features"].items()}
    axes = ["height", "width", "channels"]
    features = {
        key: {"dtype": kinds[key], "shape": shapes[key], "names": axes if key == IMAGE else None} for key in kinds
    }
    dataset = LeRobotDataset.create("toy/set", FPS, features, root=folder, use_videos=False)
    for _ in range(EPISODES):
        for _ in range(FRAMES):
            values = {key: rng.standard_normal(shape).astype(np.float32) for key, shape in shapes.items()}
            if IMAGE in values:
                values[IMAGE] = rng.integers(0, 256, shapes[IMAGE], dtype=np.uint8)
            dataset.add_frame({**values, "task": "benchmark"})
        dataset.save_episode()
    dataset.finalize()
    deltas = resolve_delta_timestamps(config, dataset.meta)
    dataset = LeRobotDataset("toy/set", root=folder, delta_timestamps=deltas)
    preprocess, _ = make_pre_post_processors(config, dataset_stats=dataset.meta.stats)
    loader = torch.utils.data.DataLoader(
        dataset, given["batch_size"], shuffle=True, num_workers=workers, prefetch_factor=2 if workers else None
    )
    for batch in cycle(loader):
        yield preprocess(batch)


def main(kind, given, seconds, *options):
    given = json.loads(given)
    if "--workers" not in options:
        torch.set_num_threads(1)
    policy = make(kind, given)
    folder = tempfile.TemporaryDirectory()
    if "--workers" in options:
        batches = batches_from_disk(given, policy.config, Path(folder.name) / "set", int(options[-1]))
    else:
        batches = random_batches(kind, given, policy.config)
    if "--compile" in options:
        if kind == "diffusion":
            policy.diffusion.unet = torch.compile(policy.diffusion.unet)
        else:
            policy.model = torch.compile(policy.model)
    optimizer = policy.config.get_optimizer_preset().build(policy.get_optim_params())

    def step():
        policy.forward(next(batches))[0].backward()
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
