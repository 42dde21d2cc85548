"""rosbag2 recordings, MCAP or sqlite3, into the store: read by the same rules as the recorder reads topics."""

from __future__ import annotations

import contextlib
import hashlib
import json
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import yaml
from tqdm import tqdm

from robot_learning.contract import Contract
from robot_learning.data.bagexport import CUSTOM, require_rosbags
from robot_learning.data.edits import edit
from robot_learning.data.importers import ImportReport
from robot_learning.data.sample import Sample
from robot_learning.data.store import Episode, Store
from robot_learning.data.writer import EpisodeWriter
from robot_learning.decode import BadMessage, stamp_of, value
from robot_learning.errors import StoreError, UserError
from robot_learning.rig_parts.sections import TopicConfig

BLOCK = 64  # samples read back at once when an import is verified


def is_bag(path: Path) -> bool:
    """Whether there is a bag, or a folder of bags, at a path."""
    return bool(_bags(path))


def _bags(path: Path) -> list[Path]:
    if path.suffix in (".mcap", ".db3") or (path / "metadata.yaml").exists():
        return [path] if path.exists() else []
    return sorted(p.parent for p in path.glob("*/metadata.yaml"))


def import_bags(
    source: Path,
    store: Store,
    contract: Contract,
    sources: Mapping[str, TopicConfig],
    task: str = "",
    outcome: str | None = None,
    namespace: str | None = None,
    progress: bool = True,
) -> ImportReport:
    """Import one bag, or each bag in a folder, as one episode each.

    Streams are read by the same rules as a recorder reads them from topics: stamps come from headers, receive stamps
    are the bag's log times, messages that can't be used are left out and counted. Bags imported before are skipped.

    Args:
        contract, sources: of the rig, see `sim.station.station_contract` and `topics.topics`.
        task: what is done, where the bag does not say it.
        namespace: of the rig's topics in the bag; None: found out, where it is the same for all.

    Raises:
        UserError: no bag; not readable; no topic of the rig's in it; several namespaces fit.
        StoreError: the store can't be written, or gave back another value than was put in.
    """
    bags = _bags(source)
    if not bags:
        raise UserError(f"there is no bag at {source}; give a folder with metadata.yaml, or an .mcap or .db3 file.")
    known = {_origin(e.metadata.get("provenance") or {}) for e in store.episodes()}
    written: list[str] = []
    notes: list[str] = []
    samples = skipped = 0
    for path in tqdm(bags, desc=f"import {source.name}", unit="bag", disable=None if progress else True):
        with _reading(path) as reader:
            bag = _Bag(path, reader, contract, sources, namespace)
            if _origin(bag.provenance()) in known:
                skipped += 1
                continue
            episode = _write(store, bag, task, outcome)
        written.append(episode.id)
        samples += sum(bag.digests.counts.values())
        notes += bag.notes
    return ImportReport(written, skipped, samples, notes)


@contextlib.contextmanager
def _reading(path: Path) -> Iterator[Any]:
    """An open bag; what rosbags says of a broken one, as one sentence."""
    highlevel = require_rosbags()
    from rosbags.serde import SerdeError
    from rosbags.typesys import Stores, get_typestore

    try:
        with highlevel.AnyReader([path], default_typestore=get_typestore(Stores.ROS2_HUMBLE)) as reader:
            yield reader
    except (highlevel.AnyReaderError, SerdeError, OSError) as error:
        reason = " ".join(str(error).split()).rstrip(".")
        raise UserError(f"the bag {path} can't be read: {reason}; 'ros2 bag reindex' may mend it.") from None


def _write(store: Store, bag: _Bag, task: str, outcome: str | None) -> Episode:
    """One bag as a sealed and verified episode."""
    said = bag.said.get("metadata", {})
    task = task or said.get("task", "")
    if not task:
        raise UserError(f"the bag {bag.path} does not say what is done in it; give --task.")
    metadata = {
        **{key: said[key] for key in ("interventions", "events", "marks") if key in said},
        "task": task,
        "operator": said.get("operator", ""),
        "provenance": bag.provenance(),
        "absent_streams": bag.absent,
    }
    writer = EpisodeWriter(store, bag.contract, metadata)
    try:
        writer.append(bag.samples())
        if not sum(bag.digests.counts.values()):
            raise UserError(f"the bag {bag.path} has no message that can be used: {'; '.join(bag.notes)}.")
        quality = {"intake": {"refused": bag.refused}}
        episode = writer.seal(outcome or said.get("outcome"), "imported", quality)
    except BaseException:
        writer.discard()
        raise
    _verify(store, episode, bag.digests)
    return episode


@dataclass
class _Digests:
    """What was put in, per stream: count and SHA-256 of the values."""

    counts: Counter[str] = field(default_factory=Counter)
    hashes: dict[str, Any] = field(default_factory=dict)

    def add(self, name: str, values: np.ndarray) -> None:
        self.counts[name] += 1
        self.hashes.setdefault(name, hashlib.sha256()).update(np.ascontiguousarray(values).data)


