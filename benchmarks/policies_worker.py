"""One measurement of one policy of ours, in a process of its own: what it prints last is JSON.

train PRESET|JSON SECONDS [--compile]       samples/s and the most memory, on one batch of random windows, one thread
disk JSON STEPS [--compile]                 the same by the trainer, from a store that it makes, on all threads; the
                                            rate is the median over groups of steps, the first two left out
predict PRESET eager|compile|onnx SECONDS   p50 and p99 of a chunk for one observation
"""

from __future__ import annotations

import json
import resource
import statistics
import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from robot_learning.contract import Contract, Feature, StreamSpec
from robot_learning.data.sample import Sample
from robot_learning.data.store import Store
from robot_learning.data.writer import EpisodeWriter
from robot_learning.deployment.backends import PolicyBackend
from robot_learning.policies import checkpoint, presets, registry
from robot_learning.policies.base import Policy
from robot_learning.policies.compiled import compile_parts, trained_parts
from robot_learning.policies.normalizer import Normalizer
from robot_learning.policies.presets import Preset
from robot_learning.policies.view import View
from robot_learning.training.config import TrainConfig
from robot_learning.training.metrics import read_metrics
from robot_learning.training.optimization import make_average, make_optimizer
from robot_learning.training.trainer import train as run_trainer

STATE, ENVIRONMENT, ACTION, IMAGE, RATE_HZ = 10, 6, 7, (96, 96), 20.0
WARM_UP = 3  # steps before the clock starts: kernels are chosen, memory is fetched
EPISODES, FRAMES, LOG_EVERY = 8, 200, 4


def contract() -> Contract:
    """A robot with a state, something around it, and a camera."""

    def vector(name: str, size: int) -> StreamSpec:
        return StreamSpec(name=name, shape=(size,), dtype="float32", unit="1", rate_hz=RATE_HZ)

    streams = [vector("state", STATE), vector("environment", ENVIRONMENT), vector("action_gated", ACTION)]
    streams.append(StreamSpec(name="front", shape=(*IMAGE, 3), dtype="uint8", unit="rgb", rate_hz=RATE_HZ))
    features = [
        Feature(
            name="action" if s.name == "action_gated" else s.name, stream=s.name, alignment="previous", max_age_s=0.1,
            role="action" if s.name == "action_gated" else "observation",
        )
        for s in streams
    ]  # fmt: skip
    return Contract(rig="none", robot="none", policy_rate_hz=RATE_HZ, streams=tuple(streams), features=tuple(features))


def make(preset: Preset, observations: tuple[str, ...] | None = None) -> Policy:
    """The preset's policy with fresh weights on that contract; statistics are those of N(0, 1)."""
    seen = observations or (("state", "front") if preset.images else ("state", "environment"))
    spec = preset.config.spec
    vision = getattr(preset.config, "vision", None)
    view = View(
        seen, ("action",), spec, vision.image_size if preset.images and vision else None,
        futures=tuple(n for n in seen if n != "front") if spec.future else (), goals=seen if spec.goal else (),
    )  # fmt: skip
    sizes = {"state": STATE, "environment": ENVIRONMENT, "action": ACTION}
    names = view.vectors(contract())
    one = {n: np.ones(sizes[n]) for n in names}
    normalizer = Normalizer(dict.fromkeys(names, "min_max"), one, {n: 0 * v for n, v in one.items()})
    torch.manual_seed(0)
    return registry.make(preset.config, contract(), view, normalizer)


def batch(policy: Policy, size: int) -> dict[str, Any]:
    """Random windows."""
    spec, image = policy.view.spec, policy.view.image_size or IMAGE
    shapes = {"state": (STATE,), "environment": (ENVIRONMENT,), "front": (*image, 3)}

    def draw(names: tuple[str, ...], count: int) -> dict[str, torch.Tensor]:
        return {
            n: torch.randint(256, (size, count, *shapes[n]), dtype=torch.uint8)
            if n == "front"
            else torch.randn(size, count, *shapes[n])
            for n in names
        }

    made: dict[str, Any] = {"observation": draw(policy.observations, spec.To)}
    made |= {"action": torch.randn(size, spec.Tp, ACTION), "mask": torch.ones(size, spec.Tp, dtype=torch.bool)}
    if spec.future:
        made |= {"future": draw(policy.view.futures, spec.future)}
        made |= {"future_mask": torch.ones(size, spec.future, dtype=torch.bool)}
    if spec.goal:
        made |= {"goal": draw(policy.view.goals, spec.goal), "goal_mask": torch.ones(size, dtype=torch.bool)}
    return made


