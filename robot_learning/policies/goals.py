"""Goals out of recordings: what a policy that was trained with goals is told to reach."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from robot_learning.data.images import resize
from robot_learning.data.store import Episode, Store
from robot_learning.data.windows import grid, observe
from robot_learning.errors import StoreError, UserError, unknown_name
from robot_learning.policies.base import Policy

Goal = dict[str, np.ndarray]  # goal feature to (G, *shape)


def goal_at(policy: Policy, episode: Episode, stamp_ns: int) -> Goal:
    """The G observations of a recording that end at `stamp_ns`, images at the policy's resolution.

    Raises:
        UserError: the policy takes no goal.
        ContractMismatch: the recording's features are not those that the policy knows.
        StaleObservation: the recording lacks one of them there.
    """
    _require_goals(policy)
    view = policy.view
    policy.contract.require_match(episode.contract, "the policy", f"recording {episode.id}", view.goals)
    goal = observe(episode.contract, episode.streams, stamp_ns, view.spec.goal, view.goals)
    for name in view.images(episode.contract):
        if name in goal:
            goal[name] = resize(goal[name], view.image_size)
    return goal


def goal_at_end(policy: Policy, episode: Episode) -> Goal:
    """What a recording ended with; raises as `goal_at`."""
    _require_goals(policy)
    view = policy.view
    known = [f.name for f in episode.contract.features]
    acted = [name for name in view.actions if name in known]  # its grid ends with the last action, as in training
    times = grid(episode.contract, episode.streams, (*view.goals, *acted))
    if not len(times):
        raise StoreError(f"recording {episode.id} is too short to end with a goal; choose another.")
    return goal_at(policy, episode, int(times[-1]))


def recordings(store: Store) -> list[Episode]:
    """The recordings of a store that may be goals: all but failures, in the order of their ids.

    Raises:
        StoreError: there is none.
    """
    found = [e for e in store.episodes() if e.metadata.get("outcome") != "failure"]
    if not found:
        raise StoreError(f"the store {store.path} holds no recording whose end could be a goal; record one.")
    return found


def choose(episodes: Sequence[Episode], seed: int) -> Episode:
    """One of them, the same for a seed whoever asks."""
    return episodes[int(np.random.default_rng(seed).integers(len(episodes)))]


def recording(path: Path, episode_id: str) -> Episode:
    """A recording by its id, or, where that is empty, the newest one; raises UnknownName or StoreError."""
    episodes = recordings(Store.open(path))
    if not episode_id:
        return episodes[-1]
    by_id = {e.id: e for e in episodes}
    if episode_id not in by_id:
        raise unknown_name("recording to take a goal from", episode_id, by_id)
    return by_id[episode_id]


def _require_goals(policy: Policy) -> None:
    if not policy.takes_goal:
        raise UserError(
            f"policy '{policy.config.policy}' takes no goal; choose one that does: beso, trained with --config.goal 1."
        )
