"""Rollouts in several processes: each has its own policy, environments and one torch thread.

Seeds are cut into fixed groups before anything runs, and a group is rolled out together by one
worker. So the result depends on the group size (to the rounding of a matrix product) but not on
the number of workers or on which of them was quicker.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cache

from robot_learning.data.store import Episode as Recording
from robot_learning.data.store import Store
from robot_learning.evaluation.rollout import Episode, rollout
from robot_learning.policies import checkpoint
from robot_learning.policies.goals import Goal, choose, goal_at_end, recordings
from robot_learning.policies.sampling import Sampling
from robot_learning.pool import Stop, Work, share_out
from robot_learning.sim.base import SimEnv
from robot_learning.sim.registry import make


@dataclass(frozen=True)
class Task:
    """What every worker needs to know.

    Attributes:
        checkpoint: its folder.
        env: name of the simulated task.
        device: torch device of the policy.
        sampling: how it is to sample otherwise than the checkpoint says.
        goals: the store whose recordings' ends are the goals, one for each seed; None: nothing is said.
    """

    checkpoint: str
    env: str
    device: str = "cpu"
    sampling: Sampling = field(default_factory=Sampling)
    goals: str | None = None


def groups(seeds: Sequence[int], size: int) -> list[tuple[int, ...]]:
    """Consecutive seeds in groups of `size`, the last one perhaps smaller."""
    return [tuple(seeds[i : i + size]) for i in range(0, len(seeds), size)]


def roll_all(
    task: Task, work: Sequence[Sequence[int]], workers: int, film: Collection[int] = ()
) -> Iterator[list[Episode]]:
    """Roll out groups of seeds, yielding each group's episodes as it is done, in any order.

    Args:
        film: seeds whose episodes keep their frames.

    Raises:
        UserError: of a worker, as it would be here; or a worker was killed.
    """
    return share_out(_rolling, (task, tuple(film)), work, workers, patience_s=0.0)


@contextmanager
def _rolling(task: Task, film: Collection[int]) -> Iterator[Work]:
    """A policy and environments that are kept from group to group."""
    import torch

    torch.set_num_threads(1)
    policy = task.sampling.of(checkpoint.load(task.checkpoint, device=task.device))
    units = {policy.contract.spec_of(name).unit for name in policy.observations}
    cameras = bool(units & {"rgb", "depth_mm"})
    envs: list[SimEnv] = []
    ends = recordings(Store.open(task.goals)) if task.goals is not None else None

    @cache  # seeds share recordings, and images take time to decode
    def goal(recording: Recording) -> Goal:
        return goal_at_end(policy, recording)

    def roll(seeds: Sequence[int], stop: Stop) -> list[Episode]:
        while len(envs) < len(seeds):
            envs.append(make(task.env, cameras=cameras))
        goals = [goal(choose(ends, seed)) for seed in seeds] if ends is not None else None
        return rollout(policy, envs, seeds, film, goals)

    try:
        yield roll
    finally:
        for env in envs:
            env.close()
