"""Goals out of play: how often a goal-conditioned policy reaches them, by sampler, number of steps and guidance.

    python benchmarks/play.py [--output outputs/play] [--checkpoint RUN] [--seeds 50] [--workers 2]

Records play without labels (`play/free`, at least 30 minutes) and, apart from it, held-out play; trains a preset on
the first; takes as goals the last observations of each sub-task's completions in the second, and rolls out from
unseen starts. Success is the sub-task's own condition. Met if, with the first sampler and without guidance, 3 steps
have at least 0.95 of the success of 50. Every cell is kept in OUTPUT/cells.json: stopped, the same command goes on.
`--picture` draws the table.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from itertools import product
from pathlib import Path
from typing import Any

from robot_learning.data.store import Store
from robot_learning.errors import ConfigError, UserError
from robot_learning.evaluation.goals import found, goals_for, reach
from robot_learning.evaluation.statistics import wilson
from robot_learning.output import prepare_folder, write_json
from robot_learning.policies import checkpoint
from robot_learning.pool import Stop, Work, share_out
from robot_learning.sim.collect import CollectConfig, collect
from robot_learning.sim.play_tasks import SUB_TASKS
from robot_learning.sim.registry import make
from robot_learning.sim.seeds import TRAINING_SEEDS_END
from robot_learning.training.config import TrainConfig

MINUTES_MIN = 30
HELD_OUT_SEED = 50_000
RATIO_MIN, FEW, MANY = 0.95, 3, 50
OBSERVATIONS = ("ee_position", "ee_orientation", "gripper_width", "cube_position", "cube_orientation")
RELATIVE = (("action", "ee_position"), ("action", "ee_orientation"))  # learned as seen from the tool
SAMPLERS = ("ddim", "euler_ancestral", "heun", "dpm++_2m")
Cell = tuple[str, str, int, float]  # sub-task, sampler, steps, guidance


def recorded(path: Path, recordings: int, first_seed: int, workers: int) -> Store:
    collect(CollectConfig("play/free", path, recordings, first_seed, cameras=False, workers=workers))
    return Store.open(path)


def trained(options: argparse.Namespace, store: Store) -> Path:
    """The run to evaluate: the one given, or one trained here, resumed where it stopped."""
    from robot_learning.training.trainer import train

    if options.checkpoint:
        return options.checkpoint
    output = options.output / "run"
    config = TrainConfig.of_preset(options.policy, store.path, output=output, observations=OBSERVATIONS)
    recipe = replace(config.recipe, steps=options.steps) if options.steps else config.recipe
    policy = replace(config.config, goal=options.goal, goal_within=options.goal_within, relative=RELATIVE)
    result = train(replace(config, recipe=recipe, config=policy, resume=(output / "state").is_dir()))
    if result.stopped_by:
        raise UserError(f"stopped by {result.stopped_by} after step {result.step}; the same command goes on.")
    return output


@contextmanager
def evaluating(run: str, held_out: str, seeds: tuple[int, ...], batch: int) -> Iterator[Work]:
    """A policy, its goals and its environments, kept from cell to cell."""
    import torch

    torch.set_num_threads(1)
    policy = checkpoint.load(run).eval()
    plain, store = policy.config, Store.open(held_out)
    completions = found(store)
    envs: dict[str, Any] = {}

    def evaluate(cell: Cell, stop: Stop) -> dict[str, Any]:
        name, sampler, steps, guidance = cell
        if name not in envs:
            goals = goals_for(policy, store, completions.get(name, []), seeds, seed=0)
            envs[name] = goals, [make(f"play/{name}", cameras=False) for _ in range(min(batch, len(seeds)))]
        goals, rooms = envs[name]
        policy.config = replace(plain, sampler=sampler, inference_steps=steps, guidance=guidance)
        episodes = list(reach(policy, rooms, seeds, goals))
        return {
            "cell": list(cell),
            "successes": [e.success for e in episodes],
            "steps": [e.steps for e in episodes],
            "inference_ms": sum(e.inference_ms for e in episodes) / len(episodes),
        }

    yield evaluate


def table(cells: dict[Cell, dict[str, Any]], options: argparse.Namespace) -> None:
    names = "".join(f"{name:>12}" for name in SUB_TASKS)
    print(f"{'sampler':<18}{'guidance':>9}{'steps':>7}{names}  all")
    for sampler, guidance, steps in product(options.samplers, options.guidance, options.inference_steps):
        rates = [wins(cells, name, sampler, steps, guidance) for name in SUB_TASKS]
        all_wins = [w for each in rates for w in each]
        shown = "".join(f"{sum(w) / len(w):>12.2f}" for w in rates)
        print(f"{sampler:<18}{guidance:>9g}{steps:>7}{shown}  {wilson(sum(all_wins), len(all_wins)).percent()}")


def decides(cell: Cell, options: argparse.Namespace) -> bool:
    """Whether the verdict needs it."""
    return cell[1] == options.samplers[0] and cell[2] in (FEW, MANY) and cell[3] == 1


def draw(cells: dict[Cell, dict[str, Any]], options: argparse.Namespace) -> None:
    """Success over all sub-tasks by number of steps: a panel for each guidance, a line for each sampler."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot as plt

    figure, axes = plt.subplots(
        1, len(options.guidance), figsize=(5 * len(options.guidance), 3.4), sharey=True, squeeze=False
    )
    for axis, guidance in zip(axes[0], options.guidance, strict=True):
        for sampler in options.samplers:
            rates = []
            for k in options.inference_steps:
                found = [w for name in SUB_TASKS for w in wins(cells, name, sampler, k, guidance)]
                rates.append(wilson(sum(found), len(found)))
            low = [r.estimate - r.low for r in rates]
            high = [r.high - r.estimate for r in rates]
            axis.errorbar(
                options.inference_steps,
                [r.estimate for r in rates],
                [low, high],
                marker="o",
                ms=3,
                capsize=2,
                label=sampler,
            )
        axis.set_xscale("log")
        axis.set_xticks(options.inference_steps, [str(k) for k in options.inference_steps])
        axis.set_xlabel("inference steps")
        axis.set_title("no guidance" if guidance == 1 else f"guidance {guidance:g}")
        axis.grid(alpha=0.3)
    axes[0][0].set_ylabel("goals reached")
    axes[0][0].set_ylim(0, 1)
    axes[0][-1].legend()
    figure.tight_layout()
    figure.savefig(options.picture, dpi=110)
    plt.close(figure)


