"""Importing data sets: read, synthesise what the source lacks and say so, write, and compare value by value."""

from __future__ import annotations

import hashlib
import re
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from tqdm import tqdm

from robot_learning.clock import NS_PER_S
from robot_learning.contract import Contract, Feature, StreamSpec
from robot_learning.data import layouts
from robot_learning.data.edits import edit
from robot_learning.data.lerobot_layout import is_dataset
from robot_learning.data.sample import Sample
from robot_learning.data.store import Episode, Store
from robot_learning.data.writer import EpisodeWriter
from robot_learning.errors import StoreError, UserError

ACTION = "action_gated"
SEALERS = 4  # episodes sealed and verified at once: that is mostly waiting for the disk
IMAGE_PX_MIN = 16  # a (H, W, 3) array is a picture from this side length on


@dataclass(frozen=True)
class SourceEpisode:
    """One episode as its source has it.

    Attributes:
        values: stream to (n, *shape) of the stream's dtype; sample i was true at step i of the source's rate.
        provenance: what the source says about it.
        task: what it does, where that is not the same for all episodes.
    """

    values: Mapping[str, np.ndarray]
    provenance: Mapping[str, Any] = field(default_factory=dict)
    task: str = ""


class Source(Protocol):
    """A data set that can be imported.

    Attributes:
        contract: of all its episodes.
        task: what they do, as one would tell a person.
        notes: what a user should know about the source, one sentence each.
    """

    contract: Contract
    task: str
    notes: list[str]

    def __len__(self) -> int:
        """The number of episodes."""
        ...

    def episode(self, index: int) -> SourceEpisode:
        """Read one; UserError naming episode and key where it is malformed."""
        ...


@dataclass(frozen=True)
class ImportReport:
    """What an import did: episodes written, episodes that were there already, samples, remarks."""

    written: list[str]
    skipped: int
    samples: int
    notes: list[str]


def import_dataset(
    source: str | Path,
    store: str | Path | Store,
    layout: str | None = None,
    rate_hz: float | None = None,
    robot: str = "",
    task: str = "",
    outcome: str | None = None,
    progress: bool = True,
    mirror: bool = False,
) -> ImportReport:
    """Import a Diffusion Policy replay buffer (a zarr directory), a LeRobot dataset or a robomimic HDF5 file.

    Every value is read back from the sealed episodes and compared. Episodes imported before are left out, so that
    an interrupted import can be run again.

    Args:
        layout: a name in `layouts.LAYOUTS`; None makes a plain contract from the keys.
        rate_hz: the source's steps per second, where neither layout nor source say it.
        robot, task: where the source does not say them.
        outcome: "success" or "failure" where that is known of all its episodes.
        mirror: add each episode's mirror image, where the layout knows its task's symmetry.

    Raises:
        UserError: the source is malformed or lacks something; one sentence says what.
        StoreError: the store can't be written, or gave back another value than was put in.
    """
    path = Path(source)
    if not path.exists():
        raise UserError(
            f"there is nothing at {path}; "
            "give a replay buffer (a zarr directory), a LeRobot dataset (a folder) or a robomimic .hdf5 file."
        )
    mirrored = layouts.mirror(layout) if mirror else None
    data: Source
    if is_dataset(path):
        from robot_learning.data.lerobot import LeRobotSource

        if layout is not None:
            raise UserError(f"layouts are for replay buffers; the LeRobot dataset {path.name} is imported without one.")
        data = LeRobotSource(path, rate_hz, robot, task)
    elif path.is_dir():
        from robot_learning.data.replay import ReplaySource

        data = ReplaySource(path, layout, rate_hz, robot, task, mirrored)
    else:
        from robot_learning.data.robomimic import RobomimicSource

        if layout is not None:
            raise UserError(f"layouts are for replay buffers; {path.name} is imported without one.")
        data = RobomimicSource(path, rate_hz, robot, task)
    store = store if isinstance(store, Store) else Store.open_or_create(store)
    return write(data, store, path.name, outcome, progress)


def write(data: Source, store: Store, name: str, outcome: str | None, progress: bool) -> ImportReport:
    """Write and verify all episodes of a source; `name` is what provenance calls it."""
    known = {_origin(e.metadata.get("provenance") or {}) for e in store.episodes()}
    written: list[str] = []
    skipped = samples = 0
    shown = tqdm(range(len(data)), desc=f"import {name}", unit="episode", disable=None if progress else True)
    stamps = f"synthesised from the step number at {data.contract.policy_rate_hz:g} Hz: the source has none"
    pending: deque[Future[str]] = deque()
    with ThreadPoolExecutor(SEALERS) as pool:
        for index in shown:
            episode = data.episode(index)
            provenance = {
                "source": name,
                "source_episode": index,
                "action_sha256": hashlib.sha256(np.ascontiguousarray(episode.values[ACTION]).data).hexdigest(),
                "stamps": stamps,
                **episode.provenance,
            }
            if _origin(provenance) in known:
                skipped += 1
                continue
            absent = [s.name for s in data.contract.streams if not len(episode.values.get(s.name, ()))]
            told = episode.task or data.task
            metadata = {"task": told, "operator": "", "provenance": provenance, "absent_streams": absent}
            writer = EpisodeWriter(store, data.contract, metadata)
            try:
                writer.append(_samples(data.contract, episode.values))
            except BaseException:
                writer.discard()
                raise
            pending.append(pool.submit(_finish, store, writer, episode.values, outcome))
            samples += sum(len(v) for v in episode.values.values())
            if len(pending) == SEALERS:
                written.append(pending.popleft().result())
        written += [future.result() for future in pending]
    return ImportReport(written, skipped, samples, list(data.notes))


