"""Episodes as MCAP bags, on the topics that their streams would come by: the reverse of `robot_learning.decode`."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from tqdm import tqdm

from robot_learning.clock import NS_PER_S
from robot_learning.data.codec import encode_jpeg
from robot_learning.data.store import Store, Stream
from robot_learning.errors import StoreError, UserError
from robot_learning.output import unwritable
from robot_learning.rig_parts.sections import TopicConfig

Values = Mapping[str, np.ndarray]  # field of a message to its value
_NOWHERE = np.full(3, np.nan)  # a position that no stream gave: read back, it is refused
_NO_ROTATION = np.zeros(4)  # likewise


CUSTOM = "robot_learning"  # the key of a bag's custom_data under which the episode's metadata is


def require_rosbags() -> Any:
    """The rosbags package's `highlevel`, or the error that says how to get it."""
    try:
        from rosbags import highlevel
    except ImportError:
        raise UserError("bags need rosbags; install it with: pip install 'robot_learning[convert]'.") from None
    return highlevel


def export_bags(
    store: Store,
    folder: Path,
    sources: Mapping[str, TopicConfig],
    namespace: str | None = None,
    episodes: Sequence[str] | None = None,
    progress: bool = True,
) -> int:
    """Write each episode as an MCAP bag `folder/<id>`, on the topics that it would come by; return how many there are.

    Images are written as they are read from the store, decoded. Log times are the receive stamps. An episode's
    metadata is kept in the bag's `custom_data`, for an import.

    Args:
        sources: stream to topic, of every stream that has samples.
        namespace: of the topics; None: the rig's name.

    Raises:
        UserError: a stream without topic; a bag that exists; a place that can't be written.
        StoreError: no episodes.
    """
    require_rosbags()
    chosen = store.episodes() if episodes is None else [store.episode(i) for i in episodes]
    if not chosen:
        raise StoreError(f"{store.path} has no episodes to export.")
    for episode in tqdm(chosen, desc=f"export {folder.name}", unit="episode", disable=None if progress else True):
        path, part = folder / episode.id, folder / f".part-{os.getpid()}"
        if path.exists():
            raise UserError(f"{path} exists; give another folder or delete it first.")
        used = [s for s in episode.streams.values() if len(s)]
        if lost := [s.spec.name for s in used if s.spec.name not in sources]:
            raise UserError(f"episode {episode.id}: the rig names no topic for {', '.join(lost)}; give its own --rig.")
        said = {CUSTOM: json.dumps({"id": episode.id, "metadata": episode.metadata})}
        try:
            encoder = _Encoder(sources, episode.contract.rig if namespace is None else namespace)
            encoder.write(part / episode.id, used, said)
            os.rename(part / episode.id, path)
        except OSError as error:
            raise unwritable(path, error) from None
        finally:
            shutil.rmtree(part, ignore_errors=True)
    return len(chosen)


