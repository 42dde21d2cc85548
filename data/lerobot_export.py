"""Export to a LeRobot dataset, version 3.0, which :mod:`robot_learning.data.lerobot` reads back."""

from __future__ import annotations

import contextlib
import io
import json
import os
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
from PIL import Image
from tqdm import tqdm

from robot_learning.contract import Contract, Feature
from robot_learning.data.alignment import align
from robot_learning.data.export import episodes_to_export
from robot_learning.data.lerobot_layout import DATA, EPISODES, INFO, VIDEOS, require_pyarrow
from robot_learning.data.lerobot_stats import describe, pool
from robot_learning.data.lerobot_video import VideoWriter
from robot_learning.data.store import Episode, Store
from robot_learning.data.windows import grid
from robot_learning.errors import StoreError
from robot_learning.output import unwritable, write_json

STATE, ENVIRONMENT, CAMERA = "observation.state", "observation.environment_state", "observation.images."
DATA_MB, VIDEO_MB, FILES_PER_CHUNK = 100, 200, 1000  # LeRobot's own limits
OURS = "meta/robot_learning.json"  # the contract and the episodes' metadata: what LeRobot's format has no place for
Images = Literal["video", "image"]


@dataclass(frozen=True)
class ExportReport:
    """Episodes and steps written, and what a user should know."""

    episodes: int
    steps: int
    notes: list[str]


