"""A suite's results: `results.json` for programs, `report.html` for people."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from robot_learning.benchmark.cells import RESULT, Cell, read_json
from robot_learning.benchmark.origin import origin
from robot_learning.benchmark.page import write_page
from robot_learning.benchmark.running import Outcome
from robot_learning.errors import StoreError
from robot_learning.output import write_json

FORMAT = 1
RESULTS = "results.json"


def write_results(config: Any, every: Sequence[Cell], failed: Sequence[Outcome]) -> dict[str, Any]:
    """Write both files into `config.output` from what the cells' folders hold, and return the JSON's content.

    Args:
        config: a `run.RunConfig`.
        every: all cells of the suite, also those that were not asked for.
        failed: cells that failed just now.
    """
    suite = config.the_suite()
    done = [result for cell in every if (result := cell.result()) is not None] + _others(config.output, every)
    failures = {outcome.name: outcome.error for outcome in failed}
    missing = [cell.name for cell in every if cell.result() is None and cell.name not in failures]
    results = {
        "format": FORMAT,
        "suite": suite.name,
        "about": suite.about,
        **origin(),
        "budget": {"steps": suite.steps, "minutes": suite.minutes},
        "training_seeds": sorted({*suite.seeds, *(result["seed"] for result in done)}),
        "evaluation_seeds": [suite.first_seed, suite.first_seed + suite.episodes - 1],
        "compare": [list(names) for names in suite.compare],
        "cells": done,
        "failed": failures,
        "missing": missing,
    }
    write_json(config.output / RESULTS, results)
    write_page(config.output, results)
    return results


def _others(output: Path, every: Sequence[Cell]) -> list[dict[str, Any]]:
    """Of runs of other presets and seeds in the same folder, the newest of each task, preset and seed."""
    planned = {(cell.task.name, cell.preset, cell.seed) for cell in every}
    newest: dict[tuple[str, str, int], dict[str, Any]] = {}
    for path in sorted(output.glob(f"cells/*/*/*/{RESULT}")):
        result = read_json(path)
        if result is None or result.get("format") != FORMAT:
            continue
        key = (result["task"], result["preset"], result["seed"])
        if key not in planned and (key not in newest or newest[key]["time"] < result["time"]):
            newest[key] = result
    return [newest[key] for key in sorted(newest)]


def read_results(folder: Path) -> dict[str, Any]:
    """The content of a benchmark's `results.json`.

    Raises:
        StoreError: there is none, or it is of another format.
    """
    path = folder if folder.is_file() else folder / RESULTS
    results: Mapping[str, Any] | None = read_json(path)
    if results is None:
        raise StoreError(
            f"{path} is missing or damaged; give the --output of a 'robot-learning benchmark --suite ...', "
            "which writes it."
        )
    if results.get("format") != FORMAT:
        raise StoreError(f"{path} has format {results.get('format')}, this version of robot_learning reads {FORMAT}.")
    return dict(results)