class _Encoder:
    """Writes streams into a new MCAP bag.

    Args:
        sources: stream to topic.
        namespace: of relative topics.
    """

    def __init__(self, sources: Mapping[str, TopicConfig], namespace: str) -> None:
        from rosbags.typesys import Stores, get_typestore

        self._sources, self._namespace = sources, namespace
        self._store = get_typestore(Stores.ROS2_JAZZY)
        self._small: dict[Stream, np.ndarray] = {}  # streams without images, read at once

    def write(self, path: Path, streams: Sequence[Stream], custom: Mapping[str, str]) -> None:
        """Make the bag, a folder: all samples in order of reception; those of one message become one message again."""
        from rosbags.rosbag2 import CompressionFormat, CompressionMode, StoragePlugin, Writer

        topics: dict[str, list[Stream]] = {}
        for stream in streams:
            topics.setdefault(self._full(stream.spec.name), []).append(stream)
        writer = Writer(path, version=9, storage_plugin=StoragePlugin.MCAP)
        writer.set_compression(CompressionMode.STORAGE, CompressionFormat.ZSTD)
        for key, text in custom.items():
            writer.set_custom_data(key, text)
        with writer as bag:
            queue: list[tuple[int, int, int, str, dict[Stream, int]]] = []
            connections = {}
            for topic, members in topics.items():
                kind = self._type(members[0])
                connections[topic] = bag.add_connection(topic, kind, typestore=self._store)
                for (stamp, received, sequence), at in _messages(members).items():
                    queue.append((received, sequence, stamp, topic, at))
            queue.sort(key=lambda entry: entry[:2])
            self._small = {s: s.read(np.arange(len(s))) for s in streams if len(s.spec.shape) == 1}
            for received, _, stamp, topic, at in queue:
                kind = connections[topic].msgtype
                message = self._message(kind, stamp, at)
                bag.write(connections[topic], received, self._store.serialize_cdr(message, kind))

    def _full(self, stream: str) -> str:
        topic = self._sources[stream].topic
        prefix = self._namespace.strip("/")
        return topic if topic.startswith("/") else f"/{prefix}/{topic}" if prefix else f"/{topic}"

    def _type(self, stream: Stream) -> str:
        return self._sources[stream.spec.name].type.replace("/", "/msg/")

    def _message(self, kind: str, stamp_ns: int, at: Mapping[Stream, int]) -> Any:
        first = next(iter(at))
        config = self._sources[first.spec.name]
        values = {self._sources[s.spec.name].field: self._value(s, i) for s, i in at.items()}
        time = self._make("builtin_interfaces/msg/Time", sec=stamp_ns // NS_PER_S, nanosec=stamp_ns % NS_PER_S)
        header = self._make("std_msgs/msg/Header", stamp=time, frame_id=first.spec.frame)
        return self._make(kind, header=header, **getattr(self, f"_{kind.rsplit('/', 1)[1].lower()}")(values, config))

    def _value(self, stream: Stream, index: int) -> np.ndarray:
        return self._small[stream][index] if stream in self._small else stream.read([index])[0]

    def _make(self, kind: str, **fields: Any) -> Any:
        return self._store.types[kind](**fields)

    def _jointstate(self, values: Values, config: TopicConfig) -> dict[str, Any]:
        numbers = {key: np.asarray(values.get(key, ()), np.float64) for key in ("position", "velocity", "effort")}
        return {"name": list(config.names), **numbers}

    def _posestamped(self, values: Values, config: TopicConfig) -> dict[str, Any]:
        w, x, y, z = map(float, values.get("orientation", _NO_ROTATION))
        turned = self._make("geometry_msgs/msg/Quaternion", x=x, y=y, z=z, w=w)
        place = self._xyz("Point", values.get("position", _NOWHERE))
        return {"pose": self._make("geometry_msgs/msg/Pose", position=place, orientation=turned)}

    def _twiststamped(self, values: Values, config: TopicConfig) -> dict[str, Any]:
        return {"twist": self._pair("Twist", ("linear", "angular"), values, values.get("twist"))}

    def _wrenchstamped(self, values: Values, config: TopicConfig) -> dict[str, Any]:
        return {"wrench": self._pair("Wrench", ("force", "torque"), values, values.get("wrench"))}

    def _pointstamped(self, values: Values, config: TopicConfig) -> dict[str, Any]:
        return {"point": self._xyz("Point", values["point"])}

    def _image(self, values: Values, config: TopicConfig) -> dict[str, Any]:
        pixels = values["image"]
        height, width = pixels.shape[:2]
        little = np.ascontiguousarray(pixels, pixels.dtype.newbyteorder("<"))
        return {
            "height": height, "width": width, "encoding": "rgb8" if pixels.ndim == 3 else "16UC1", "is_bigendian": 0,
            "step": little[0].nbytes, "data": np.frombuffer(little.tobytes(), np.uint8),
        }  # fmt: skip

    def _compressedimage(self, values: Values, config: TopicConfig) -> dict[str, Any]:
        data = np.frombuffer(encode_jpeg(values["image"], 95), np.uint8)
        return {"format": "rgb8; jpeg compressed bgr8", "data": data}

    def _pair(self, kind: str, names: tuple[str, str], values: Values, both: np.ndarray | None) -> Any:
        parts = dict(zip(names, np.split(both, 2), strict=True)) if both is not None else values
        return self._make(
            f"geometry_msgs/msg/{kind}", **{n: self._xyz("Vector3", parts.get(n, _NOWHERE)) for n in names}
        )

    def _xyz(self, kind: str, values: np.ndarray) -> Any:
        x, y, z = map(float, values)
        return self._make(f"geometry_msgs/msg/{kind}", x=x, y=y, z=z)


def _messages(streams: Sequence[Stream]) -> dict[tuple[int, int, int], dict[Stream, int]]:
    """(stamp, received, sequence) of each message to the index that it has in each of the topic's streams."""
    found: dict[tuple[int, int, int], dict[Stream, int]] = {}
    for stream in streams:
        rows = zip(stream.stamp.tolist(), stream.received.tolist(), stream.sequence.tolist(), strict=True)
        for index, key in enumerate(rows):
            found.setdefault(key, {})[stream] = index
    return found
