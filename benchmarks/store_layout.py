"""A sealed episode as a directory, or as one zip file? The measurement behind docs/store.md.

    python benchmarks/store_layout.py [--seconds 30]

One episode (two 640x480 JPEG cameras and a depth camera at 30 Hz, robot state at 1 kHz) in four forms:
the directory that the store uses; the same with stamp, received and sequence as arrays of their own; zarr's
ZipStore around the same shards; ZipStore with one member per frame. Members are stored, not compressed.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import sys
import tempfile
import time
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np
import zarr
from recorder import contract, pictures
from zarr.storage import ZipStore

from robot_learning.data.format import TIME, TIME_COLUMNS, ArrayLayout, dump, layout_of
from robot_learning.data.sample import Sample
from robot_learning.data.shardreader import read_shard
from robot_learning.data.shards import ArrayWriter
from robot_learning.data.store import Episode, Store
from robot_learning.data.writer import EpisodeWriter

READS = 200


def record(store: Store, seconds: float) -> tuple[Episode, float]:
    """One episode, flushed each second as the recorder does; returns it and the time that sealing took [s]."""
    rng = np.random.default_rng(0)
    specs = contract().streams
    content: dict[str, list[np.ndarray]] = {s.name: pictures(s, rng) for s in specs[:3]}
    content |= {s.name: list(rng.normal(size=(997, 7))) for s in specs[3:]}
    writer = EpisodeWriter(store, contract(), {"task": "benchmark"})
    for second in range(int(seconds)):
        for spec in specs:
            rate = int(spec.rate_hz)
            for k in range(second * rate, (second + 1) * rate):
                stamp = int(k * 1e9 / rate + rng.integers(100_000))
                value = content[spec.name][k % len(content[spec.name])]
                writer.append([Sample(spec.name, stamp, stamp + int(rng.integers(10**6)), k, value)])
        writer.flush()
    began = time.perf_counter()
    episode = writer.seal(None, "benchmark")
    return episode, time.perf_counter() - began


def three_arrays(episode: Episode, target: Path) -> None:
    """A copy with three one-column arrays in place of each `time`."""
    shutil.copytree(episode.path, target)
    root = json.loads((target / "zarr.json").read_text())
    nodes = root["consolidated_metadata"]["metadata"]
    layout = ArrayLayout((), "int64")
    for name, stream in episode.streams.items():
        shutil.rmtree(target / name / "time")
        del nodes[f"{name}/time"]
        for column, values in zip(TIME_COLUMNS, (stream.stamp, stream.received, stream.sequence), strict=True):
            path = target / name / column
            path.mkdir()
            array = ArrayWriter(path, layout)
            array.push(values)
            array.finish()
            nodes[f"{name}/{column}"] = layout.metadata(len(values))
            (path / "zarr.json").write_bytes(dump(nodes[f"{name}/{column}"]))
    (target / "zarr.json").write_bytes(dump(root))


def zip_members(members: dict[str, bytes | Path], target: Path) -> float:
    """Write a zip of stored members and sync it; returns the time that took [s]."""
    began = time.perf_counter()
    with target.open("wb") as file:
        with zipfile.ZipFile(file, "w", zipfile.ZIP_STORED) as archive:
            for name, content in members.items():
                archive.writestr(name, content.read_bytes() if isinstance(content, Path) else content)
        file.flush()
        os.fsync(file.fileno())
    return time.perf_counter() - began


def unsharded(episode: Episode) -> dict[str, bytes | Path]:
    """Members of a zip where every chunk is a member of its own."""
    members: dict[str, bytes | Path] = {}
    root = json.loads((episode.path / "zarr.json").read_text())
    nodes: dict[str, Any] = root["consolidated_metadata"]["metadata"]
    for node, document in nodes.items():
        if document["node_type"] == "array":
            sharding = document["codecs"][0]["configuration"]
            document["chunk_grid"]["configuration"]["chunk_shape"] = sharding["chunk_shape"]
            document["codecs"] = sharding["codecs"]
            stream, array = node.split("/")
            layout = layout_of(episode.contract.stream(stream)) if array == "data" else TIME
            chunks = -(-document["shape"][0] // layout.chunk)
            for shard in range(-(-chunks // 256)):
                path = episode.path / node / layout.shard_name.format(shard)
                for i, chunk in enumerate(read_shard(path, min(256, chunks - 256 * shard))):
                    assert chunk is not None
                    members[f"{node}/{layout.shard_name.format(256 * shard + i)}"] = chunk
        members[f"{node}/zarr.json"] = dump(document)
    members["zarr.json"] = dump(root)
    return members


def milliseconds_per_read(array: Any, episode: Episode) -> float:
    """Median over random frames of `array[i]`, each checked for its shape."""
    rng = np.random.default_rng(1)
    times = []
    for i in rng.integers(0, len(episode.streams["front"]), READS):
        began = time.perf_counter()
        frame = array(int(i))
        times.append(time.perf_counter() - began)
        assert frame.shape == (480, 640, 3)
    return 1e3 * float(np.median(times))


def milliseconds(action: Callable[[], object], repeat: int = 5) -> float:
    """Median time of an action."""
    times = []
    for _ in range(repeat):
        began = time.perf_counter()
        action()
        times.append(time.perf_counter() - began)
    return 1e3 * float(np.median(times))


def copy(source: Path, target: Path) -> None:
    """Copy a file or a tree and sync every file, as an upload would have to."""
    if source.is_file():
        shutil.copyfile(source, target)
        files = [target]
    else:
        shutil.copytree(source, target)
        files = [p for p in target.rglob("*") if p.is_file()]
    for path in files:
        with path.open("rb") as file:
            os.fsync(file.fileno())
    shutil.rmtree(target) if target.is_dir() else target.unlink()


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=30.0)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        base = Path(folder)
        episode, seal_s = record(Store.create(base / "store"), options.seconds)
        three_arrays(episode, base / "three")
        shards = {str(p.relative_to(episode.path)): p for p in episode.path.rglob("*") if p.is_file()}
        zip_s = zip_members(dict(shards), base / "shards.zip")
        frames = unsharded(episode)
        frames_s = zip_members(frames, base / "frames.zip")
        size = sum(p.stat().st_size for p in shards.values())
        print(f"one episode of {options.seconds:.0f} s, {len(episode.contract.streams)} streams, {size / 2**20:.0f} MB")
        print(f"{'form':<34}{'files':>6}{'seal ms':>9}{'open ms':>9}{'frame ms':>10}{'copy ms':>9}")
        rows = (
            ("directory (the store)", episode.path, seal_s),
            ("directory, three time arrays", base / "three", None),
            ("zip of shards", base / "shards.zip", seal_s + zip_s),
            ("zip of frames", base / "frames.zip", frames_s),
        )
        for name, path, sealing in rows:

            def opened(path: Path = path) -> zarr.Group:
                return zarr.open_group(ZipStore(path, mode="r") if path.is_file() else path, mode="r")

            count = 1 if path.is_file() else sum(p.is_file() for p in path.rglob("*"))
            front: Any = opened()["front/data"]
            per_frame = milliseconds_per_read(lambda i, front=front: front[i], episode)
            took = "" if sealing is None else f"{1e3 * sealing:.0f}"
            print(
                f"{name:<34}{count:>6}{took:>9}{milliseconds(opened):>9.1f}{per_frame:>10.2f}"
                f"{milliseconds(lambda path=path: copy(path, base / 'copy'), 3):>9.0f}"
            )
        own = milliseconds_per_read(lambda i: episode.streams["front"].read([i])[0], episode)
        print(f"store_layout: a frame through Stream.read takes {own:.2f} ms, decoding included")
    return 0


if __name__ == "__main__":
    sys.exit(main())
