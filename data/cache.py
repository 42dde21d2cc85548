"""What training reads: an episode's features on the policy's grid, as plain memory-mapped arrays.

A cache is derived: its name is a hash of the snapshot, the contract and the view, it is built beside its final
place and renamed, and it can be deleted at any time. One value is stored per grid time; a window is a gather.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import shutil
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from tqdm import tqdm

from robot_learning.contract import Contract
from robot_learning.data.alignment import align
from robot_learning.data.images import resize, training_shape
from robot_learning.data.snapshot import snapshot_of
from robot_learning.data.store import Episode, Store
from robot_learning.data.windows import WindowSpec, grid
from robot_learning.errors import StoreError, UserError, unknown_name

FORMAT = 1
BLOCK = 256  # grid times whose images are in memory at once
ABANDONED_S = 24 * 3600.0  # a build that is older than this was killed


class TrainingCache:
    """A view of a store on the policy's grid, N grid times in E episodes.

    Attributes:
        contract: of the store.
        snapshot_hash: the exact data that it was built from.
        features: names, in the order asked for.
        image_size: (h, w) of images, None for their own.
        episode_ids: (E,) in order.
        episode_ends: (E,) int64; episode e has the rows `episode_ends[e - 1]` to `episode_ends[e] - 1`.
        times: (N,) int64 grid times [ns].
        arrays: feature to (N, *shape): images uint8, depth uint16 [mm], all else float32 in the contract's units.
        valid: feature to (N,) bool; where False the value is zero and stands for nothing.
    """

    def __init__(self, path: Path) -> None:
        try:
            view = json.loads((path / "view.json").read_text())
            self.contract = Contract.model_validate(view["contract"])
            self.snapshot_hash: str = view["snapshot"]
            self.features: tuple[str, ...] = tuple(view["features"])
            self.image_size = tuple(view["image_size"]) if view["image_size"] else None
            self.episode_ids: list[str] = view["episode_ids"]
            self.episode_ends = _load(path / "episode_ends.npy")
            self.times = _load(path / "times.npy")
            self.arrays = {name: _load(path / f"{i}_values.npy") for i, name in enumerate(self.features)}
            self.valid = {name: _load(path / f"{i}_valid.npy") for i, name in enumerate(self.features)}
        except (OSError, ValueError, KeyError) as error:
            raise StoreError(
                f"{path} is not a whole training cache ({error}); delete it, it will be built again."
            ) from None
        self.path = path

    def __len__(self) -> int:
        return len(self.times)

    @classmethod
    def build(
        cls,
        store: Store,
        features: Sequence[str],
        image_size: tuple[int, int] | None = None,
        root: Path | None = None,
        episodes: Sequence[str] | None = None,
        progress: bool = True,
    ) -> TrainingCache:
        """The cache of this view; built, or opened where it exists.

        Only the streams behind `features` are read: a view of low-dimensional features decodes no image.

        Args:
            root: folder of caches; default `cache/` inside the store.
            episodes: ids; default all that are not deleted.

        Raises:
            StoreError: no episodes; an episode lacks a feature; no space or no permission in `root`.
            ContractMismatch: episodes whose contracts differ in a feature.
            UnknownName: a feature or an episode that does not exist.
        """
        chosen = _choose(store, episodes)
        contract = chosen[0].contract
        for name in features:
            training_shape(contract.spec_of(name), image_size)
        for episode in chosen[1:]:
            contract.require_match(
                episode.contract, f"episode {chosen[0].id}", f"episode {episode.id}", features
            )  # fmt: skip
        key = {
            "format": FORMAT,
            "snapshot": snapshot_of(chosen).hash,
            "contract": contract.digest(),
            "features": list(features),
            "image_size": list(image_size) if image_size else None,
        }
        root = Path(root) if root is not None else store.path / "cache"
        path = root / hashlib.sha256(json.dumps(key, sort_keys=True).encode()).hexdigest()[:24]
        if path.exists():
            try:
                return cls(path)
            except StoreError:  # a power cut can leave a renamed folder without all of its content
                shutil.rmtree(path, ignore_errors=True)
        view = key | {"contract": contract.to_json(), "episode_ids": [e.id for e in chosen]}
        try:
            root.mkdir(parents=True, exist_ok=True)
            _sweep(root)
            building = Path(tempfile.mkdtemp(prefix=".building-", dir=root))
            try:
                _write(building, contract, chosen, view, progress)
                with contextlib.suppress(OSError):  # another process was quicker, with the same content
                    building.rename(path)
            finally:
                shutil.rmtree(building, ignore_errors=True)
        except OSError as error:
            raise StoreError(
                f"the training cache can't be written to {root}: {error.strerror or error}; "
                "make room there or give another folder for caches."
            ) from None
        return cls(path)


def _choose(store: Store, ids: Sequence[str] | None) -> list[Episode]:
    episodes = store.episodes()
    if ids is not None:
        known = {e.id: e for e in episodes}
        for i in ids:
            if i not in known:
                raise unknown_name("episode", i, known)
        episodes = [known[i] for i in sorted(set(ids))]
    if not episodes:
        raise StoreError(f"{store.path} has no sealed episodes to train on; collect or import some first.")
    return episodes


def _write(folder: Path, contract: Contract, episodes: list[Episode], view: dict[str, Any], progress: bool) -> None:
    features, size = view["features"], view["image_size"]
    grids = []
    for episode in episodes:
        try:
            grids.append(grid(contract, episode.streams, features))
        except StoreError as error:
            raise StoreError(f"episode {episode.id}: {error}") from None
    ends = np.cumsum([len(g) for g in grids])
    if not ends[-1]:
        raise StoreError("no episode is long enough for a single grid time; nothing to train on.")
    _save(folder / "times.npy", np.concatenate(grids))
    _save(folder / "episode_ends.npy", ends.astype(np.int64))

    shapes = {name: training_shape(contract.spec_of(name), size) for name in features}
    dtypes = {name: _dtype(contract.spec_of(name).unit) for name in features}
    need = int(ends[-1]) * sum(np.prod(shapes[n], dtype=np.int64) * dtypes[n].itemsize + 1 for n in features)
    if need > shutil.disk_usage(folder).free:
        raise OSError(f"it needs {need / 1e9:.1f} GB, {shutil.disk_usage(folder).free / 1e9:.1f} GB are free")
    bar = tqdm(
        total=len(features) * int(ends[-1]), desc="training cache", unit="step", disable=None if progress else True
    )
    with bar:
        for i, name in enumerate(features):
            feature, spec = contract.feature(name), contract.spec_of(name)
            shape, dtype = (int(ends[-1]), *shapes[name]), dtypes[name]
            valid = np.empty(int(ends[-1]), bool)
            row = 0
            # Written, not mapped: a full disk is then an error rather than a bus error.
            with open(folder / f"{i}_values.npy", "wb") as file:
                header = {"descr": np.lib.format.dtype_to_descr(dtype), "fortran_order": False, "shape": shape}
                np.lib.format.write_array_header_1_0(file, header)
                for episode, times in zip(episodes, grids, strict=True):
                    source = episode.streams[spec.name]
                    step = BLOCK if dtype != np.float32 else max(1, len(times))
                    for start in range(0, len(times), step):
                        aligned = align(feature, spec, source, times[start : start + step])
                        values = resize(aligned.values, size) if dtype != np.float32 else aligned.values
                        file.write(np.ascontiguousarray(values, dtype).data)
                        valid[row : row + len(values)] = aligned.valid
                        row += len(values)
                        bar.update(len(values))
                file.flush()
                os.fsync(file.fileno())
            _save(folder / f"{i}_valid.npy", valid)
    (folder / "view.json").write_text(json.dumps(view))


def _dtype(unit: str) -> np.dtype:
    return np.dtype({"rgb": np.uint8, "depth_mm": np.uint16}.get(unit, np.float32))


def _save(path: Path, array: np.ndarray) -> None:
    with open(path, "wb") as file:
        np.save(file, array, allow_pickle=False)
        file.flush()
        os.fsync(file.fileno())


def _load(path: Path) -> np.memmap:
    return np.load(path, mmap_mode="r", allow_pickle=False)


def _sweep(root: Path) -> None:
    """Remove what killed builds left."""
    for path in root.glob(".building-*"):
        with contextlib.suppress(OSError):
            if time.time() - path.stat().st_mtime > ABANDONED_S:
                shutil.rmtree(path, ignore_errors=True)


class Windows:
    """Windows of a cache: one for each grid time at which a policy could have observed and then acted.

    Before an episode's start its first grid time is repeated, after its end the last; the mask says which actions
    are real. Windows with an observation that is not valid, without any real action, or with more actions past the
    episode's end than `spec.pad_after` are left out. Without action features (recordings to pre-train on) actions have
    width 0, and each counts as real.

    Args:
        observations, actions: names of features of the cache.
        episodes: indices into `cache.episode_ids`; default all.
        futures, goals: the features of futures and goals; default `observations`.

    Attributes:
        rows: (W,) row of each window's newest observation; first, last: (W,) the rows that bound its episode.
        action_dim: Da, the width of the concatenated action features.
    """

    def __init__(
        self,
        cache: TrainingCache,
        spec: WindowSpec,
        observations: Sequence[str],
        actions: Sequence[str],
        episodes: Sequence[int] | None = None,
        futures: Sequence[str] | None = None,
        goals: Sequence[str] | None = None,
    ) -> None:
        self.futures = tuple(observations if futures is None else futures)
        self.goals = tuple(observations if goals is None else goals)
        features = dict.fromkeys((*observations, *actions, *self.futures, *self.goals))
        for name in features:
            if name not in cache.arrays:
                raise unknown_name("feature of the training cache", name, cache.arrays)
        self.spec, self.observations, self.actions = spec, tuple(observations), tuple(actions)
        self._lags = np.arange(1 - spec.To, 1)
        self._leads = spec.first_action + np.arange(spec.Tp)
        # Views of the maps as plain arrays: indexing a memmap costs more than the gather for small features.
        self._arrays = {name: cache.arrays[name].view(np.ndarray) for name in features}
        self.action_dim = sum(int(np.prod(self._arrays[name].shape[1:])) for name in actions)
        self._real = np.logical_and.reduce([np.ones(len(cache), bool), *(cache.valid[name] for name in actions)])

        ends = np.asarray(cache.episode_ends)
        starts = np.concatenate([[0], ends[:-1]])
        chosen = np.arange(len(ends)) if episodes is None else np.asarray(sorted(set(episodes)), int)
        lengths = (ends - starts)[chosen]
        self.first = np.repeat(starts[chosen], lengths)
        self.last = np.repeat(ends[chosen] - 1, lengths)
        within = np.arange(lengths.sum()) - np.repeat(np.cumsum(lengths) - lengths, lengths)
        self.rows = self.first + within

        seen = np.logical_and.reduce([cache.valid[name] for name in observations])
        whole = seen[self._observed(slice(None))].all(1) & self._acted(slice(None))[1].any(1)
        if spec.pad_after is not None:
            whole &= self.rows + int(self._leads[-1]) - self.last <= spec.pad_after
        self.rows, self.first, self.last = self.rows[whole], self.first[whole], self.last[whole]
        if not len(self.rows):
            raise UserError(
                f"the data has no window of {spec.To} valid observations of {', '.join(observations)} with an action"
                + (f" and at most {spec.pad_after} past its episode's end; " if spec.pad_after is not None else "; ")
                + "'robot-learning data check' says which samples are missing or late."
            )

    def __len__(self) -> int:
        return len(self.rows)

    def batch(self, indices: Sequence[int] | np.ndarray, rng: np.random.Generator | None = None) -> dict[str, Any]:
        """Gather B windows.

        Args:
            rng: draws the goals; without it each goal is the last that its window could have.

        Returns:
            observation: name to (B, To, *shape), oldest first; images uint8, all else float32.
            action: (B, Tp, Da) float32, the action features side by side.
            mask: (B, Tp) bool; False before the episode's start, after its end and where no action was recorded.
            future: where the spec has one, name to (B, future, *shape), the steps after the newest observation.
            future_mask: (B, future) bool; False after the episode's end, whose last step is then repeated.
            goal: where the spec has one, name to (B, goal, *shape), reached after the window's last step.
            goal_mask: (B,) bool; False where the episode ends too early for a goal; the values are then its end's.
        """
        indices = np.asarray(indices)
        acted, mask = self._acted(indices)
        parts = [self._arrays[name][acted].reshape(*acted.shape, -1) for name in self.actions]
        nothing = np.empty((*acted.shape, 0), np.float32)
        action = parts[0] if len(parts) == 1 else np.concatenate([nothing, *parts], axis=-1)
        batch = {
            "observation": self._gather(self.observations, self._observed(indices)),
            "action": action,
            "mask": mask,
        }
        if self.spec.future:
            rows = self.rows[indices, None] + np.arange(1, self.spec.future + 1)
            inside = np.minimum(rows, self.last[indices, None])
            batch |= {"future": self._gather(self.futures, inside), "future_mask": inside == rows}
        if self.spec.goal:
            rows, there = self._goal(indices, rng)
            batch |= {"goal": self._gather(self.goals, rows), "goal_mask": there}
        return batch

    def _gather(self, names: Sequence[str], rows: np.ndarray) -> dict[str, np.ndarray]:
        gathered = {name: self._arrays[name][rows] for name in names}
        return {n: v.astype(np.float32) if v.dtype == np.uint16 else v for n, v in gathered.items()}

    def _goal(self, indices: np.ndarray, rng: np.random.Generator | None) -> tuple[np.ndarray, np.ndarray]:
        """(B, goal) rows of a goal, uniform over where it can begin, and whether there was such a place."""
        G, last = self.spec.goal, self.last[indices]
        earliest = self.rows[indices] + self.spec.last + 1
        latest = last - G + 1
        if self.spec.goal_within is not None:
            latest = np.minimum(latest, earliest + self.spec.goal_within - 1)
        there = latest >= earliest
        first = latest if rng is None else earliest + (rng.random(len(indices)) * (latest - earliest + 1)).astype(int)
        rows = np.where(there, first, last - G + 1)[:, None] + np.arange(G)
        return np.clip(rows, self.first[indices, None], last[:, None]), there

    def _observed(self, indices: slice | np.ndarray) -> np.ndarray:
        """(B, To) rows of observations."""
        return np.maximum(self.rows[indices, None] + self._lags, self.first[indices, None])

    def _acted(self, indices: slice | np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """(B, Tp) rows of actions, and which are real."""
        rows = self.rows[indices, None] + self._leads
        inside = np.minimum(np.maximum(rows, self.first[indices, None]), self.last[indices, None])
        return inside, (inside == rows) & self._real[inside]