def _finish(store: Store, writer: EpisodeWriter, values: Mapping[str, np.ndarray], outcome: str | None) -> str:
    """Seal, verify, and return the id."""
    try:
        sealed = writer.seal(outcome, "imported")
    except BaseException:
        writer.discard()
        raise
    verify(store, sealed, values)
    return sealed.id


def _origin(provenance: Mapping[str, Any]) -> tuple[Any, ...]:
    return tuple(provenance.get(key) for key in ("source", "source_episode", "action_sha256"))


def _samples(contract: Contract, values: Mapping[str, np.ndarray]) -> Iterator[Sample]:
    """Stamps from the index: allowed only here, and said so in the provenance."""
    step = NS_PER_S / contract.policy_rate_hz
    for stream, rows in values.items():
        for i, row in enumerate(rows):
            stamp = round(i * step)
            yield Sample(stream, stamp, stamp, i, np.asarray(row))


def verify(store: Store, episode: Episode, values: Mapping[str, np.ndarray]) -> None:
    """Compare a sealed episode with what was put in; where they differ, take it out of use and raise StoreError."""
    for name, stream in episode.streams.items():
        expected = values.get(name, np.empty((0, *stream.spec.shape)))
        stored = stream.read(np.arange(len(stream)))
        floating = np.issubdtype(stored.dtype, np.floating)
        if len(stored) != len(expected) or not np.array_equal(stored, expected, equal_nan=floating):
            edit(store, episode.id, deleted=True, note="import verification failed")
            raise StoreError(
                f"episode {episode.id}, stream '{name}': what was read back is not what was imported; "
                "the episode is marked as deleted. Check the disk, then import again."
            )


def stream_name(key: str) -> str:
    """A source's key as a stream's name."""
    name = re.sub(r"[^a-z0-9_]+", "_", key.lower()).strip("_")
    return name if re.match(r"[a-z]", name) else f"x_{name}"


def plain_contract(
    rig: str,
    robot: str,
    rate_hz: float,
    keys: Mapping[str, tuple[tuple[int, ...], str]],
    recorded_only: Sequence[str] = (),
) -> tuple[Contract, dict[str, str]]:
    """A contract for keys of which nothing is known but shape and dtype, and the stream of each key.

    `action` becomes the action; pictures become lossless colour streams, all else has the unit "1".
    """
    names: dict[str, str] = {}
    specs, features = [], []
    for key, (shape, dtype) in keys.items():
        name = ACTION if key == "action" else stream_name(key)
        if name in names.values():
            other = next(k for k, v in names.items() if v == name)
            raise UserError(f"the keys '{other}' and '{key}' would both be stream '{name}'; rename one in the source.")
        names[key] = name
        image = is_image(shape) and dtype == "uint8"
        specs.append(
            StreamSpec(
                name=name, shape=shape, dtype=dtype, unit="rgb" if image else "1", rate_hz=rate_hz,
                codec="lossless" if image else "raw",
            )
        )  # fmt: skip
        if key in recorded_only:
            continue
        action = key == "action"
        features.append(
            Feature(
                name="action" if action else name, stream=name, role="action" if action else "observation",
                alignment="nearest" if action else "previous", max_age_s=1 / rate_hz,
            )
        )  # fmt: skip
    contract = Contract(
        rig=rig, robot=robot, policy_rate_hz=rate_hz, streams=tuple(specs), features=tuple(features)
    )  # fmt: skip
    return contract, names


def is_image(shape: tuple[int, ...]) -> bool:
    """Whether samples of this shape look like colour pictures."""
    return len(shape) == 3 and shape[2] == 3 and min(shape[:2]) >= IMAGE_PX_MIN


def require_rate(rate_hz: float | None, what: str) -> float:
    """The rate, or the error that asks for it."""
    if rate_hz is None:
        raise UserError(f"{what} does not say how many steps it has per second; give --rate-hz.")
    if not rate_hz > 0:
        raise UserError(f"a rate is a positive number of steps per second; got {rate_hz}.")
    return rate_hz
