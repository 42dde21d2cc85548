"""What is done for a store and for a cell: commands of `robot-learning`, each only where it is still to be done."""

from __future__ import annotations

import statistics
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from robot_learning.benchmark.cells import RESULT, Cell, read_json, relative
from robot_learning.benchmark.origin import origin
from robot_learning.benchmark.suites import Experts, Imported, Task
from robot_learning.errors import UserError
from robot_learning.output import prepare_folder, write_json
from robot_learning.policies import presets

FORMAT = 1
PROBE_STEPS, PROBE_EVERY = 60, 10  # enough to see how quick training is
CHECKPOINTS = 20  # over a run: what a killed one loses at most is a twentieth
CURVE_POINTS = 200


class Job(Protocol):
    """Something to be done by commands, one after the other.

    Attributes:
        name: for people.
        folder: where its log goes.
    """

    @property
    def name(self) -> str: ...

    @property
    def folder(self) -> Path: ...

    def stages(self) -> Iterator[list[str]]:
        """Arguments of `robot-learning`; the next is asked for when one has ended well. UserError: it can't be done."""
        ...

    def fraction(self) -> float:
        """How much of it is done, roughly."""
        ...


@dataclass(frozen=True)
class StoreJob:
    """A task's demonstrations. Collecting and importing both leave out what the store has."""

    task: Task
    store: Path
    source: Path | None

    @property
    def name(self) -> str:
        return f"demonstrations of {self.task.name}"

    @property
    def folder(self) -> Path:
        return self.store.with_name(f"{self.store.name}-log")

    @property
    def done(self) -> bool:
        """Whether it came to its end before, for the same demonstrations."""
        made = read_json(self.folder / RESULT)
        return made is not None and made["data"] == repr(self.task.data) and self.store.is_dir()

    def require_source(self) -> None:
        """Raise UserError where demonstrations are to be imported and nobody said from where."""
        if isinstance(self.task.data, Imported) and not self.done and (self.source is None or not self.source.exists()):
            given = f"there is nothing at {self.source}" if self.source else "say where they are with --source"
            raise UserError(f"{self.task.name} needs {self.task.data.about}; {given}.")

    def stages(self) -> Iterator[list[str]]:
        data = self.task.data
        if isinstance(data, Experts):
            line = ["collect", "--env", self.task.env, "--episodes", str(data.episodes), "--seed", str(data.seed)]
            yield [*line, "--store", str(self.store), "--cameras" if data.cameras else "--no-cameras"]
        else:
            mirror = ["--mirror"] if data.mirror else []
            yield ["data", "import", str(self.source), str(self.store), "--layout", data.layout, *mirror]
        write_json(self.folder / RESULT, {"data": repr(data)})

    def fraction(self) -> float:
        return 0.0


