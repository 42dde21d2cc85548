"""A small deterministic source: every sample of every stream can be made again for comparison."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path

import numpy as np

from robot_learning.contract import Contract, StreamSpec
from robot_learning.data.codec import decode_jpeg, encode_jpeg
from robot_learning.data.sample import Sample
from robot_learning.data.store import Episode, Store
from robot_learning.data.writer import EpisodeWriter

STREAMS = (
    StreamSpec(name="front", shape=(16, 24, 3), dtype="uint8", unit="rgb", rate_hz=30, codec="jpeg"),
    StreamSpec(name="wrist", shape=(8, 8, 3), dtype="uint8", unit="rgb", rate_hz=30, codec="lossless"),
    StreamSpec(name="front_depth", shape=(16, 24), dtype="uint16", unit="depth_mm", rate_hz=30, codec="depth"),
    StreamSpec(name="joint_position", shape=(7,), dtype="float64", unit="rad", rate_hz=1000),
    StreamSpec(name="gripper", shape=(), dtype="float32", unit="m", rate_hz=100),
)


def contract(*names: str) -> Contract:
    """A contract of some of the streams."""
    streams = tuple(s for s in STREAMS if s.name in names)
    return Contract(rig="test", robot="none", policy_rate_hz=10, streams=streams, features=())


CONTRACT = contract(*(s.name for s in STREAMS))
SPECS = {spec.name: spec for spec in STREAMS}
COUNTS = {"front": 30, "wrist": 300, "front_depth": 30, "joint_position": 1500, "gripper": 100}
_Y, _X = np.mgrid[0:16, 0:24]


def value(name: str, index: int) -> np.ndarray:
    """Sample `index` of a stream."""
    if name == "front":
        return np.stack([_X * 8 + index % 9, _Y * 9, _X + _Y], -1).astype(np.uint8)
    if name == "wrist":
        return np.full((8, 8, 3), index % 251, np.uint8)
    if name == "front_depth":
        return (_X * _Y + index).astype(np.uint16)
    if name == "joint_position":
        return index + np.arange(7) / 8
    return np.array(index / 4, np.float32)


def stored_value(name: str, index: int) -> np.ndarray:
    """What reading gives back: the same, but for JPEG."""
    made = value(name, index)
    return decode_jpeg(encode_jpeg(made, SPECS[name].jpeg_quality)) if name == "front" else made


def sample(name: str, index: int) -> Sample:
    """One sample with a stamp that depends on stream and index."""
    stamp = index * round(1e9 / SPECS[name].rate_hz)
    return Sample(name, stamp, stamp + 1000, index, value(name, index))


def samples(counts: Mapping[str, int] = COUNTS, start: Mapping[str, int] | None = None) -> Iterator[Sample]:
    """Samples `start` (default 0) to `counts` of each stream, the streams interleaved."""
    begin = start or dict.fromkeys(counts, 0)
    for index in range(max(counts.values())):
        yield from (sample(name, index) for name in counts if begin[name] <= index < counts[name])


def record(store: Store, counts: Mapping[str, int] = COUNTS, **metadata: object) -> Episode:
    """One sealed episode of the deterministic source."""
    absent = [name for name in SPECS if not counts.get(name)]
    writer = EpisodeWriter(store, CONTRACT, {"task": "test", "absent_streams": absent, **metadata})
    writer.append(samples(counts))
    return writer.seal("success", "operator")


def new_store(path: Path) -> Store:
    return Store.create(path / "store")


def differences(episode: Episode) -> list[str]:
    """Where an episode differs from the same number of samples of the source."""
    found = []
    for name, stream in episode.streams.items():
        n = len(stream)
        made = [sample(name, i) for i in range(n)]
        if not np.array_equal(stream.stamp, [s.stamp_ns for s in made]):
            found.append(f"{name}: stamps")
        if not np.array_equal(stream.received, [s.received_ns for s in made]):
            found.append(f"{name}: received")
        if not np.array_equal(stream.sequence, np.arange(n)):
            found.append(f"{name}: sequence")
        if n and not np.array_equal(stream.read(np.arange(n)), np.stack([stored_value(name, i) for i in range(n)])):
            found.append(f"{name}: values")
    return found


def flip_byte(path: Path, position: int) -> None:
    """Damage one byte of a file."""
    content = bytearray(path.read_bytes())
    content[position] ^= 0x10
    path.write_bytes(content)