def _verify(store: Store, episode: Episode, expected: _Digests) -> None:
    """Read everything back; where it differs, take the episode out of use and raise StoreError."""
    for name, stream in episode.streams.items():
        digest = hashlib.sha256()
        for start in range(0, len(stream), BLOCK):
            digest.update(stream.read(np.arange(start, min(start + BLOCK, len(stream)))).tobytes())
        lossy = stream.spec.codec == "jpeg"
        same = not expected.counts[name] or lossy or digest.digest() == expected.hashes[name].digest()
        if len(stream) != expected.counts[name] or not same:
            edit(store, episode.id, deleted=True, note="import verification failed")
            raise StoreError(
                f"episode {episode.id}, stream '{name}': what was read back is not what was imported; "
                "the episode is marked as deleted. Check the disk, then import again."
            )


class _Bag:
    """One open bag, read as a rig's contract says.

    Attributes:
        said: what an export of ours left in it: contract and metadata of the episode.
        absent: streams that it has no topic for.
        refused: stream to reasons to counts.
        notes: for the user.
    """

    def __init__(
        self, path: Path, reader: Any, contract: Contract, sources: Mapping[str, TopicConfig], namespace: str | None
    ) -> None:
        self.path, self.contract, self._reader = path, contract, reader
        self.digests = _Digests()
        self.refused: dict[str, dict[str, int]] = {}
        self.said = _custom(path)
        self._sources = sources
        topics = {c.topic for c in reader.connections}
        found = {name: _full(sources[name].topic, namespace, topics) for name in self._streams}
        prefixes = {full[: -len(sources[n].topic)] for n, full in found.items() if full and sources[n].topic[0] != "/"}
        if len(prefixes) > 1:
            raise UserError(f"the bag {path} has topics of several rigs, {sorted(prefixes)}; give one as --namespace.")
        self._topics = {name: full for name, full in found.items() if full}
        self.absent = [name for name in self._streams if name not in self._topics]
        if not self._topics:
            wanted = sorted({sources[name].topic for name in self._streams})
            raise UserError(f"the bag {path} has none of the rig's topics {wanted}; it has {sorted(topics)}.")
        self.notes = [f"{path.name} has no topic for {', '.join(self.absent)}."] if self.absent else []

    @property
    def _streams(self) -> list[str]:
        return [spec.name for spec in self.contract.streams if spec.name in self._sources]

    def provenance(self) -> dict[str, Any]:
        """What the episode says of where it comes from."""
        topics = {n: {**self._sources[n].model_dump(mode="json"), "topic": full} for n, full in self._topics.items()}
        return {
            "source": self.path.name,
            "messages": self._reader.message_count,
            "from_ns": self._reader.start_time,
            "to_ns": self._reader.end_time,
            "stamps": "stamp: header; received: log time of the bag; sequence: counted on import",
            "topics": topics,
            "exported_from": self.said.get("id", ""),
        }

    def samples(self) -> Iterator[Sample]:
        """All samples in order of arrival; what can't be used is counted instead."""
        readers: dict[str, list[str]] = {}
        for name, topic in self._topics.items():
            readers.setdefault(topic, []).append(name)
        count: Counter[str] = Counter()
        for connection, received, raw in self._reader.messages(
            [c for c in self._reader.connections if c.topic in readers]
        ):
            message = self._reader.deserialize(raw, connection.msgtype)
            sequence = count[connection.topic]
            count[connection.topic] += 1
            for name in readers[connection.topic]:
                try:
                    data = self._value(name, message, connection.msgtype)
                    stamp = stamp_of(message)
                except BadMessage as error:
                    self._refuse(name, str(error))
                    continue
                self.digests.add(name, data)
                yield Sample(name, stamp, received, sequence, data)
        for name, reasons in self.refused.items():
            told = "; ".join(f"{n} because {why}" for why, n in reasons.items())
            self.notes.append(f"{self.path.name}: messages of {name} left out: {told}.")

    def _value(self, name: str, message: Any, msgtype: str) -> np.ndarray:
        config = self._sources[name]
        if msgtype.replace("/msg/", "/") != config.type:
            raise BadMessage(f"its type is {msgtype}, the rig says {config.type}")
        return value(message, self.contract.stream(name), config)

    def _refuse(self, name: str, why: str) -> None:
        reasons = self.refused.setdefault(name, {})
        reasons[why] = reasons.get(why, 0) + 1


def _full(topic: str, namespace: str | None, topics: set[str]) -> str:
    """A rig's topic as the bag has it; empty where it has not."""
    if topic.startswith("/") or namespace is not None:
        full = topic if topic.startswith("/") else f"/{(namespace or '').strip('/')}/{topic}".replace("//", "/")
        return full if full in topics else ""
    fitting = sorted(t for t in topics if t == f"/{topic}" or t.endswith(f"/{topic}"))
    if len(fitting) > 1:
        raise UserError(f"'{topic}' is in the bag as {', '.join(fitting)}; say which by --namespace.")
    return fitting[0] if fitting else ""


def _custom(path: Path) -> dict[str, Any]:
    """What an export of ours wrote into the bag's own metadata."""
    try:
        content = yaml.safe_load((path / "metadata.yaml").read_text())["rosbag2_bagfile_information"]
        return json.loads(content["custom_data"][CUSTOM])
    except (OSError, KeyError, TypeError, ValueError, yaml.YAMLError):
        return {}


def _origin(provenance: Mapping[str, Any]) -> tuple[Any, ...]:
    return tuple(provenance.get(key) for key in ("source", "messages", "from_ns", "to_ns"))
