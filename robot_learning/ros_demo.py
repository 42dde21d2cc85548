"""The demo over ROS: demonstrations through topics, training, a policy in a closed loop over topics, one page."""

from __future__ import annotations

import json
import os
import shlex
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from robot_learning.demo import OBSERVATIONS, POLICY, Progress, run_stage, write_demo_report
from robot_learning.errors import ConfigError
from robot_learning.output import prepare_folder
from robot_learning.sim.seeds import TRAINING_SEEDS_END

HORIZONS = "--config.Tp 8 --config.Ta 4"


@dataclass(frozen=True)
class RosDemoConfig:
    """The simulated rig as ROS nodes: record demonstrations through topics, train, deploy, and compare with no ROS.

    Interrupted, the same command goes on where it stopped.

    Attributes:
        output: Folder for everything.
        rig: A simulated rig.
        demonstrations: How many the scripted teleoperator gives.
        steps: Optimiser steps.
        episodes: How many unseen seeds the policy is tried on, over ROS and without.
        device: What the policy server computes on.
    """

    output: Path = Path("outputs/ros_demo")
    rig: str = "panda_demo"
    demonstrations: int = 20
    steps: int = 5000
    episodes: int = 20
    device: str = "cpu"

    def __post_init__(self) -> None:
        for name in ("demonstrations", "steps", "episodes"):
            if getattr(self, name) < 1:
                raise ConfigError(f"--{name} must be at least 1; got {getattr(self, name)}.")

    @property
    def store(self) -> Path:
        """Where the demonstrations go."""
        return self.output / "store"

    @property
    def training(self) -> Path:
        """Where checkpoints and curves go."""
        return self.output / "train"

    @property
    def results(self) -> Path:
        """What became of the episodes over ROS."""
        return self.output / "rollouts.json"

    def commands(self) -> dict[str, list[str]]:
        """Stage to the arguments of `robot-learning`."""
        q = {k: shlex.quote(str(self.output / k)) for k in ("store", "train", "rollouts", "rollouts.json", "evaluate")}
        rig, first = shlex.quote(self.rig), TRAINING_SEEDS_END
        lines = {
            "collect": f"up collect --rig {rig} --device scripted --episodes {self.demonstrations} "
            f"--store {q['store']} --operator script",
            "check": f"data check {q['store']}",
            "train": f"train --store {q['store']} --policy {POLICY} {HORIZONS} --steps {self.steps} "
            f"--observations {OBSERVATIONS} --output {q['train']}",
            "deploy": f"up rollout --backend onnx --rig {rig} --checkpoint {q['train']} --store {q['rollouts']} "
            f"--rollouts {self.episodes} --first-rollout-seed {first} --results {q['rollouts.json']}",
            "check rollouts": f"data check {q['rollouts']}",
            "evaluate": f"evaluate --checkpoint {q['train']} --env rig/{rig} --episodes {self.episodes} "
            f"--first-seed {first} --batch 1 --workers {len(os.sched_getaffinity(0))} --output {q['evaluate']}",
        }
        return {stage: shlex.split(line) for stage, line in lines.items()}


def ros_demo(config: RosDemoConfig, say: Callable[[str], None] = print) -> dict[str, Any]:
    """Run all stages that are not done, write `report.json` and `report.html`, and return the report.

    Raises:
        UserError: a stage could not do its work; the same call goes on from there.
    """
    prepare_folder(config.output)
    commands = config.commands()
    progress = Progress(config.output / "progress.json", commands)
    for number, (stage, arguments) in enumerate(commands.items(), 1):
        title = f"[{number}/{len(commands)}] {shlex.join(['robot-learning', *arguments])}"
        if progress.done(stage):
            say(f"{title}  (done before, {progress.seconds[stage]:.0f} s)")
            continue
        say(title)
        with progress.timed(stage):
            run_stage(stage, arguments, config.output / "train")
    return _report(config, progress.seconds)


def _report(config: RosDemoConfig, seconds: dict[str, float]) -> dict[str, Any]:
    """The evaluation's report over what was done over ROS, paired with the one without."""
    from robot_learning.evaluation.evaluate import EvaluateConfig, Result, subject
    from robot_learning.evaluation.report import write_report
    from robot_learning.evaluation.rollout import Episode
    from robot_learning.evaluation.statistics import compare

    evaluate = EvaluateConfig(
        checkpoint=config.output / "train",
        env=f"rig/{config.rig}",
        episodes=config.episodes,
        batch=1,
        output=prepare_folder(config.output / "over_ros"),
    )
    over_ros = [Episode(score=float(r["success"]), **r) for r in json.loads(config.results.read_text())]
    without = json.loads((config.output / "evaluate" / "report.json").read_text())
    tried = subject(evaluate.checkpoint, evaluate)
    first = Result(tried, over_ros, seconds["deploy"], name="over ROS")
    second = Result(tried, [Episode(**e) for e in without["per_episode"]], without["seconds"], name="without ROS")
    paired = compare(first.by_seed(), second.by_seed())
    films = _films(config, over_ros)
    result = write_report(evaluate, first, second, paired, films)
    beside = {k: without[k] for k in ("success_rate", "successes", "episodes", "interval")}
    return write_demo_report(config, seconds, result, evaluate.output, without_ros=beside)


def _films(config: RosDemoConfig, episodes: list[Any], count: int = 4) -> list[Any]:
    """Some of the episodes with the pictures that the recorder kept, failures first."""
    from dataclasses import replace

    import numpy as np

    from robot_learning.clock import NS_PER_S
    from robot_learning.data.store import Store
    from robot_learning.evaluation.rollout import FILM_EVERY

    recorded = Store.open(config.output / "rollouts").episodes()
    chosen = sorted(zip(episodes, recorded, strict=False), key=lambda pair: (pair[0].success, pair[0].seed))[:count]
    films = []
    for episode, kept in chosen:
        camera = next(spec.name for spec in kept.contract.streams if spec.is_image)
        stream = kept.streams[camera]
        step = FILM_EVERY * NS_PER_S / kept.contract.policy_rate_hz
        times = np.arange(stream.stamp[0], stream.stamp[-1], step)
        indices = np.minimum(np.searchsorted(stream.stamp, times), len(stream) - 1)
        films.append(replace(episode, frames=list(stream.read(indices))))
    return films
