"""From cells' results to a table: seeds pooled, rates with their intervals, pairs on the same evaluation seeds."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from robot_learning.evaluation.statistics import Interval, Paired, bootstrap_mean, compare, wilson


@dataclass(frozen=True)
class Row:
    """A preset on a task, all its training seeds together; or on all tasks.

    Attributes:
        episodes, successes: over all training seeds; the interval takes them as independent.
        steps, minutes: of training, the mean over its runs.
        demonstrations: of the run with the fewest.
        inference_ms: per chunk and episode, the mean over its runs.
    """

    preset: str
    task: str
    level: str
    seeds: tuple[int, ...]
    episodes: int
    successes: int
    success: Interval
    score: Interval
    steps: float
    minutes: float
    demonstrations: int
    inference_ms: float


ALL_TASKS = "all"


def rows(cells: Sequence[Mapping[str, Any]]) -> list[Row]:
    """A row for each task and preset in the order of `cells`; at the end each preset over all, if tasks are several."""
    keys = list(dict.fromkeys((c["task"], c["preset"]) for c in cells))
    found = [_row([c for c in cells if (c["task"], c["preset"]) == key]) for key in keys]
    tasks = {task for task, _ in keys}
    if len(tasks) > 1:
        for preset in dict.fromkeys(preset for _, preset in keys):
            if {task for task, p in keys if p == preset} == tasks:  # a mean over other tasks would mislead
                found.append(_row([c for c in cells if c["preset"] == preset], ALL_TASKS))
    return found


def _row(cells: Sequence[Mapping[str, Any]], task: str = "") -> Row:
    done = [e for c in cells for e in c["per_episode"]]
    successes = sum(e["success"] for e in done)
    return Row(
        preset=cells[0]["preset"],
        task=task or cells[0]["task"],
        level="" if task else cells[0]["level"],
        seeds=tuple(sorted({c["seed"] for c in cells})),
        episodes=len(done),
        successes=successes,
        success=wilson(successes, len(done)),
        score=bootstrap_mean([e["score"] for e in done]),
        steps=sum(c["steps"] for c in cells) / len(cells),
        minutes=sum(c["training_seconds"] for c in cells) / len(cells) / 60,
        demonstrations=min(c["demonstrations"] for c in cells),
        inference_ms=sum(c["inference_ms"] for c in cells) / len(cells),
    )


def pair(cells: Sequence[Mapping[str, Any]], first: str, second: str) -> Paired | None:
    """Two presets on the tasks, training seeds and evaluation seeds that both have; None where there are none."""
    a, b = _by_seed(cells, first), _by_seed(cells, second)
    common = sorted(a.keys() & b.keys())
    if not common:
        return None
    return compare({i: a[k] for i, k in enumerate(common)}, {i: b[k] for i, k in enumerate(common)})


def _by_seed(cells: Sequence[Mapping[str, Any]], preset: str) -> dict[tuple[str, int, int], tuple[bool, float]]:
    return {
        (c["task"], c["seed"], e["seed"]): (e["success"], e["score"])
        for c in cells
        if c["preset"] == preset
        for e in c["per_episode"]
    }
