"""How often a policy reaches goals out of recordings that it never saw: each goal from a start of its own."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import numpy as np

from robot_learning.data.store import Store
from robot_learning.errors import UserError
from robot_learning.evaluation.rollout import Episode, rollout
from robot_learning.policies.base import Policy
from robot_learning.policies.goals import Goal, goal_at
from robot_learning.sim.base import SimEnv
from robot_learning.sim.play import Completion, completions


def found(store: Store) -> dict[str, list[Completion]]:
    """All completions in a store's recordings, by sub-task; recordings whose outcome is "failure" are left out."""
    by_name: dict[str, list[Completion]] = {}
    for episode in store.episodes():
        if episode.metadata.get("outcome") != "failure":
            for completion in completions(episode):
                by_name.setdefault(completion.sub_task, []).append(completion)
    return by_name


def goals_for(
    policy: Policy, store: Store, chosen: Sequence[Completion], seeds: Sequence[int], seed: int
) -> list[Goal]:
    """A goal for each seed out of `chosen`, in an order that `seed` decides; none comes twice before each came once.

    Raises:
        UserError: `chosen` is empty.
    """
    if not chosen:
        raise UserError(f"the recordings in {store.path} hold no completion of this sub-task; record more of them.")
    rng = np.random.default_rng(seed)
    order = [i for _ in range(-(-len(seeds) // len(chosen))) for i in rng.permutation(len(chosen))]
    read = {
        i: goal_at(policy, store.episode(chosen[i].episode), chosen[i].stamp_ns)
        for i in sorted(set(order[: len(seeds)]))
    }
    return [read[i] for i in order[: len(seeds)]]


def reach(
    policy: Policy, envs: Sequence[SimEnv], seeds: Sequence[int], goals: Sequence[Mapping[str, np.ndarray]] | None
) -> Iterator[Episode]:
    """Roll out each seed with its goal, as many at once as there are environments.

    Args:
        goals: one for each seed; None: say nothing, to see what comes about by itself.

    Raises:
        ContractMismatch: before the first step, where policy and environment don't fit.
    """
    for i in range(0, len(seeds), len(envs)):
        here = slice(i, i + len(envs))
        yield from rollout(policy, envs, seeds[here], goals=goals[here] if goals is not None else None)