def train(preset: Preset, seconds: float, compiled: bool, observations: tuple[str, ...] | None) -> dict[str, float]:
    """As the trainer does: loss, gradient and its norm, fused AdamW, the running average where the recipe has one."""
    policy, recipe = make(preset, observations).train(), preset.recipe
    if compiled:
        compile_parts(trained_parts(policy), "the other measurement")
    optimizer, average = make_optimizer(policy, recipe), make_average(policy, recipe)
    given = batch(policy, recipe.batch_size)

    def step() -> None:
        policy.loss(given)[0].backward()
        torch.nn.utils.get_total_norm([p.grad for p in policy.parameters() if p.grad is not None]).item()
        optimizer.step()
        optimizer.zero_grad()
        policy.after_step(1, 2)
        if average is not None:
            average.step(policy.parameters())

    for _ in range(WARM_UP):
        step()
    times, end = [], time.perf_counter() + seconds
    while time.perf_counter() < end or len(times) < WARM_UP:
        began = time.perf_counter()
        step()
        times.append(time.perf_counter() - began)
    peak_mb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    parameters = sum(p.numel() for p in policy.parameters())
    return {"samples_per_s": recipe.batch_size / statistics.median(times), "peak_mb": peak_mb, "parameters": parameters}


def record(path: Path) -> Store:
    """A store of random values."""
    rng, store, given = np.random.default_rng(0), Store.create(path), contract()
    for _ in range(EPISODES):
        writer = EpisodeWriter(store, given, {"task": "benchmark"})
        for k in range(FRAMES):
            now = round(k * 1e9 / RATE_HZ)
            for spec in given.streams:
                value = rng.integers(0, 256, spec.shape) if spec.is_image else rng.standard_normal(spec.shape)
                writer.append([Sample(spec.name, now, now, k, value.astype(spec.dtype))])
        writer.seal(None, "benchmark")
    return store


def from_disk(preset: Preset, steps: int, compiled: bool, observations: tuple[str, ...] | None) -> dict[str, float]:
    """`robot-learning train` itself; the first lines of its log are left out."""
    with tempfile.TemporaryDirectory() as scratch:
        store, output = record(Path(scratch) / "store"), Path(scratch) / "run"
        recipe = replace(preset.recipe, steps=steps, compile=compiled)
        config = TrainConfig.of_preset(preset.name, store.path, output=output, observations=observations)
        often = {"log_every": LOG_EVERY, "validate_every": steps, "checkpoint_every": steps}
        run_trainer(replace(config, config=preset.config, recipe=recipe, **often), progress=False)
        peak_mb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        rates = [line["samples_per_s"] for line in read_metrics(output) if line["step"] > 2 * LOG_EVERY]
        parameters = sum(p.numel() for p in checkpoint.load(output).parameters())
    return {"samples_per_s": statistics.median(rates), "peak_mb": peak_mb, "parameters": parameters}


def predict(preset: Preset, backend: str, seconds: float) -> dict[str, float]:
    """One observation at a time, as a server answers it."""
    served = PolicyBackend(make(preset).eval(), backend)  # type: ignore[arg-type]
    served.warm_up()
    times, end, blank = [], time.perf_counter() + seconds, served.blank()
    while time.perf_counter() < end or len(times) < 20:
        began = time.perf_counter()
        served.infer(blank, None, "")
        times.append(1000 * (time.perf_counter() - began))
    return {"p50_ms": float(np.percentile(times, 50)), "p99_ms": float(np.percentile(times, 99))}


def described(text: str) -> tuple[Preset, tuple[str, ...] | None]:
    """A preset by name, or one with fields of its configuration and recipe changed: what is compared with others."""
    if not text.startswith("{"):
        return presets.preset(text), None
    given = json.loads(text)
    base = presets.preset(given["preset"])
    vision = {"vision": replace(base.config.vision, **given["vision"])} if "vision" in given else {}  # type: ignore[attr-defined]
    config = registry.parse_config(base.config.policy, {**vars(base.config), **given["config"], **vision})
    return replace(base, config=config, recipe=replace(base.recipe, **given["recipe"])), tuple(given["observations"])


def main(what: str, preset: str, *rest: str) -> None:
    chosen, observations = described(preset)
    if what != "disk":
        torch.set_num_threads(1)
    if what == "disk":
        found = from_disk(chosen, int(rest[0]), "--compile" in rest, observations)
    elif what == "train":
        found = train(chosen, float(rest[0]), "--compile" in rest, observations)
    else:
        found = predict(chosen, rest[0], float(rest[1]))
    print(json.dumps(found))


if __name__ == "__main__":
    main(*sys.argv[1:])
