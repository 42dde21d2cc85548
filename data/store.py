"""Reading a store: episodes and their streams."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np
import zarr

from robot_learning.clock import NS_PER_S
from robot_learning.contract import Contract, StreamSpec
from robot_learning.data import files
from robot_learning.data.edits import Edits, read_edits
from robot_learning.data.format import (
    ATTRIBUTE,
    EDITS,
    EPISODES,
    OPEN,
    STORE_FILE,
    SUMS,
    TIME,
    VERSION,
    contract_of,
    dump,
    layout_of,
    load,
    require_version,
)
from robot_learning.data.shardreader import ArrayReader
from robot_learning.errors import StoreError, unknown_name


class Stream:
    """One stream of a sealed episode, as trimmed.

    Attributes:
        spec: its entry in the contract.
        data: the zarr array (M, *shape), untrimmed.
    """

    def __init__(self, episode: Episode, spec: StreamSpec) -> None:
        self.spec = spec
        self._episode = episode

    @cached_property
    def data(self) -> zarr.Array:
        """The zarr array (M, *shape), untrimmed."""
        try:
            array = self._episode.group[f"{self.spec.name}/data"]
        except KeyError as error:
            raise self._damaged(error) from error
        assert isinstance(array, zarr.Array)
        return array

    def reader(self, array: str) -> ArrayReader:
        """The array `data` or `time`, untrimmed, read without zarr."""
        layout = layout_of(self.spec) if array == "data" else TIME
        name = f"{self.spec.name}/{array}"
        return ArrayReader(self._episode.path / name, layout, self._episode.length(name))

    @cached_property
    def _values(self) -> ArrayReader:
        return self.reader("data")

    @cached_property
    def _times(self) -> np.ndarray:
        """(N, 3) stamp, received, sequence within the trim."""
        return self._all_times[self._kept]

    @cached_property
    def _all_times(self) -> np.ndarray:
        reader = self.reader("time")
        try:
            return reader.rows(0, len(reader))
        except (OSError, ValueError, RuntimeError) as error:
            raise self._damaged(error) from error

    @cached_property
    def _kept(self) -> slice:
        trim = self._episode.edits.trim_ns
        if trim is None:
            return slice(0, len(self._all_times))
        stamps = self._all_times[:, 0]
        inside = np.flatnonzero((stamps >= trim[0]) & (stamps <= trim[1]))
        return slice(int(inside[0]), int(inside[-1]) + 1) if len(inside) else slice(0, 0)

    @property
    def stamp(self) -> np.ndarray:
        """(N,) int64 sensor stamps [ns]."""
        return self._times[:, 0]

    @property
    def received(self) -> np.ndarray:
        """(N,) int64 stamps of arrival [ns]."""
        return self._times[:, 1]

    @property
    def sequence(self) -> np.ndarray:
        """(N,) int64 the source's own count."""
        return self._times[:, 2]

    def __len__(self) -> int:
        return len(self._times)

    def read(self, indices: Sequence[int] | np.ndarray) -> np.ndarray:
        """Samples by index within the trim, decoded: (n, *shape)."""
        wanted = np.asarray(indices, np.int64).reshape(-1)
        if not len(wanted):
            return np.empty((0, *self.spec.shape), self.spec.dtype)
        if wanted.min() < 0 or wanted.max() >= len(self):
            got = f"{wanted.min()}..{wanted.max()}"
            raise IndexError(f"stream '{self.spec.name}' has samples 0 to {len(self) - 1}; got {got}")
        wanted = wanted + self._kept.start
        try:
            if layout_of(self.spec).chunk == 1:
                unique, inverse = np.unique(wanted, return_inverse=True)
                return np.concatenate([self._values.rows(i, i + 1) for i in unique.tolist()])[inverse]
            low = int(wanted.min())
            return self._values.rows(low, int(wanted.max()) + 1)[wanted - low]
        except (OSError, ValueError, RuntimeError) as error:
            raise self._damaged(error) from error

    def _damaged(self, error: Exception) -> StoreError:
        return StoreError(
            f"episode {self._episode.id}, stream '{self.spec.name}' can't be read ({error}); "
            "run 'robot-learning data check' to see what is damaged."
        )