def export_lerobot(
    store: Store,
    path: str | Path,
    episodes: Sequence[str] | None = None,
    images: Images = "video",
    progress: bool = True,
) -> ExportReport:
    """Write episodes as one LeRobot v3.0 dataset, on the policy's grid.

    Vectors that a robot can know become `observation.state`, those that only a simulator knows (privileged)
    `observation.environment_state`, action features `action`: side by side in the contract's order, as float32.
    Colour streams become `observation.images.<name>`: H.264 videos, or PNG, which loses nothing.

    Raises:
        UserError: pyarrow or ffmpeg is missing; the folder exists; the place can't be written.
        StoreError: no episodes, or one with holes on the grid.
    """
    require_pyarrow()
    path = Path(path)
    chosen, observed = episodes_to_export(store, path, episodes, "a LeRobot dataset")
    contract = chosen[0].contract
    partial = path.with_name(f".{path.name}.part-{os.getpid()}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        writer = _Writer(partial, contract, observed, images)
        try:
            for episode in tqdm(chosen, f"export {path.name}", unit="episode", disable=None if progress else True):
                writer.add(episode)
        finally:
            writer.close()
        writer.finish()
        os.replace(partial, path)
    except OSError as error:
        raise unwritable(path, error) from None
    finally:
        with contextlib.suppress(OSError):
            shutil.rmtree(partial)
    return ExportReport(len(chosen), writer.steps, writer.notes)


class _Writer:
    """A dataset in the making."""

    def __init__(self, root: Path, contract: Contract, observed: Sequence[Feature], images: Images) -> None:
        self.root, self.contract, self.images = root, contract, images
        self.steps = 0
        self.notes: list[str] = []
        colour = [f for f in observed if contract.stream(f.stream).is_image]
        vectors = [f for f in observed if f not in colour and contract.stream(f.stream).unit != "depth_mm"]
        if left := [f.name for f in observed if f not in (*colour, *vectors)]:
            self.notes.append(f"{', '.join(left)}: depth was left out; LeRobot's format has no place for it.")
        self.cameras = {CAMERA + f.name: f for f in colour}
        self.vectors = {
            STATE: [f for f in vectors if not f.privileged],
            ENVIRONMENT: [f for f in vectors if f.privileged],
            "action": list(contract.actions),
        }
        self.vectors = {key: features for key, features in self.vectors.items() if features}
        if any(np.dtype(contract.stream(f.stream).dtype).itemsize > 4 for fs in self.vectors.values() for f in fs):
            self.notes.append("vectors are float32, as LeRobot's policies need them.")
        self._rows: list[dict[str, Any]] = []
        self._stats: dict[str, list[dict[str, np.ndarray]]] = {}
        self._tasks: dict[str, int] = {}
        self._metadata: list[dict[str, Any]] = []
        self._data: Any = None
        self._data_file = -1
        self._data_path = root
        self._videos: dict[str, tuple[int, VideoWriter]] = {}

    def add(self, episode: Episode) -> None:
        """Write one episode."""
        values, times = self._aligned(episode)
        n, index = len(times), len(self._rows)
        task = str(episode.metadata.get("task", ""))
        number = self._tasks.setdefault(task, len(self._tasks))
        success = np.arange(n) == n - 1
        steps = {
            "next.done": success,
            "next.success": success & (episode.metadata.get("outcome") == "success"),
            "timestamp": (np.arange(n) / self.contract.policy_rate_hz).astype(np.float32),
            "frame_index": np.arange(n),
            "episode_index": np.full(n, index),
            "index": np.arange(self.steps, self.steps + n),
            "task_index": np.full(n, number),
        }
        row: dict[str, Any] = {"episode_index": index, "tasks": [task], "length": n}
        row |= {"dataset_from_index": self.steps, "dataset_to_index": self.steps + n}
        for key in self.cameras if self.images == "video" else ():
            row |= self._video(key, values[key], n)
        row |= self._table({**values, **steps})
        for key, numbers in {**values, **steps}.items():
            stats = describe(numbers if numbers.ndim > 1 else numbers[:, None])
            self._stats.setdefault(key, []).append(stats)
            row |= {f"stats/{key}/{name}": value.tolist() for name, value in stats.items()}
        self._rows.append(row | {"meta/episodes/chunk_index": 0, "meta/episodes/file_index": 0})
        self._metadata.append({"id": episode.id, "first_stamp_ns": int(times[0]), **episode.metadata})
        self.steps += n

    def _aligned(self, episode: Episode) -> tuple[dict[str, np.ndarray], np.ndarray]:
        """Key to values on the grid, and its times."""
        features = [*self.cameras.values(), *(f for group in self.vectors.values() for f in group)]
        times = grid(self.contract, episode.streams, [f.name for f in features])
        read = {f: align(f, self.contract.stream(f.stream), episode.streams[f.stream], times) for f in features}
        whole = np.logical_and.reduce([aligned.valid for aligned in read.values()])
        kept = np.flatnonzero(whole)
        if not len(kept) or len(kept) != kept[-1] - kept[0] + 1:
            hole = times[kept[0] + int(np.argmin(whole[kept[0] :]))] if len(kept) else episode.start_ns
            raise StoreError(
                f"episode {episode.id} has no valid value of every feature at {(hole - episode.start_ns) / 1e9:.3f} s; "
                "trim it there, or leave it out."
            )
        values = {key: read[f].values[kept] for key, f in self.cameras.items()}
        for key, group in self.vectors.items():
            parts = [read[f].values[kept].reshape(len(kept), -1) for f in group]
            values[key] = np.concatenate(parts, axis=1).astype(np.float32)
        return values, times[kept]

    def _video(self, key: str, frames: np.ndarray, n: int) -> dict[str, Any]:
        """Append to the camera's video, or begin the next; where the episode is in it."""
        fps = self.contract.policy_rate_hz
        number, video = self._videos.get(key, (-1, None))
        if video is None or video.size > VIDEO_MB * 1_000_000:
            if video is not None:
                video.close()
            number += 1
            path = self.root / VIDEOS.format(video_key=key, **_place(number))
            video = VideoWriter(path, frames.shape[1:], fps)
            self._videos[key] = (number, video)
        first = video.frames
        video.write(frames)
        span = {"from_timestamp": first / fps, "to_timestamp": (first + n) / fps}
        return {f"videos/{key}/{name}": value for name, value in {**_place(number), **span}.items()}

    def _table(self, values: Mapping[str, np.ndarray]) -> dict[str, Any]:
        """Append the steps to the data file, or begin the next; where they are."""
        import pyarrow as pa

        columns = {}
        for key, rows in values.items():
            if key in self.cameras:
                if self.images == "image":
                    cells = [{"bytes": _png(frame), "path": None} for frame in rows]
                    columns[key] = pa.array(cells, pa.struct({"bytes": pa.binary(), "path": pa.string()}))
            elif rows.ndim == 2 and rows.shape[1] > 1:
                columns[key] = pa.FixedSizeListArray.from_arrays(pa.array(rows.ravel()), rows.shape[1])
            else:
                columns[key] = pa.array(rows.ravel())
        table = pa.table(columns)
        if self._data is None or self._data_path.stat().st_size > DATA_MB * 1_000_000:
            if self._data is not None:
                self._data.close()
            self._data_file += 1
            self._data_path = self.root / DATA.format(**_place(self._data_file))
            self._data_path.parent.mkdir(parents=True, exist_ok=True)
            self._data = require_pyarrow().ParquetWriter(self._data_path, table.schema)
        self._data.write_table(table)
        return {f"data/{name}": value for name, value in _place(self._data_file).items()}

    def close(self) -> None:
        """Finish all open files."""
        if self._data is not None:
            self._data.close()
        for _, video in self._videos.values():
            video.close()

    def finish(self) -> None:
        """Write what is known only at the end."""
        import pyarrow as pa

        parquet = require_pyarrow()
        path = self.root / EPISODES.format(chunk_index=0, file_index=0)
        path.parent.mkdir(parents=True, exist_ok=True)
        parquet.write_table(pa.Table.from_pylist(self._rows), path)
        parquet.write_table(_tasks(self._tasks), self.root / "meta/tasks.parquet")
        stats = {key: pool(parts) for key, parts in self._stats.items()}
        write_json(
            self.root / "meta/stats.json",
            {key: {name: value.tolist() for name, value in s.items()} for key, s in stats.items()},
        )
        write_json(self.root / OURS, {"contract": self.contract.to_json(), "episodes": self._metadata})
        write_json(self.root / INFO, self._info())

    def _info(self) -> dict[str, Any]:
        rate, video = self.contract.policy_rate_hz, self.images == "video" and self.cameras
        features: dict[str, Any] = {}
        for key, f in self.cameras.items():
            shape = list(self.contract.stream(f.stream).shape)
            features[key] = {"dtype": self.images, "shape": shape, "names": ["height", "width", "channels"]}
            if self.images == "video":
                features[key]["info"] = {
                    "video.height": shape[0], "video.width": shape[1], "video.codec": "h264",
                    "video.pix_fmt": "yuv420p", "video.is_depth_map": False, "video.fps": rate,
                    "video.channels": 3, "has_audio": False,
                }  # fmt: skip
        for key, group in self.vectors.items():
            names = [f"{f.name}.{i}" for f in group for i in range(self._width(f))]
            features[key] = {"dtype": "float32", "shape": [len(names)], "names": names}
        for key in ("next.done", "next.success"):
            features[key] = {"dtype": "bool", "shape": [1], "names": None}
        features["timestamp"] = {"dtype": "float32", "shape": [1], "names": None}
        for key in ("frame_index", "episode_index", "index", "task_index"):
            features[key] = {"dtype": "int64", "shape": [1], "names": None}
        return {
            "codebase_version": "v3.0",
            "robot_type": self.contract.robot,
            "total_episodes": len(self._rows),
            "total_frames": self.steps,
            "total_tasks": len(self._tasks),
            "chunks_size": FILES_PER_CHUNK,
            "data_files_size_in_mb": DATA_MB,
            "video_files_size_in_mb": VIDEO_MB,
            "fps": int(rate) if rate == int(rate) else rate,
            "splits": {"train": f"0:{len(self._rows)}"},
            "data_path": DATA,
            "video_path": VIDEOS if video else None,
            "features": features,
        }

    def _width(self, feature: Feature) -> int:
        return int(np.prod(self.contract.stream(feature.stream).shape, dtype=int))


def _place(number: int) -> dict[str, int]:
    return {"chunk_index": number // FILES_PER_CHUNK, "file_index": number % FILES_PER_CHUNK}


def _png(frame: np.ndarray) -> bytes:
    out = io.BytesIO()
    Image.fromarray(frame).save(out, "PNG", compress_level=1)
    return out.getvalue()


def _tasks(tasks: Mapping[str, int]) -> Any:
    """The table that pandas would write of a frame whose index is the task: LeRobot reads it with pandas."""
    import pyarrow as pa

    kinds = [("task_index", "int64", "int64"), ("task", "unicode", "object")]
    columns = [{"name": n, "field_name": n, "pandas_type": p, "numpy_type": k, "metadata": None} for n, p, k in kinds]
    described = {"index_columns": ["task"], "column_indexes": [], "columns": columns, "pandas_version": "2.0.0"}
    table = pa.table({"task_index": pa.array(tasks.values(), pa.int64()), "task": pa.array(tasks.keys(), pa.string())})
    return table.replace_schema_metadata({"pandas": json.dumps(described)})
