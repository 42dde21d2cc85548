"""The demo: collect, check, train, evaluate, each the command that one would type, and one page about it all."""

from __future__ import annotations

import json
import os
import shlex
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from robot_learning.errors import ConfigError, UserError
from robot_learning.output import prepare_folder, write_json

ENV = "panda/lift"
POLICY = "diffusion_unet_state_small"
# An episode takes a second and a half, so chunks are short; joints say nothing that the tool's pose does not.
OBSERVATIONS = "ee_position ee_orientation gripper_width cube_position cube_orientation"
HORIZONS = "--config.Tp 8 --config.Ta 4"
PROGRESS = "progress.json"
CTRL_C = 130  # the exit code of a command that was stopped so, and tidied up


@dataclass(frozen=True)
class DemoConfig:
    """Record demonstrations of lifting a cube, check them, train a policy, evaluate it; one HTML page.

    Interrupted, the same command goes on where it stopped.

    Attributes:
        output: Folder for everything.
        demonstrations: How many the scripted expert gives.
        steps: Optimiser steps.
        episodes: How many unseen seeds the policy is evaluated on.
        workers: Processes that simulate.
    """

    output: Path = Path("outputs/demo")
    demonstrations: int = 100
    steps: int = 7500
    episodes: int = 100
    workers: int = field(default_factory=lambda: len(os.sched_getaffinity(0)))

    def __post_init__(self) -> None:
        for name in ("demonstrations", "steps", "episodes", "workers"):
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
    def evaluation(self) -> Path:
        """Where the evaluation's own report goes."""
        return self.output / "evaluate"

    def commands(self) -> dict[str, list[str]]:
        """Stage to the arguments of `robot-learning`."""
        store, training, evaluation = (shlex.quote(str(p)) for p in (self.store, self.training, self.evaluation))
        lines = {
            "collect": f"collect --env {ENV} --episodes {self.demonstrations} --workers {self.workers} --store {store}",
            "check": f"data check {store}",
            "train": f"train --store {store} --policy {POLICY} {HORIZONS} --steps {self.steps} "
            f"--observations {OBSERVATIONS} --output {training}",
            "evaluate": f"evaluate --checkpoint {training} --env {ENV} --episodes {self.episodes} "
            f"--workers {self.workers} --output {evaluation}",
        }
        return {stage: shlex.split(line) for stage, line in lines.items()}


class Progress:
    """What is done, and how long it took, kept in a file so that a second run goes on.

    Attributes:
        seconds: stage to wall-clock time [s], over all runs.
    """

    def __init__(self, path: Path, commands: dict[str, list[str]]) -> None:
        self._path = path
        content = _read(path) or {"commands": commands, "seconds": {}, "done": []}
        if content["commands"] != commands:
            raise ConfigError(
                f"{path.parent} holds a demo with other settings than these; give another --output, or delete it."
            )
        self._content = content
        self.seconds: dict[str, float] = content["seconds"]

    def done(self, stage: str) -> bool:
        """Whether the stage came to its end in this or an earlier run."""
        return stage in self._content["done"]

    @contextmanager
    def timed(self, stage: str, again: bool = False) -> Iterator[None]:
        """Around a stage: adds its time, also where it is interrupted, and marks it as done where it is not.

        Args:
            again: the stage starts anew each time, so earlier runs don't count.
        """
        before, began = 0.0 if again else self.seconds.get(stage, 0.0), time.monotonic()
        try:
            yield
            self._content["done"] = [*(s for s in self._content["done"] if s != stage), stage]
        finally:
            self.seconds[stage] = before + time.monotonic() - began
            write_json(self._path, self._content)


def demo(config: DemoConfig, say: Callable[[str], None] = print) -> dict[str, Any]:
    """Run all stages that are not done, write `report.json` and `report.html`, and return the report.

    Raises:
        UserError: a stage could not do its work; the same call goes on from there.
    """
    prepare_folder(config.output)
    commands = config.commands()
    progress = Progress(config.output / PROGRESS, commands)
    for number, (stage, arguments) in enumerate(commands.items(), 1):
        once = stage in ("collect", "train")
        title = f"[{number}/{len(commands)}] {shlex.join(['robot-learning', *arguments])}"
        if once and progress.done(stage):
            say(f"{title}  (done before, {progress.seconds[stage]:.0f} s)")
            continue
        say(title)
        with progress.timed(stage, again=not once):
            run_stage(stage, arguments, config.training)
    return _report(config, progress.seconds)


def run_stage(stage: str, arguments: list[str], training: Path) -> None:
    """One stage, exactly as its command would; `training` is the folder of the stage `train`."""
    from robot_learning.cli.main import run
    from robot_learning.training.folder import STATES, saved

    if stage == "train":  # killed before its first checkpoint, a run has nothing to go on from
        arguments = [*arguments, "--resume" if saved(training, STATES) else "--overwrite"]
    code = run(arguments)
    if code == CTRL_C:
        raise KeyboardInterrupt
    if code:
        raise UserError(f"the demo's stage '{stage}' ended with exit code {code}; what it said is above.")


def _report(config: DemoConfig, seconds: dict[str, float]) -> dict[str, Any]:
    result = json.loads((config.evaluation / "report.json").read_text())
    return write_demo_report(config, seconds, result, config.evaluation)


def write_demo_report(
    config: Any, seconds: dict[str, float], result: dict[str, Any], evaluated: Path, **more: Any
) -> dict[str, Any]:
    """Write `report.json` and `report.html` into a demo's output, and return the report.

    Args:
        config: has `output`, `store`, `training`, `demonstrations` and `commands()`.
        result: the evaluation's `report.json`; `evaluated` is its folder.
        more: further keys of the report.
    """
    from robot_learning.data.store import Store
    from robot_learning.demo_page import write_demo_page
    from robot_learning.provenance import provenance
    from robot_learning.training.metrics import read_metrics

    report = {
        **{k: result[k] for k in ("env", "policy", "success_rate", "successes", "episodes", "interval", "privileged")},
        **more,
        "demonstrations": config.demonstrations,
        "seconds": {stage: seconds[stage] for stage in config.commands()} | {"total": sum(seconds.values())},
        **provenance(),
        "evaluation": result,
    }
    write_json(config.output / "report.json", report)
    write_demo_page(
        config.output / "report.html",
        report,
        Store.open(config.store),
        [(line["step"], line["loss"]) for line in read_metrics(config.training) if "loss" in line],
        evaluated,
        config.commands(),
    )
    return report


def _read(path: Path) -> dict[str, Any] | None:
    try:
        return json.loads(path.read_text())
    except FileNotFoundError:
        return None
    except (OSError, ValueError) as error:
        raise UserError(f"can't read {path} ({error}); delete the folder to begin the demo anew.") from None
