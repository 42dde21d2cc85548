"""Evaluates a checkpoint on unseen seeds, and a second one on the same seeds for comparison."""

from __future__ import annotations

import os
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, Literal

import tyro

from robot_learning.errors import ConfigError, UserError
from robot_learning.evaluation.statistics import Interval, bootstrap_mean, compare, wilson
from robot_learning.policies.sampling import Sampling
from robot_learning.sim.seeds import TRAINING_SEEDS_END


@dataclass(frozen=True)
class EvaluateConfig:
    """Roll a policy out in a simulated task; success with its 95 % interval, as JSON and as a page.

    Attributes:
        checkpoint: Folder of the checkpoint.
        env: Name of the simulated task, such as panda/lift.
        episodes: How many seeds.
        first_seed: The first of them; demonstrations use seeds from 0.
        workers: Processes, with one torch thread each.
        batch: Episodes that a worker predicts for together.
        against: A second checkpoint, run on the same seeds and compared pairwise; it samples as its training said.
        videos: How many rollouts to show in the page, half of them failures where there are any.
        output: Folder for report.json and report.html.
        device: Where the policy runs.
        allow_training_seeds: Allow seeds below 100000, which demonstrations use.
        goals: Store whose recordings' ends are the goals, of which each seed draws one; for policies with goals.
        sampling: How --checkpoint draws its chunks.
    """

    checkpoint: Path
    env: str
    episodes: int = 100
    first_seed: int = TRAINING_SEEDS_END
    workers: int = field(default_factory=lambda: len(os.sched_getaffinity(0)))
    batch: int = 8
    against: Path | None = None
    videos: int = 4
    output: Path = Path("outputs/evaluate")
    device: Literal["cpu", "cuda"] = "cpu"
    allow_training_seeds: bool = False
    goals: Path | None = None
    sampling: Annotated[Sampling, tyro.conf.arg(name="")] = field(default_factory=Sampling)

    def __post_init__(self) -> None:
        for name in ("episodes", "workers", "batch"):
            if getattr(self, name) < 1:
                raise ConfigError(f"--{name} must be at least 1; got {getattr(self, name)}.")
        if self.videos < 0:
            raise ConfigError(f"--videos must be 0 or more; got {self.videos}.")
        if self.first_seed < TRAINING_SEEDS_END and not self.allow_training_seeds:
            raise ConfigError(
                f"seed {self.first_seed} may have been used by training demonstrations, whose seeds begin at 0; "
                f"give --first-seed {TRAINING_SEEDS_END} or more, or --allow-training-seeds."
            )

    @property
    def seeds(self) -> range:
        """All of them."""
        return range(self.first_seed, self.first_seed + self.episodes)


@dataclass(frozen=True)
class Subject:
    """What is evaluated.

    Attributes:
        checkpoint: its folder.
        record: its `checkpoint.json`.
        task: what is to be done, as one would tell a person.
        sampling: how it is to sample otherwise than the record says.
        goals: the store of goals, where the policy takes any.
    """

    checkpoint: Path
    record: dict[str, Any]
    task: str
    sampling: Sampling = field(default_factory=Sampling)
    goals: str | None = None

    def of(self, config: EvaluateConfig) -> Any:
        """What its workers need to know."""
        from robot_learning.evaluation.workers import Task

        return Task(str(self.checkpoint), config.env, config.device, self.sampling, self.goals)


@dataclass(frozen=True)
class Result:
    """What one checkpoint did.

    Attributes:
        episodes: `rollout.Episode`s in the order of their seeds.
        seconds: wall-clock time of the rollouts [s].
        stopped: the reason for which not all seeds were run, or None.
        name: what to call it beside another; empty: its checkpoint.
    """

    subject: Subject
    episodes: list[Any]
    seconds: float
    stopped: BaseException | None = None
    name: str = ""

    @property
    def success(self) -> Interval:
        """Success rate with Wilson's interval."""
        return wilson(sum(e.success for e in self.episodes), len(self.episodes))

    @property
    def score(self) -> Interval:
        """Mean score with its bootstrap interval."""
        return bootstrap_mean([e.score for e in self.episodes])

    def by_seed(self) -> dict[int, tuple[bool, float]]:
        """Success and score of each seed."""
        return {e.seed: (e.success, e.score) for e in self.episodes}