def wins(cells: dict[Cell, dict[str, Any]], *cell: Any) -> list[bool]:
    return cells[cell]["successes"]  # type: ignore[index]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--output", type=Path, default=Path("outputs/play"))
    parser.add_argument("--policy", default="beso_state_small", help="a preset that takes goals, from state")
    parser.add_argument("--checkpoint", type=Path, help="evaluate this run instead of training one")
    parser.add_argument("--steps", type=int, help="of training; default the preset's")
    parser.add_argument("--goal", type=int, default=1, help="observations that describe a goal, in training")
    parser.add_argument("--goal-within", type=int, default=100, help="steps after its window that a goal may begin")
    parser.add_argument("--recordings", type=int, default=10, help="of play to train on, 3 to 4 minutes each")
    parser.add_argument("--held-out", type=int, default=5, help="recordings that goals come from")
    parser.add_argument("--seeds", type=int, default=50, help="of each sub-task")
    parser.add_argument("--samplers", nargs="+", default=list(SAMPLERS))
    parser.add_argument("--inference-steps", nargs="+", type=int, default=[1, FEW, 5, 10, MANY])
    parser.add_argument("--guidance", nargs="+", type=float, default=[1.0, 2.0], help="1 is without")
    parser.add_argument("--batch", type=int, default=50, help="episodes predicted together")
    parser.add_argument("--picture", type=Path, help="draw success by number of steps there")
    parser.add_argument("--workers", type=int, default=1, help="processes")
    options = parser.parse_args()
    if not {FEW, MANY} <= set(options.inference_steps) or 1.0 not in options.guidance:
        raise ConfigError(f"--inference-steps must hold {FEW} and {MANY}, and --guidance 1: the requirement is theirs.")
    prepare_folder(options.output)
    play = recorded(options.output / "train", options.recordings, 0, options.workers)
    held_out = recorded(options.output / "held_out", options.held_out, HELD_OUT_SEED, options.workers)
    minutes = sum(e.duration_s for e in play.episodes()) / 60
    labels = {name: [vars(c) for c in of] for name, of in found(held_out).items()}
    write_json(options.output / "labels.json", labels)  # beside the stores, never in them
    counts = ", ".join(f"{name} {len(of)}" for name, of in labels.items())
    print(f"play: {minutes:.0f} minutes in {len(play.episodes())} recordings; held-out goals: {counts}", flush=True)
    run = checkpoint.find(trained(options, play))

    path = options.output / "cells.json"
    seeds = tuple(range(TRAINING_SEEDS_END, TRAINING_SEEDS_END + options.seeds))
    same = {
        "checkpoint": str(run.resolve()),
        "seeds": list(seeds),
        "held_out": sorted(e.id for e in held_out.episodes()),
    }
    kept = json.loads(path.read_text()) if path.exists() else {}
    cells = {tuple(c["cell"]): c for c in kept["cells"]} if kept.get("of") == same else {}
    wanted: list[Cell] = list(product(SUB_TASKS, options.samplers, options.inference_steps, options.guidance))
    wanted.sort(key=lambda cell: (not decides(cell, options), cell[2], cell[3]))  # then the quick ones
    missing = [cell for cell in wanted if cell not in cells]
    arguments = (str(run), str(held_out.path), seeds, options.batch)
    for done in share_out(evaluating, arguments, missing, options.workers, 0.0):
        cells[tuple(done["cell"])] = done
        write_json(path, {"of": same, "cells": list(cells.values())})
        name, sampler, steps, guidance = done["cell"]
        rate = sum(done["successes"]) / len(seeds)
        print(f"{len(cells)}: {name} {sampler} {steps} steps, guidance {guidance:g}: {rate:.2f}", file=sys.stderr)

    table(cells, options)
    if options.picture:
        draw(cells, options)
    sampler = options.samplers[0]
    few, many = (sum(sum(wins(cells, n, sampler, k, 1.0)) for n in SUB_TASKS) for k in (FEW, MANY))
    met = minutes >= MINUTES_MIN and many > 0 and few >= RATIO_MIN * many
    print(
        f"{sampler}, no guidance: {FEW} steps {few}, {MANY} steps {many} of {len(seeds) * len(SUB_TASKS)}; ratio "
        f"{few / max(many, 1):.2f}, wanted {RATIO_MIN}, after {minutes:.0f} minutes of play: "
        + ("met" if met else "MISSED")
    )
    return 0 if met else 1


if __name__ == "__main__":
    try:
        sys.exit(main())
    except UserError as error:
        sys.exit(f"error: {error}")
