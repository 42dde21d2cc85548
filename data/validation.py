"""Checking what is stored: every byte against its checksum, every stream against its contract."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from robot_learning.data.format import EPISODES, OPEN, SUMS, TIME, ArrayLayout, layout_of
from robot_learning.data.openfolder import OpenFolder
from robot_learning.data.shardreader import read_shard
from robot_learning.data.store import Episode, Store
from robot_learning.errors import StoreError


@dataclass(frozen=True)
class Problem:
    """One thing that is wrong.

    Attributes:
        episode: its id.
        stream: where one stream is concerned.
        index: the first sample concerned, counted from 0 in the untrimmed stream.
        what: a phrase for people.
    """

    episode: str
    stream: str | None
    index: int | None
    what: str

    def __str__(self) -> str:
        place = [f"episode {self.episode}"]
        place += [f"stream '{self.stream}'"] if self.stream else []
        place += [f"sample {self.index}"] if self.index is not None else []
        return f"{', '.join(place)}: {self.what}"


def check(target: Store | Episode) -> list[Problem]:
    """All problems of a store (deleted episodes excepted) or of one episode; an empty list is good news."""
    if isinstance(target, Episode):
        return list(_check_episode(target))
    problems: list[Problem] = []
    for id in sorted(p.name for p in (target.path / EPISODES).iterdir()):
        episode = Episode(target.path, id)
        try:
            if not episode.edits.deleted:
                problems += _check_episode(episode)
        except StoreError as error:
            problems.append(Problem(id, None, None, str(error)))
    for id in target.open_episodes():
        if folder := OpenFolder.adopt(target.path / OPEN / id):
            folder.release()
            problems.append(Problem(id, None, None, "has no end: its writer died; run 'robot-learning data recover'"))
    return problems


def _check_episode(episode: Episode) -> Iterator[Problem]:
    try:
        contract = episode.contract
        records = episode.quality["streams"]
        absent = episode.metadata.get("absent_streams", [])
        if not episode.metadata["termination_reason"]:
            yield Problem(episode.id, None, None, "has no end: no termination reason")
    except (KeyError, TypeError, AttributeError) as error:
        yield Problem(episode.id, None, None, f"its zarr.json lacks {error}")
        return
    except StoreError as error:
        yield Problem(episode.id, None, None, str(error).removeprefix(f"episode {episode.id}: "))
        return
    damaged, problems = _check_sums(episode)
    yield from problems
    try:
        _ = episode.group
    except StoreError as error:
        yield Problem(episode.id, None, None, str(error).removeprefix(f"episode {episode.id} "))
        return
    for spec in contract.streams:
        if not (episode.path / spec.name).is_dir():
            yield Problem(episode.id, spec.name, None, "the stream is missing")
            continue
        count = records.get(spec.name, {}).get("samples")
        if count == 0 and spec.name not in absent:
            yield Problem(episode.id, spec.name, None, "has no samples and is not listed in 'absent_streams'")
        found = [
            problem
            for array, layout in (("data", layout_of(spec)), ("time", TIME))
            for problem in _check_array(episode, spec.name, array, layout, count, damaged)
        ]
        yield from found
        if not found and count:
            yield from _check_content(episode, spec.name, records[spec.name])


def _check_sums(episode: Episode) -> tuple[set[str], list[Problem]]:
    """Files that do not match their checksum, and problems that belong to no array."""
    damaged: set[str] = set()
    problems: list[Problem] = []
    try:
        lines = (episode.path / SUMS).read_text().splitlines()
        expected = {name: digest for digest, name in (line.split("  ", 1) for line in lines)}
    except (OSError, ValueError):
        return {"*"}, [Problem(episode.id, None, None, f"{SUMS} can't be read")]
    present = {str(p.relative_to(episode.path)) for p in episode.path.rglob("*") if p.is_file()} - {SUMS}
    for name in sorted(present | set(expected)):
        stream = name.split("/")[0] if "/" in name else None
        if name not in present:
            damaged.add(name)
            if stream is None or (episode.path / stream).is_dir():
                problems.append(Problem(episode.id, stream, None, f"the file {name} is missing"))
        elif name not in expected:
            problems.append(Problem(episode.id, stream, None, f"the file {name} is not in {SUMS}"))
        elif _sha256(episode, name) != expected[name]:
            damaged.add(name)
            problems.append(Problem(episode.id, stream, None, f"the file {name} does not match its checksum"))
    return damaged, problems


def _sha256(episode: Episode, name: str) -> str | None:
    try:
        with (episode.path / name).open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError:
        return None


def _check_array(
    episode: Episode, stream: str, array: str, layout: ArrayLayout, count: int | None, damaged: set[str]
) -> Iterator[Problem]:
    """Length, and the samples behind each damaged shard."""
    try:
        length = episode.length(f"{stream}/{array}")
    except StoreError as error:
        yield Problem(episode.id, stream, None, str(error))
        return
    if length != count:
        yield Problem(
            episode.id, stream, min(length, count or 0), f"{array} has {length} samples, recorded were {count}"
        )
    for shard in range(-(-length // layout.shard)):
        name = f"{stream}/{array}/{layout.shard_name.format(shard)}"
        if not {name, "*"} & damaged:
            continue
        first, last = shard * layout.shard, min((shard + 1) * layout.shard, length) - 1
        try:
            chunks = read_shard(episode.path / name, (last - first) // layout.chunk + 1)
        except (OSError, ValueError) as error:
            reason = "its file is missing" if isinstance(error, FileNotFoundError) else error
            yield Problem(episode.id, stream, first, f"{array} can't be read from here to sample {last}: {reason}")
            continue
        for i, chunk in enumerate(chunks):
            if chunk is None:
                yield Problem(episode.id, stream, first + i * layout.chunk, f"{array} is damaged")


def _check_content(episode: Episode, name: str, record: dict) -> Iterator[Problem]:
    """What the values say: order of stamps and sequence, holes, NaN."""
    stream = episode.streams[name]
    times = stream.reader("time").rows(0, record["samples"])
    for column, key in ((0, "stamps"), (2, "sequence numbers")):
        steps = np.diff(times[:, column])
        if (steps <= 0).any():
            index = int(np.argmax(steps <= 0)) + 1
            yield Problem(episode.id, name, index, f"{key} do not increase ({int((steps <= 0).sum())} times)")
    holes = int(np.maximum(np.diff(times[:, 2]) - 1, 0).sum())
    if holes != record["missing"]:
        yield Problem(
            episode.id, name, None, f"{holes} sequence numbers are missing, {record['missing']} were when recorded"
        )
    if record["not_finite"]:
        data = stream.reader("data").rows(0, record["samples"])
        bad = ~np.isfinite(data).reshape(len(data), -1).all(axis=1)
        yield Problem(episode.id, name, int(np.argmax(bad)), f"NaN or infinite values ({int(bad.sum())} samples)")
