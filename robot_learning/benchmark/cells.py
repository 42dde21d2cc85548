"""A suite's cells: one policy on one task with one training seed, in a folder of its own."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

from robot_learning.benchmark.suites import Suite, Task
from robot_learning.errors import ConfigError, UnknownName, closest
from robot_learning.policies import presets
from robot_learning.sim import registry

RESULT = "result.json"


@dataclass(frozen=True)
class Cell:
    """One training run and its evaluation.

    Attributes:
        folder: where everything about it goes; the name has a digest of all that decides its training, so that
            another budget or another preset of the same name is another run, and the old one stays.
    """

    suite: Suite
    task: Task
    preset: str
    seed: int
    output: Path

    @property
    def name(self) -> str:
        """For people, as `--only` takes it; with its seed where there are several."""
        several = f" seed {self.seed}" if len(self.suite.seeds) > 1 else ""
        return f"{self.preset}/{self.task.name}{several}"

    @property
    def folder(self) -> Path:
        digest = _digest(self.training())[:8]
        return self.output / "cells" / self.task.name / self.preset / f"seed{self.seed}-{digest}"

    def training(self) -> dict[str, Any]:
        """All that decides its training, JSON-ready."""
        chosen = presets.preset(self.preset)
        return {
            "env": self.task.env,
            "data": {"by": type(self.task.data).__name__, **asdict(self.task.data)},
            "preset": self.preset,
            "config": {"policy": chosen.config.policy, **asdict(chosen.config)},
            "recipe": asdict(chosen.recipe),
            "kind": self.suite.kind,
            "observations": list(self.suite.observations),
            "options": list(self.suite.options),
            "steps": self.suite.steps,
            "minutes": self.suite.minutes,
            "seed": self.seed,
        }

    def evaluation(self) -> dict[str, Any]:
        """All that decides what is measured, JSON-ready."""
        return {"episodes": self.suite.episodes, "first_seed": self.suite.first_seed}

    @property
    def digest(self) -> str:
        """Of training and evaluation."""
        return _digest({**self.training(), **self.evaluation()})

    def result(self) -> dict[str, Any] | None:
        """Its result, if it is done and was made with this very configuration."""
        found = read_json(self.folder / RESULT)
        return found if found and found.get("digest") == self.digest else None


def _digest(content: dict[str, Any]) -> str:
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()


def read_json(path: Path) -> dict[str, Any] | None:
    """A JSON file's object; None where there is none or it is damaged: then it is made anew."""
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return content if isinstance(content, dict) else None


def cells(suite: Suite, output: Path) -> list[Cell]:
    """All of a suite, each task's together.

    Raises:
        UserError: a preset or a task that is not known, a preset that observes something else than the suite.
    """
    for name in suite.presets:
        try:
            chosen = presets.preset(name)
        except UnknownName as error:
            raise UnknownName(f"suite '{suite.name}': {error}") from None
        if chosen.images != (suite.kind == "image"):
            sees = "images" if chosen.images else "state"
            raise ConfigError(
                f"suite '{suite.name}' is for policies that observe {suite.kind}; preset '{name}' observes {sees}: "
                "leave it out, or take the suite for it."
            )
    for task in suite.tasks:
        registry.require(task.env)
    return [Cell(suite, t, p, s, output) for t in suite.tasks for p in suite.presets for s in suite.seeds]


def choose(found: Sequence[Cell], only: Sequence[str]) -> list[Cell]:
    """Those that `only` names: `preset/task`, `preset` or `task`, with `*` for any; all where it is empty.

    Raises:
        UnknownName: one of them names no cell.
    """

    def fits(cell: Cell, wanted: str) -> bool:
        names = (cell.preset, cell.task.name, f"{cell.preset}/{cell.task.name}")
        return any(fnmatchcase(name, wanted) for name in names)

    for wanted in only:
        if not any(fits(cell, wanted) for cell in found):
            names = list(dict.fromkeys(n for c in found for n in (c.preset, c.task.name)))
            near = closest(wanted, [*names, *(f"{c.preset}/{c.task.name}" for c in found)])
            raise UnknownName(
                f"--only {wanted} names no cell of the suite{near} Presets and tasks: {', '.join(names)}."
            )
    return [cell for cell in found if not only or any(fits(cell, wanted) for wanted in only)]


def relative(path: Path, folder: Path) -> str:
    """As it is written in files that move together with `folder`."""
    return os.path.relpath(path, folder)
