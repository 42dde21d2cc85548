"""What a probe reads: windows of a store, as a policy's representations and as the state now and later."""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from robot_learning.errors import StoreError, UserError, unknown_name

if TYPE_CHECKING:
    from torch import Tensor

    from robot_learning.data.cache import TrainingCache
    from robot_learning.policies.base import Policy

OBSERVATION = "observation"
HELD_OUT = 0.2  # of the episodes, where the run's own split can't be had
PIXELS = 8  # side of an image in `observation`
BATCH = 64


@dataclass(frozen=True)
class Sample:
    """N windows, as a probe sees them.

    Attributes:
        inputs: name to (N, T, d): T = 1, the same for each step ahead, or an input of its own for each.
        present: (N, D) normalised state now; future: (N, F, D) 1 to F steps later.
        real: (N, F) bool; False after an episode's end and where the state was not recorded.
        episode: (N,) which episode each is of.
    """

    inputs: Mapping[str, np.ndarray]
    present: np.ndarray
    future: np.ndarray
    real: np.ndarray
    episode: np.ndarray


def choose_episodes(
    there: Mapping[str, Hashable], training: Mapping[str, Any], named: tuple[str, ...], seed: int
) -> tuple[tuple[str, ...], tuple[str, ...], str]:
    """Ids of the episodes to fit to and to judge on, and where this split comes from.

    Args:
        there: ids in the store, and each one's family, of which no part is judged on where another is fitted to.
        training: what the checkpoint says of its run.
        named: those to use; empty: all.
        seed: of a split of our own.
    """
    from robot_learning.training.dataset import split  # imports torch

    for name in named:
        if name not in there:
            raise unknown_name("episode", name, list(there))
    wanted = [i for i in there if i in named or not named]
    fitted, held_out = (
        tuple(i for i in wanted if i in training.get(key, ())) for key in ("train_episodes", "val_episodes")
    )
    if len(fitted) > 1 and held_out:
        return fitted, held_out, "the run's own: judged on episodes that it held out"
    families = [there[i] for i in wanted]
    if (count := len(set(families))) < 3:
        raise StoreError(
            f"the probe needs 3 episodes or more, mirror images aside, to fit to and to judge on; got {count}."
        )
    train, val = split(families, HELD_OUT, seed)
    seen = {there.get(i) for i in training.get("train_episodes", ())} & {families[i] for i in val}
    why = "some of which the policy was trained on" if seen else "none of which the policy was trained on"
    told = f"not the run's own, which is not to be had here: judged on {len(val)} episodes drawn by the seed, {why}"
    return tuple(wanted[i] for i in train), tuple(wanted[i] for i in val), told


def state_features(policy: Policy) -> dict[str, slice]:
    """The vectors among what the policy observes, and where each is in the normalised state."""
    from robot_learning.policies.encode import Encoding

    vectors = [n for n in policy.observations if n in policy.view.vectors(policy.contract)]
    if not vectors:
        raise UserError("the policy observes images only; a probe predicts the state, so it needs a vector among them.")
    ends = np.cumsum([Encoding(n, policy.contract.spec_of(n)).dim for n in vectors]).tolist()
    return {n: slice(a, b) for n, a, b in zip(vectors, [0, *ends[:-1]], ends, strict=True)}


def sample(
    policies: Mapping[str, Policy], cache: TrainingCache, ids: tuple[str, ...], horizon: int, limit: int, seed: int
) -> Sample:
    """At most `limit` windows of episodes, drawn at random, and what policies (their names' prefixes) make of them."""
    import torch

    from robot_learning.data.cache import Windows
    from robot_learning.policies.features import FeatureVector
    from robot_learning.training.order import to_tensors

    policy = next(iter(policies.values()))
    features = state_features(policy)
    state = FeatureVector(policy.contract, list(features), policy.normalizer)
    spec = replace(policy.spec, future=horizon, goal=0)
    episodes = [cache.episode_ids.index(i) for i in ids]
    windows = Windows(cache, spec, policy.observations, policy.actions, episodes, tuple(features), ())
    chosen = np.random.default_rng(seed).permutation(len(windows.rows))[:limit]
    rows = windows.rows[chosen]
    recorded = np.logical_and.reduce([cache.valid[name] for name in features])
    later = np.minimum(rows[:, None] + np.arange(1, horizon + 1), windows.last[chosen, None])
    parts: dict[str, list[np.ndarray]] = {}
    with torch.inference_mode():
        for start in range(0, len(chosen), BATCH):
            batch = to_tensors(windows.batch(chosen[start : start + BATCH]), policy.device)
            seen = batch["observation"]
            now = {n: seen[n] for n in features}
            made = {"present": state(now)[:, -1], "future": state(batch["future"]), "real": batch["future_mask"]}
            for prefix, each in policies.items():
                made |= {f"in {prefix}{n}": z[:, :horizon] for n, z in each.representations(seen).items()}  # type: ignore[operator]
            made[f"in {OBSERVATION}"] = _plain(state(now), seen, policy)
            for name, value in made.items():
                parts.setdefault(name, []).append(value.cpu().numpy())
    whole = {name: np.concatenate(value) for name, value in parts.items()}
    return Sample(
        inputs={n.removeprefix("in "): v.astype(np.float64) for n, v in whole.items() if n.startswith("in ")},
        present=whole["present"].astype(np.float64),
        future=whole["future"].astype(np.float64),
        real=whole["real"] & recorded[later],
        episode=np.searchsorted(cache.episode_ends, rows, side="right"),
    )


def _plain(state: Tensor, seen: Mapping[str, Tensor], policy: Policy) -> Tensor:
    """(B, 1, d): all that is observed, as it is; images shrunk."""
    import torch
    from torch.nn.functional import adaptive_avg_pool2d

    parts = [state.flatten(1)]
    for name in policy.observations:
        if policy.contract.spec_of(name).is_image:
            frames = seen[name].flatten(0, 1).movedim(-1, 1).to(state.dtype) / 255
            parts.append(adaptive_avg_pool2d(frames, PIXELS).unflatten(0, seen[name].shape[:2]).flatten(1))
    return torch.cat(parts, dim=1)[:, None]
