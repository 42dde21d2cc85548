"""Collects demonstrations of a simulated task into a store, with one or several processes."""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from robot_learning.errors import ConfigError
from robot_learning.sim.seeds import TRAINING_SEEDS_END

if TYPE_CHECKING:
    from robot_learning.data.store import Store
    from robot_learning.sim.recording import Demonstration, Job

_PATIENCE_S = 10.0  # for a worker to throw its open episode away


@dataclass(frozen=True)
class CollectConfig:
    """Record demonstrations of a simulated task, by its scripted expert or by a policy.

    Stopped in any way, the same command goes on: seeds that the store has already are not recorded again.

    Attributes:
        env: Name of the simulated task, such as panda/lift.
        store: Folder of the store; made if there is none.
        episodes: How many seeds, one episode each.
        seed: The first of them; evaluation uses seeds from 100000.
        policy: Checkpoint of a policy that acts, in place of the scripted expert.
        cameras: Record images and depth, too; without them it is many times faster.
        only_successes: Throw failed episodes away; then there may be fewer than --episodes.
        workers: Processes that simulate.
    """

    env: str
    store: Path
    episodes: int = 50
    seed: int = 0
    policy: Path | None = None
    cameras: bool = True
    only_successes: bool = False
    workers: int = 1

    def __post_init__(self) -> None:
        for name in ("episodes", "workers"):
            if getattr(self, name) < 1:
                raise ConfigError(f"--{name} must be at least 1; got {getattr(self, name)}.")
        if not 0 <= self.seed <= TRAINING_SEEDS_END - self.episodes:
            raise ConfigError(
                f"demonstrations use seeds 0 to {TRAINING_SEEDS_END - 1}, evaluation those above; --seed {self.seed} "
                f"with --episodes {self.episodes} leaves that range."
            )

    @property
    def seeds(self) -> range:
        """All of them."""
        return range(self.seed, self.seed + self.episodes)


@dataclass(frozen=True)
class Collected:
    """What a call of :func:`collect` did.

    Attributes:
        present: seeds that the store had before.
        new: what became of the others, in the order of their seeds.
        seconds: wall-clock time [s].
        interrupted: whether Ctrl-C ended it.
    """

    present: int
    new: tuple[Demonstration, ...]
    seconds: float
    interrupted: bool


def collect(config: CollectConfig) -> Collected:
    """Record what is missing of the wanted seeds, with a progress bar.

    Stopped by Ctrl-C, it throws the open episodes away and returns what was sealed.

    Raises:
        UserError: a name, checkpoint or folder that can't be used, a full disk.
    """
    from tqdm import tqdm

    from robot_learning.data.store import Store
    from robot_learning.pool import share_out
    from robot_learning.sim.recording import demonstrating

    job = _job(config)
    present = _present(Store.open_or_create(config.store), job) & set(config.seeds)
    missing = [seed for seed in config.seeds if seed not in present]
    new: list[Demonstration] = []
    began, interrupted = time.monotonic(), False
    with tqdm(total=config.episodes, initial=len(present), desc=config.env, unit="episode") as bar:
        try:
            for done in share_out(demonstrating, (job,), missing, config.workers, _PATIENCE_S):
                new.append(done)
                bar.set_postfix_str(f"success {sum(d.success for d in new)}/{len(new)}", refresh=False)
                bar.update()
        except KeyboardInterrupt:
            interrupted = True
    new.sort(key=lambda d: d.seed)
    return Collected(len(present), tuple(new), time.monotonic() - began, interrupted)


def _job(config: CollectConfig) -> Job:
    """See early, before a store is made or a worker starts, that task and checkpoint exist."""
    from robot_learning.provenance import provenance
    from robot_learning.sim.recording import Job
    from robot_learning.sim.registry import require

    require(config.env)
    checkpoint = None
    if config.policy:
        from robot_learning.policies import checkpoint as checkpoints

        checkpoint = str(checkpoints.find(config.policy))
    return Job(config.env, config.store, checkpoint, config.cameras, config.only_successes, provenance())


def _present(store: Store, job: Job) -> set[int]:
    """Seeds that the store has of this job. What recovery saved has no outcome and is recorded anew."""
    seeds = set()
    for episode in store.episodes(include_deleted=True):
        about: dict[str, Any] = episode.metadata
        origin = about["provenance"]
        same = (origin.get("env"), about["operator"], origin.get("cameras")) == (job.env, job.operator, job.cameras)
        if same and about["outcome"] is not None:
            seeds.add(origin["seed"])
    return seeds