def evaluate(config: EvaluateConfig) -> dict[str, Any]:
    """Run the evaluation, write `report.json` and `report.html`, and return the report.

    Stopped by Ctrl-C or by a worker's end, it writes what it has, marked as partial, and then raises.

    Raises:
        UserError: a name, checkpoint or folder that can't be used, or a contract that doesn't fit.
    """
    from robot_learning.evaluation.report import write_report
    from robot_learning.output import prepare_folder
    from robot_learning.sim.registry import require

    prepare_folder(config.output)
    require(config.env)
    subjects = [subject(config.checkpoint, config, config.sampling)]
    subjects += [subject(config.against, config)] if config.against else []
    if config.goals and not any(s.goals for s in subjects):
        raise ConfigError("--goals are for a policy that was trained with them (beso, --config.goal 1); leave it out.")
    results = []
    for one in subjects:
        results.append(_run(one, config))
        if results[-1].stopped:
            break
    first, *rest = results
    stopped = results[-1].stopped
    if stopped and not first.episodes:
        raise stopped
    second = rest[0] if rest and rest[0].episodes else None
    paired = compare(first.by_seed(), second.by_seed()) if second else None
    films = [] if stopped else _film(first, config)
    report = write_report(config, first, second, paired, films)
    if isinstance(stopped, UserError):
        raise type(stopped)(f"{stopped} What was done is in {config.output / 'report.html'}.")
    if stopped:
        raise stopped
    return report


def subject(path: Path, config: EvaluateConfig, sampling: Sampling | None = None) -> Subject:
    """Find the checkpoint and see that it fits the task, before any worker starts."""
    from robot_learning.contract import Contract
    from robot_learning.data.store import Store
    from robot_learning.policies import checkpoint, registry
    from robot_learning.policies.goals import recordings
    from robot_learning.sim.registry import make

    folder, sampling = checkpoint.find(path), sampling or Sampling()
    record = checkpoint.describe(folder)
    if sampling.changes():
        sampling.applied(registry.parse_config(record["policy"], record["config"]))
    if caution := sampling.caution(record["config"]):
        print(f"caution: {caution}")
    goals = str(config.goals) if config.goals and record["config"].get("goal") else None
    if goals:
        recordings(Store.open(goals))
    env = make(config.env, cameras=False)
    try:
        used = (*record["view"]["observations"], *record["view"]["actions"])
        contract = Contract.model_validate(record["contract"])
        contract.require_match(env.contract, f"the checkpoint {folder}", f"environment {config.env}", used)
        return Subject(folder, record, env.task, sampling, goals)
    finally:
        env.close()


def _run(subject: Subject, config: EvaluateConfig) -> Result:
    """All seeds of one checkpoint, with a progress bar."""
    from tqdm import tqdm

    from robot_learning.evaluation.workers import groups, roll_all

    began, stopped = time.monotonic(), None
    episodes: list[Any] = []
    task = subject.of(config)
    with tqdm(total=config.episodes, desc=f"{config.env} {subject.checkpoint.name}", unit="episode") as bar:
        try:
            for done in roll_all(task, groups(config.seeds, config.batch), config.workers):
                episodes.extend(done)
                bar.set_postfix_str(f"success {sum(e.success for e in episodes)}/{len(episodes)}", refresh=False)
                bar.update(len(done))
        except (KeyboardInterrupt, UserError) as reason:
            stopped = reason
    episodes.sort(key=lambda e: e.seed)
    return Result(subject, episodes, time.monotonic() - began, stopped)


def _film(result: Result, config: EvaluateConfig) -> list[Any]:
    """Some episodes again, with pictures; their groups run whole, so that they go as before."""
    from robot_learning.evaluation.workers import groups, roll_all

    failures = [e.seed for e in result.episodes if not e.success]
    successes = [e.seed for e in result.episodes if e.success]
    shown = failures[: max(config.videos // 2, config.videos - len(successes))]
    shown += successes[: config.videos - len(shown)]
    work = [group for group in groups(config.seeds, config.batch) if set(group) & set(shown)]
    task = result.subject.of(config)
    filmed = [e for done in roll_all(task, work, config.workers, shown) for e in done if e.seed in shown]
    return sorted(filmed, key=lambda e: (e.success, e.seed))