@dataclass(frozen=True)
class CellJob:
    """Probe (where the budget is a time), train, evaluate; then `result.json`."""

    cell: Cell
    store: Path
    device: str = "cpu"

    @property
    def name(self) -> str:
        return self.cell.name

    @property
    def folder(self) -> Path:
        return self.cell.folder

    def stages(self) -> Iterator[list[str]]:
        prepare_folder(self.folder)
        write_json(self.folder / "cell.json", {**self.cell.training(), **self.cell.evaluation()})
        if (steps := self._steps()) is None:
            yield self._probe()
            steps = self._steps_of_probe()
            write_json(self.folder / "steps.json", {"steps": steps})
        if not self._trained(steps):
            yield self._train(steps)
        yield self._evaluate()
        self._write_result(steps)

    def _steps(self) -> int | None:
        """How many steps to train, once that is known."""
        if self.cell.suite.steps:
            return self.cell.suite.steps
        found = read_json(self.folder / "steps.json")
        return int(found["steps"]) if found else None

    def _command(self, output: str) -> list[str]:
        suite = self.cell.suite
        line = ["train", "--store", str(self.store), "--policy", self.cell.preset, "--seed", str(self.cell.seed)]
        if suite.observations:
            line += ["--observations", *suite.observations]
        return [*line, *suite.options, "--output", str(self.folder / output)]

    def _probe(self) -> list[str]:
        line = [*self._command("probe"), "--steps", str(PROBE_STEPS), "--log-every", str(PROBE_EVERY)]
        return [*line, "--val-fraction", "0", "--overwrite"]

    def _steps_of_probe(self) -> int:
        from robot_learning.training.folder import RunRecord
        from robot_learning.training.metrics import read_metrics

        probe = self.folder / "probe"
        recipe = RunRecord.read(probe).config.recipe
        speeds = [line["samples_per_s"] for line in read_metrics(probe) if "samples_per_s" in line]
        # The first steps warm caches up. The median: something else may have run meanwhile.
        speed = statistics.median(speeds[2:] or speeds) / (recipe.batch_size * recipe.accumulate)
        return max(1, round(60 * (self.cell.suite.minutes or 0) * speed))

    def _train(self, steps: int) -> list[str]:
        from robot_learning.training.folder import STATES, saved

        output = self.folder / "train"
        if saved(output, STATES):  # killed before its first checkpoint, a run has nothing to go on from
            return ["train", "--resume", "--output", str(output)]
        every = max(1, -(-steps // CHECKPOINTS))
        line = [*self._command("train"), "--steps", str(steps), "--overwrite", "--keep-checkpoints", "2"]
        return [*line, *(f"--{name}-every={every}" for name in ("checkpoint", "validate", "log"))]

    def _trained(self, steps: int) -> bool:
        from robot_learning.training.folder import CHECKPOINTS as FOLDER
        from robot_learning.training.folder import saved, step_name

        return any(path.name == step_name(steps) for path in saved(self.folder / "train", FOLDER))

    def _evaluate(self) -> list[str]:
        suite = self.cell.suite
        line = ["evaluate", "--checkpoint", str(self.folder / "train"), "--env", self.cell.task.env]
        line += ["--episodes", str(suite.episodes), "--first-seed", str(suite.first_seed), "--workers", "1"]
        line += ["--videos", str(suite.videos), "--device", self.device]
        return [*line, "--output", str(self.folder / "evaluate")]

    def _write_result(self, steps: int) -> None:
        from robot_learning.training.folder import RunRecord
        from robot_learning.training.metrics import read_metrics

        cell, folder = self.cell, self.folder
        report = read_json(folder / "evaluate" / "report.json")
        if report is None or report["partial"]:
            raise UserError(f"the evaluation in {folder / 'evaluate'} left no whole report.json.")
        record, lines = RunRecord.read(folder / "train"), read_metrics(folder / "train")
        result: dict[str, Any] = {
            "format": FORMAT,
            "digest": cell.digest,
            "suite": cell.suite.name,
            "task": cell.task.name,
            "level": cell.task.level,
            "env": cell.task.env,
            "preset": cell.preset,
            "about": presets.preset(cell.preset).about,
            "kind": cell.suite.kind,
            "seed": cell.seed,
            "folder": relative(folder, cell.output),
            "demonstrations": len(record.train_episodes) + len(record.val_episodes),
            "held_out": len(record.val_episodes),
            "steps": steps,
            "training_seconds": max((line["seconds"] for line in lines if "seconds" in line), default=0.0),
            "curve": _curve(lines),
            **{name: report[name] for name in ("observations", "privileged", "snapshot", "inference_ms", "first_seed")},
            "evaluation_seconds": report["seconds"],
            "device": self.device,
            "per_episode": [{k: e[k] for k in ("seed", "success", "score")} for e in report["per_episode"]],
            **origin(),
            "command": report["command"],
            "videos": [{**v, "file": f"evaluate/{v['file']}"} for v in report["videos"]],
        }
        write_json(folder / RESULT, result)

    def fraction(self) -> float:
        from robot_learning.training.metrics import read_metrics

        steps = self._steps()
        if not steps:
            return 0.0
        lines = read_metrics(self.folder / "train")
        return 0.9 * min(1.0, lines[-1]["step"] / steps) if lines else 0.0  # the rest is the evaluation


def _curve(lines: list[dict[str, Any]]) -> list[dict[str, float]]:
    """Steps, seconds and losses, thinned."""
    names = ["step", "seconds", "loss", "val_loss"]
    kept = [{name: x[name] for name in names if name in x} for x in lines if "loss" in x]
    every = -(-len(kept) // CURVE_POINTS) or 1
    return kept[::every]
