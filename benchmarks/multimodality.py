"""Two ways around an obstacle: which policies keep both, and which go through the middle.

    python benchmarks/multimodality.py [--policies beso_state_small diffusion_unet_state_small mse_state_small]
        [--minutes 2] [--picture docs/images/two_way.png]

Records demonstrations of `two_way` that go left or right by a coin, trains each preset on them for the same time
(as many steps as fit, found by a short trial run; its learning-rate schedule ends there), rolls each out on the same
unseen seeds and counts the sides among its successes. Met if every policy but those of regression (`mse`) succeeds
at least 80 % of the time and goes either way in at least 20 % of its successes, and none of regression does so.
Stopped, the same command goes on with what is missing in --output.
"""

from __future__ import annotations

import argparse
import sys
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch

from robot_learning.errors import UserError
from robot_learning.evaluation.rollout import rollout
from robot_learning.evaluation.statistics import wilson
from robot_learning.output import prepare_folder, write_json
from robot_learning.policies import checkpoint, presets
from robot_learning.policies.base import Policy
from robot_learning.sim.collect import CollectConfig, collect
from robot_learning.sim.seeds import TRAINING_SEEDS_END
from robot_learning.sim.two_way import GOAL_M, HALF_M, OBSTACLE_M, RADIUS_M, REACHED_M, TwoWayEnv
from robot_learning.training.config import TrainConfig
from robot_learning.training.metrics import read_metrics
from robot_learning.training.trainer import train

POLICIES = ("beso_state_small", "diffusion_unet_state_small", "mse_state_small")
SUCCESS_MIN, RARER_MIN = 0.8, 0.2
TRIAL_STEPS = 60
BATCH = 50  # episodes predicted together
COLOURS = {"left": "tab:blue", "right": "tab:orange", "none": "0.5"}


@dataclass(frozen=True)
class Outcome:
    """What a policy did: per seed its side (`left`, `right`, `none`), success, and path [m]."""

    policy: str
    steps: int
    seconds: float
    sides: list[str]
    successes: list[bool]
    paths: list[list[list[float]]]

    def count(self, side: str) -> int:
        return sum(s == side and ok for s, ok in zip(self.sides, self.successes, strict=True))

    @property
    def two_ways(self) -> bool:
        won = sum(self.successes)
        rarer = min(self.count("left"), self.count("right"))
        return won >= SUCCESS_MIN * len(self.sides) and rarer >= RARER_MIN * won > 0


