"""From a store to what the loop needs: a cache, held-out episodes, a view, a normaliser, a fresh policy."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass

import numpy as np
import torch

from robot_learning.contract import Contract
from robot_learning.data.cache import TrainingCache, Windows
from robot_learning.data.store import Episode, Store
from robot_learning.errors import ConfigError, StoreError
from robot_learning.policies import presets
from robot_learning.policies.encode import Encoding
from robot_learning.policies.normalizer import Normalizer
from robot_learning.policies.relative import Relative
from robot_learning.policies.view import View, choose_observations
from robot_learning.training.config import TrainConfig

WINDOWS_AT_ONCE = 4096


@dataclass(frozen=True)
class Dataset:
    """What a run trains and validates on.

    Attributes:
        windows, usable: training windows and the numbers of those without a missing action.
        val_windows, val_usable: the same of the held-out episodes; None where none are held out.
        train_ids, val_ids: episode ids.
    """

    cache: TrainingCache
    view: View
    normalizer: Normalizer
    windows: Windows
    usable: np.ndarray
    val_windows: Windows | None
    val_usable: np.ndarray | None
    train_ids: tuple[str, ...]
    val_ids: tuple[str, ...]


def choose_episodes(store: Store, config: TrainConfig) -> list[str]:
    """Ids of the episodes to use.

    Raises:
        StoreError: none is left.
    """
    if config.episodes:
        chosen = list(config.episodes)
    else:
        everything = store.episodes()
        chosen = [e.id for e in everything if config.include_failures or e.metadata.get("outcome") != "failure"]
        if not everything:
            raise StoreError(f"the store {store.path} holds no sealed episodes; collect or import some first.")
        if not chosen:
            raise StoreError(
                f"all {len(everything)} episodes of the store {store.path} are failures; "
                "collect successful ones, or imitate these with --include-failures."
            )
    return chosen[: config.max_episodes]


def choose_view(contract: Contract, config: TrainConfig) -> View:
    """The features and windows of a run."""
    images = presets.preset(config.policy).images
    observations = choose_observations(contract, config.observations, images)
    learns = config.config.learns_actions
    actions = tuple(f.name for f in contract.actions) if learns else ()
    if learns and not actions:
        raise ConfigError(f"the contract of '{contract.rig}' has no action feature to learn.")
    vision = getattr(config.config, "vision", None)
    size = vision.image_size if images and vision else None
    spec = config.config.spec
    seen_later = config.config.future_images  # whether images, else vectors, are what the future is of
    future = tuple(name for name in observations if contract.spec_of(name).is_image == seen_later)
    return View(
        observations,
        actions,
        spec,
        size,
        futures=future if spec.future else (),
        goals=observations if spec.goal else (),
    )


def family(episode: Episode) -> Hashable:
    """What an episode has in common with its mirror image alone: to learn from one is to know the other."""
    made = episode.metadata.get("provenance") or {}
    original = made.get("mirror_image_of", made.get("source_episode"))
    return episode.id if original is None else (made.get("source"), original)


def split(families: Sequence[Hashable], fraction: float, seed: int) -> tuple[list[int], list[int]]:
    """Numbers of the episodes to train on and to hold out, by families: at least one of each, if there are two."""
    known = list(dict.fromkeys(families))
    count = len(known)
    held_out = min(max(1, round(count * fraction)), count - 1) if fraction else 0
    order = np.random.default_rng((seed, count)).permutation(count)
    away = {known[i] for i in order[:held_out]}
    numbers = range(len(families))
    return [i for i in numbers if families[i] not in away], [i for i in numbers if families[i] in away]


def prepare(config: TrainConfig, progress: bool = True) -> Dataset:
    """Build or open the cache and everything that depends on the data."""
    store = Store.open(config.store)
    ids = choose_episodes(store, config)
    view = choose_view(store.episode(ids[0]).contract, config)
    cache = TrainingCache.build(store, view.features, view.image_size, config.cache, ids, progress)
    families = [family(store.episode(name)) for name in cache.episode_ids]
    train, held_out = split(families, config.val_fraction, config.seed)
    windows = _windows(cache, view, train)
    val_windows = _windows(cache, view, held_out) if held_out else None
    return Dataset(
        cache=cache,
        view=view,
        normalizer=fit_normalizer(cache, view, config, train),
        windows=windows,
        usable=_usable(windows, cache),
        val_windows=val_windows,
        val_usable=_usable(val_windows, cache) if val_windows else None,
        train_ids=tuple(cache.episode_ids[e] for e in train),
        val_ids=tuple(cache.episode_ids[e] for e in held_out),
    )


def _windows(cache: TrainingCache, view: View, episodes: Sequence[int]) -> Windows:
    return Windows(cache, view.spec, view.observations, view.actions, episodes, view.futures, view.goals)


def fit_normalizer(cache: TrainingCache, view: View, config: TrainConfig, episodes: Sequence[int]) -> Normalizer:
    """Statistics of the vectors over the valid rows of `episodes`; of relative actions, over windows."""
    vectors = view.vectors(cache.contract)
    for name in config.config.normalization:
        if name not in vectors:
            raise ConfigError(f"normalization names '{name}', which is not among the vectors used: {sorted(vectors)}.")
    rows = np.zeros(len(cache), bool)
    starts = np.concatenate([[0], cache.episode_ends[:-1]])
    for e in episodes:
        rows[starts[e] : cache.episode_ends[e]] = True
    encodings = {name: Encoding(name, cache.contract.spec_of(name)) for name in vectors}
    values = {
        name: e.encode(torch.from_numpy(np.array(cache.arrays[name][rows & cache.valid[name]]))).numpy()
        for name, e in encodings.items()
    }
    relative = Relative(cache.contract, view, config.config.relative)
    values |= {name: _relative_values(cache, view, relative, name, episodes) for name in relative.references}
    rotational = {name: e.rotational.numpy() for name, e in encodings.items()}
    return Normalizer.fit(values, rotational, config.config.normalization, config.config.default_method)


def _relative_values(
    cache: TrainingCache, view: View, relative: Relative, name: str, episodes: Sequence[int]
) -> np.ndarray:
    """(N, dim) encoded relative values of an action, of all real steps of all windows of `episodes`."""
    seen = tuple(dict.fromkeys(r.observation for r in relative.references[name]))
    windows = Windows(cache, view.spec, seen, (name,), episodes, futures=(), goals=())
    encoding = Encoding(name, cache.contract.spec_of(name))
    found = []
    for some in np.array_split(np.arange(len(windows)), -(-len(windows) // WINDOWS_AT_ONCE)):
        batch = windows.batch(some)
        observation = {n: torch.from_numpy(x) for n, x in batch["observation"].items()}
        encoded = relative.subtract(name, encoding.encode(torch.from_numpy(batch["action"])), observation)
        found.append(encoded.numpy()[batch["mask"]])
    return np.concatenate(found)


def _usable(windows: Windows, cache: TrainingCache) -> np.ndarray:
    """Numbers of the windows in which every action was recorded; those past an episode's ends are repeats.

    Raises:
        StoreError: there is none.
    """
    recorded = np.logical_and.reduce([np.ones(len(cache), bool), *(cache.valid[name] for name in windows.actions)])
    rows = windows.rows[:, None] + windows.spec.first_action + np.arange(windows.spec.Tp)
    inside = np.clip(rows, windows.first[:, None], windows.last[:, None])
    usable = np.flatnonzero(recorded[inside].all(1))
    if not len(usable):
        raise StoreError(
            "every window has an action that was not recorded; "
            "'robot-learning data check' says which samples are missing."
        )
    return usable
