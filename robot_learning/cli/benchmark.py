"""`robot-learning benchmark`: named suites of tasks, policies and seeds, run or resumed, as one table."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import tyro

from robot_learning.benchmark.suites import SUITES, Imported, Suite
from robot_learning.errors import ConfigError

SOME_FAILED = 1


@dataclass(frozen=True)
class BenchmarkConfig:
    """Run a suite: each policy on each task with each seed, trained and evaluated in processes of their own.

    Stopped in any way, the same command goes on: what is done is left, what is half done is resumed, what failed is
    tried again. The table is in <output>/report.html and <output>/results.json.

    Attributes:
        suite: Its name; --list shows them.
        output: Folder for everything [default: outputs/benchmark/<suite>].
        list: Show the suites and end.
        only: Cells to run, as preset/task, preset or task; * stands for anything.
        presets: Policies to run instead of the suite's; results of others in --output stay in the table.
        seeds: Training seeds instead of the suite's; results of others in --output stay in the table.
        minutes: Minutes of training for each cell, instead of the suite's budget; where nothing else runs meanwhile.
        workers: Cells side by side, with one thread each.
        source: File or folder of the demonstrations that the suite imports.
        stores: Folder of the stores of demonstrations, where suites are to share them [default: in --output].
        ray: Spread the cells over a Ray cluster at this address; "local" starts Ray here.
        device: Where policies are evaluated; training takes a GPU where there is one.
        report: Run nothing; make the Markdown of these folders' results.
        into: A document whose sections between the suites' markers --report replaces [default: print them].
    """

    suite: str | None = None
    output: Path | None = None
    list: bool = False
    only: tuple[str, ...] = ()
    presets: tuple[str, ...] = ()
    seeds: tuple[int, ...] = ()
    minutes: float | None = None
    workers: int = field(default_factory=lambda: len(os.sched_getaffinity(0)))
    source: Path | None = None
    stores: Path | None = None
    ray: str | None = None
    device: Literal["cpu", "cuda"] = "cpu"
    report: tuple[Path, ...] = ()
    into: Path | None = None

    def __post_init__(self) -> None:
        if sum((self.suite is not None, self.list, bool(self.report))) != 1:
            raise ConfigError(
                "give one of --suite NAME, --list and --report DIR; suites: " + ", ".join(s.name for s in SUITES) + "."
            )
        if self.into and not self.report:
            raise ConfigError("--into says where --report writes to; give both.")


def main(arguments: list[str]) -> int:
    """List, report, or run and say what came out; 1 where a cell failed."""
    config = tyro.cli(BenchmarkConfig, prog="robot-learning benchmark", args=arguments)
    if config.list:
        print("\n".join(_about(suite) for suite in SUITES))
        return 0
    if config.report:
        return _report(config)
    from robot_learning.benchmark.run import RunConfig, run

    assert config.suite is not None
    output = config.output or Path("outputs/benchmark") / config.suite
    chosen = RunConfig(
        suite=config.suite, output=output.resolve() if config.ray else output, only=config.only,
        presets=config.presets, seeds=config.seeds, minutes=config.minutes, workers=config.workers,
        source=config.source, stores=config.stores, ray=config.ray, device=config.device,
    )  # fmt: skip
    results = run(chosen, _say)
    if results["cells"]:
        print(_table(results))
    for name, error in results["failed"].items():
        print(f"failed: {name}: {error}")
    if results["missing"]:
        print(f"not run: {', '.join(results['missing'])}")
    print(f"report: {output / 'report.html'}")
    return SOME_FAILED if results["failed"] else 0


def _say(text: str) -> None:
    print(text, flush=True)


def _about(suite: Suite) -> str:
    budget = f"{suite.steps} steps" if suite.steps else f"{suite.minutes:g} minutes"
    data = suite.tasks[0].data
    needs = ["  needs --source: " + data.about] if isinstance(data, Imported) else []
    return "\n".join(
        [
            f"{suite.name}: {suite.about}",
            f"  tasks: {', '.join(task.name for task in suite.tasks)}",
            f"  policies: {', '.join(suite.presets)}",
            f"  each cell: {budget} of training, {suite.episodes} evaluation seeds",
            *needs,
        ]
    )


def _report(config: BenchmarkConfig) -> int:
    from robot_learning.benchmark.markdown import section, write_sections
    from robot_learning.benchmark.report import read_results

    every = [read_results(folder) for folder in config.report]
    if config.into:
        write_sections(config.into, every)
        print(f"{config.into}: {', '.join(results['suite'] for results in every)}")
    else:
        print("\n\n".join(section(results) for results in every))
    return 0


def _table(results: Mapping[str, Any]) -> str:
    from robot_learning.benchmark.summary import rows

    lines = [("task", "policy", "success", "score", "steps", "minutes")]
    for row in rows(results["cells"]):
        measured = (row.success.percent(), f"{row.score.estimate:.3f}", f"{row.steps:.0f}", f"{row.minutes:.1f}")
        lines.append((row.task, row.preset, *measured))
    widths = [max(len(line[i]) for line in lines) for i in range(len(lines[0]))]
    return "\n".join("  ".join(cell.ljust(w) for cell, w in zip(line, widths, strict=True)).rstrip() for line in lines)