class Episode:
    """A sealed episode; everything is read when first asked for."""

    def __init__(self, store: Path, id: str) -> None:
        self.id = id
        self.path = store / EPISODES / id
        self._store = store

    def __repr__(self) -> str:
        return f"Episode({str(self.path)!r})"

    @cached_property
    def _root(self) -> dict[str, Any]:
        return load(self.path / "zarr.json", f"episode {self.id}")

    @cached_property
    def document(self) -> dict[str, Any]:
        """Everything that was stored about the episode, as it was sealed."""
        what = f"episode {self.id}"
        try:
            document = self._root["attributes"][ATTRIBUTE]
            require_version(document, what)
        except (KeyError, TypeError, AttributeError):
            raise StoreError(f"{what}: its zarr.json has no '{ATTRIBUTE}' attribute.") from None
        return document

    def length(self, array: str) -> int:
        """Samples in an array such as `front/data`, untrimmed."""
        try:
            return int(self._root["consolidated_metadata"]["metadata"][array]["shape"][0])
        except (KeyError, TypeError, ValueError, IndexError):
            raise StoreError(f"episode {self.id}: its zarr.json does not describe the array '{array}'.") from None

    @cached_property
    def group(self) -> zarr.Group:
        """The zarr group."""
        try:
            return zarr.open_group(self.path, mode="r")
        except Exception as error:  # zarr raises whatever the damaged metadata leads it to
            raise StoreError(f"episode {self.id} can't be opened by zarr: {error}.") from error

    @cached_property
    def edits(self) -> Edits:
        """What was edited since, as of the first look."""
        return read_edits(self._store, self.id)

    @cached_property
    def contract(self) -> Contract:
        """The contract that it was recorded under."""
        return contract_of(self.document, f"episode {self.id}")

    @property
    def metadata(self) -> dict[str, Any]:
        """Task, operator, outcome, termination_reason, provenance...; with edits applied."""
        return {**self.document["metadata"], **dict(self.edits.changes)}

    @property
    def quality(self) -> dict[str, Any]:
        """The quality record, as sealed."""
        return self.document["quality"]

    @cached_property
    def streams(self) -> Mapping[str, Stream]:
        """All streams of the contract, by name."""
        return MappingProxyType({spec.name: Stream(self, spec) for spec in self.contract.streams})

    @property
    def recorded_range_ns(self) -> tuple[int, int]:
        """The first and last stamp of any stream, before trimming [ns]; (0, 0) without samples."""
        records = [r for r in self.quality["streams"].values() if r["samples"]]
        return min((r["first_ns"] for r in records), default=0), max((r["last_ns"] for r in records), default=0)

    @property
    def start_ns(self) -> int:
        """The first stamp kept [ns]."""
        return self.edits.trim_ns[0] if self.edits.trim_ns else self.recorded_range_ns[0]

    @property
    def end_ns(self) -> int:
        """The last stamp kept [ns]."""
        return self.edits.trim_ns[1] if self.edits.trim_ns else self.recorded_range_ns[1]

    @property
    def duration_s(self) -> float:
        """From the first to the last stamp kept [s]."""
        return (self.end_ns - self.start_ns) / NS_PER_S

    @property
    def digest(self) -> str:
        """SHA-256, hex, of all bytes of the episode (through its list of checksums) and of its edits."""
        try:
            sums = hashlib.sha256((self.path / SUMS).read_bytes())
        except OSError as error:
            raise StoreError(f"episode {self.id} has no readable {SUMS}: {error.strerror}.") from None
        edits = self.edits.canonical()
        return hashlib.sha256(sums.digest() + edits).hexdigest() if edits else sums.hexdigest()


class Store:
    """A directory of sealed episodes. Make one with :meth:`create`, :meth:`open` or :meth:`open_or_create`."""

    def __init__(self, path: Path) -> None:
        self.path = path

    @classmethod
    def create(cls, path: str | Path) -> Store:
        """A new store; StoreError where there is one."""
        path = Path(path)
        if (path / STORE_FILE).exists():
            raise StoreError(f"{path} is a store already; open it, or choose another path.")
        return cls._ensure(path)

    @classmethod
    def open(cls, path: str | Path) -> Store:
        """An existing store; StoreError where there is none or it has another format version."""
        path = Path(path)
        if not (path / STORE_FILE).is_file():
            raise StoreError(f"{path} is not a store: it has no {STORE_FILE}; 'robot-learning collect' makes one.")
        require_version(load(path / STORE_FILE, f"the store {path}"), f"the store {path}")
        return cls(path)

    @classmethod
    def open_or_create(cls, path: str | Path) -> Store:
        """An existing store, or a new one."""
        path = Path(path)
        return cls.open(path) if (path / STORE_FILE).exists() else cls._ensure(path)

    @classmethod
    def _ensure(cls, path: Path) -> Store:
        """Make what is missing; two processes may do so at once."""
        with files.explained(path):
            foreign = [p.name for p in path.iterdir() if p.name[0] != "."] if path.is_dir() else []
            if set(foreign) - {OPEN, EPISODES, EDITS}:
                raise StoreError(f"{path} is not empty and not a store; choose another path.")
            for name in (OPEN, EPISODES, EDITS):
                (path / name).mkdir(parents=True, exist_ok=True)
            files.replace(path / STORE_FILE, dump({"format": "robot_learning.store", "version": VERSION}))
        return cls.open(path)

    def episodes(self, include_deleted: bool = False) -> list[Episode]:
        """All sealed episodes, sorted by id, that is by time."""
        with files.explained(self.path):
            names = sorted(p.name for p in (self.path / EPISODES).iterdir() if p.is_dir())
        episodes = [Episode(self.path, name) for name in names]
        return episodes if include_deleted else [e for e in episodes if not e.edits.deleted]

    def episode(self, id: str) -> Episode:
        """One sealed episode, deleted or not; UnknownName where there is none."""
        if not (self.path / EPISODES / id).is_dir() or "/" in id or not id.strip("."):
            raise unknown_name("episode", id, [e.id for e in self.episodes(include_deleted=True)])
        return Episode(self.path, id)

    def open_episodes(self) -> list[str]:
        """Ids of the directories in `open/`: being recorded, or left by a writer that died."""
        with files.explained(self.path):
            return sorted(p.name for p in (self.path / OPEN).iterdir() if p.is_dir())