def trained(name: str, store: Path, folder: Path, minutes: float, steps: int | None, seed: int) -> Path:
    """The output of training a preset for `minutes`, or for `steps`."""
    if (folder / "done").exists():
        return folder / "run"
    config = TrainConfig.of_preset(name, store, seed=seed, val_fraction=0.0, checkpoint_every=10**9, overwrite=True)

    def run(count: int, output: str) -> Path:
        recipe = replace(config.recipe, steps=count, warmup_steps=min(config.recipe.warmup_steps, count // 4))
        return train(replace(config, recipe=recipe, output=folder / output, log_every=20)).output

    if steps is None:
        seconds = [m["seconds"] for m in read_metrics(run(TRIAL_STEPS, "trial"))]
        per_step = (seconds[-1] - seconds[0]) / (TRIAL_STEPS - 20)
        steps = max(100, round(60 * minutes / per_step))
    run(steps, "run")
    (folder / "done").touch()
    return folder / "run"


def evaluated(name: str, run: Path, seeds: range) -> Outcome:
    """Roll the checkpoint out; one that takes goals is told where the goal is."""
    policy = checkpoint.load(run).eval()
    envs = [TwoWayEnv(cameras=False) for _ in range(BATCH)]
    sides, successes, paths = [], [], []
    for i in range(0, len(seeds), BATCH):
        group = seeds[i : i + BATCH]
        for env, episode in zip(envs, rollout(policy, envs, group, goals=_goals(policy, len(group))), strict=False):
            sides.append(env.side or "none")
            successes.append(episode.success)
            paths.append(np.round(env.path, 4).tolist())
    training = read_metrics(run)
    return Outcome(name, training[-1]["step"], training[-1]["seconds"], sides, successes, paths)


def _goals(policy: Policy, count: int) -> list[dict[str, np.ndarray]] | None:
    if not policy.takes_goal:
        return None
    return [{"position": np.tile(GOAL_M, (policy.spec.goal, 1)).astype(np.float32)}] * count


def draw(outcomes: list[Outcome], path: Path) -> None:
    """One panel for each policy: all paths, coloured by side; failures end with a cross."""
    from matplotlib.figure import Figure
    from matplotlib.patches import Circle

    figure = Figure(figsize=(3.1 * len(outcomes), 3.6), layout="constrained")
    for axis, outcome in zip(figure.subplots(1, len(outcomes), squeeze=False)[0], outcomes, strict=True):
        axis.add_patch(Circle(tuple(OBSTACLE_M), RADIUS_M, color="0.75"))
        axis.add_patch(Circle(tuple(GOAL_M), REACHED_M, color="tab:green"))
        for side, success, points in zip(outcome.sides, outcome.successes, outcome.paths, strict=True):
            x, y = np.array(points).T
            axis.plot(x, y, color=COLOURS[side], alpha=0.35, linewidth=0.8)
            if not success:
                axis.plot(x[-1], y[-1], "x", color="tab:red", markersize=4)
        won, left, right = sum(outcome.successes), outcome.count("left"), outcome.count("right")
        axis.set_title(f"{outcome.policy}\n{won} of {len(outcome.sides)}: {left} left, {right} right", fontsize=9)
        axis.set(xlim=(-0.35, 0.35), ylim=(-HALF_M, HALF_M), aspect="equal", xticks=[], yticks=[])
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=110)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--policies", nargs="+", default=list(POLICIES), help="presets, all from state")
    parser.add_argument("--minutes", type=float, default=2.0, help="of training for each policy")
    parser.add_argument("--steps", type=int, help="train for so many steps instead, which is the same on each machine")
    parser.add_argument("--demonstrations", type=int, default=100)
    parser.add_argument("--episodes", type=int, default=100, help="unseen seeds")
    parser.add_argument("--seed", type=int, default=0, help="of the training")
    parser.add_argument("--output", type=Path, default=Path("outputs/multimodality"))
    parser.add_argument("--picture", type=Path, help="where to draw all paths")
    options = parser.parse_args()
    torch.set_num_threads(1)
    output = prepare_folder(options.output)
    for name in options.policies:
        presets.preset(name)
    store = output / "demonstrations"
    collect(CollectConfig("two_way", store, episodes=options.demonstrations, cameras=False))
    seeds = range(TRAINING_SEEDS_END, TRAINING_SEEDS_END + options.episodes)

    outcomes = []
    for name in options.policies:
        run = trained(name, store, output / name, options.minutes, options.steps, options.seed)
        outcomes.append(evaluated(name, run, seeds))
        write_json(output / f"{name}.json", vars(outcomes[-1]))
    if options.picture:
        draw(outcomes, options.picture)

    print(f"{'policy':<30}{'steps':>8}{'training [s]':>14}{'left':>6}{'right':>7}{'failed':>8}  success")
    right_ones = 0
    for o in outcomes:
        won = sum(o.successes)
        interval = wilson(won, len(o.sides)).percent()
        counts = f"{o.count('left'):>6}{o.count('right'):>7}{len(o.sides) - won:>8}"
        print(f"{o.policy:<30}{o.steps:>8}{o.seconds:>14.0f}{counts}  {interval}")
        right_ones += o.two_ways != o.policy.startswith("mse")
    met = right_ones == len(outcomes)
    both = ", ".join(o.policy for o in outcomes if o.two_ways) or "none"
    print(f"both ways, each in at least {RARER_MIN:.0%} of successes: {both}; {'met' if met else 'MISSED'}")
    return 0 if met else 1


if __name__ == "__main__":
    try:
        sys.exit(main())
    except UserError as error:
        sys.exit(f"error: {error}")
