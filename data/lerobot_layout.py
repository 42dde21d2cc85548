"""The layout of LeRobot's datasets on disk, versions 3.0 and 2.1 (Cadene et al., github.com/huggingface/lerobot).

meta/info.json      fps, robot_type, features (key to dtype, shape, names), and the patterns of the paths below
meta/stats.json     of each feature (v2.1: of each episode, episodes_stats.jsonl)
v3.0: many episodes share a file
    meta/tasks.parquet                      task text (pandas' index), task_index
    meta/episodes/chunk-000/file-000.parquet
                                            one row per episode: length, tasks, and where its rows and frames are
    data/chunk-000/file-000.parquet         one row per step
    videos/<key>/chunk-000/file-000.mp4
v2.1: a file for each episode
    meta/tasks.jsonl, meta/episodes.jsonl
    data/chunk-000/episode_000000.parquet
    videos/chunk-000/<key>/episode_000000.mp4
"""

from __future__ import annotations

import importlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from robot_learning.errors import UserError

INFO = "meta/info.json"
FILE = "chunk-{chunk_index:03d}/file-{file_index:03d}"
DATA, EPISODES, VIDEOS = f"data/{FILE}.parquet", f"meta/episodes/{FILE}.parquet", f"videos/{{video_key}}/{FILE}.mp4"
BOOKKEEPING = ("timestamp", "frame_index", "episode_index", "index", "task_index")  # columns that every dataset has
PREFIXES = ("observation.images.", "observation.")  # what keys lose on their way to being a stream's name


def require_pyarrow() -> Any:
    """The module pyarrow.parquet, or the error that says how to get it."""
    try:
        return importlib.import_module("pyarrow.parquet")
    except ImportError:
        raise UserError(
            "LeRobot's datasets need pyarrow; install it with: pip install 'robot_learning[convert]'."
        ) from None


def short_name(key: str) -> str:
    """LeRobot's key of a feature without the prefixes that all have: `observation.images.top` to `top`."""
    for prefix in PREFIXES:
        key = key.removeprefix(prefix)
    return key


def is_dataset(path: Path) -> bool:
    """Whether a folder is a LeRobot dataset."""
    return (path / INFO).is_file()


@dataclass(frozen=True)
class EpisodeRow:
    """Where one episode is.

    Attributes:
        task: what it does.
        length: steps.
        data: the parquet file that holds them.
        videos: key to file and the time at which the episode begins in it [s].
    """

    index: int
    task: str
    length: int
    data: Path
    videos: dict[str, tuple[Path, float]]


def read_json(path: Path) -> dict[str, Any]:
    """A JSON object; UserError where there is none."""
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise UserError(f"can't read {path}: {error.strerror}.") from None
    except ValueError:
        content = None
    if not isinstance(content, dict):
        raise UserError(f"{path} is not a JSON object.")
    return content


def read_table(path: Path, columns: list[str] | None = None) -> Any:
    """A parquet file as a pyarrow table; UserError where it can't be read."""
    import pyarrow

    parquet = require_pyarrow()
    try:
        return parquet.read_table(path, columns=columns)
    except FileNotFoundError:
        raise UserError(f"the dataset has no {path}; copy it again.") from None
    except (OSError, pyarrow.ArrowException) as error:
        raise UserError(f"can't read {path}: {' '.join(str(error).split())[:200]}.") from None


def read_episodes(root: Path, info: dict[str, Any], video_keys: list[str]) -> list[EpisodeRow]:
    """All episodes in order; UserError where the version is neither 3.0 nor 2.1, or something is missing."""
    version = str(info.get("codebase_version"))
    try:
        if version.startswith("v3."):
            return _episodes_v3(root, info, video_keys)
        if version in ("v2.0", "v2.1"):
            return _episodes_v2(root, info, video_keys)
    except KeyError as error:
        raise UserError(f"{root}: the meta data of a LeRobot dataset {version} should have {error}.") from None
    raise UserError(f"{root} is a LeRobot dataset of version {version}; versions v3.0 and v2.1 can be imported.")


def _episodes_v3(root: Path, info: dict[str, Any], video_keys: list[str]) -> list[EpisodeRow]:
    files = sorted((root / "meta/episodes").glob("*/*.parquet"))
    found = []
    for file in files:
        table = read_table(file)
        kept = [name for name in table.column_names if not name.startswith("stats/")]
        for row in table.select(kept).to_pylist():
            at = {"chunk_index": row["data/chunk_index"], "file_index": row["data/file_index"]}
            videos = {}
            for key in video_keys:
                where = {part: row[f"videos/{key}/{part}"] for part in ("chunk_index", "file_index")}
                path = root / info["video_path"].format(video_key=key, **where)
                videos[key] = (path, float(row[f"videos/{key}/from_timestamp"]))
            path = root / info["data_path"].format(**at)
            found.append(EpisodeRow(row["episode_index"], _text(row["tasks"]), row["length"], path, videos))
    return sorted(found, key=lambda e: e.index)


def _episodes_v2(root: Path, info: dict[str, Any], video_keys: list[str]) -> list[EpisodeRow]:
    path, found = root / "meta/episodes.jsonl", []
    try:
        rows = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines() if line.strip()]
    except OSError as error:
        raise UserError(f"can't read {path}: {error.strerror}.") from None
    except ValueError:
        raise UserError(f"{path} is not JSON, one object a line.") from None
    for row in rows:
        index = row["episode_index"]
        at = {"episode_chunk": index // info["chunks_size"], "episode_index": index}
        videos = {key: (root / info["video_path"].format(video_key=key, **at), 0.0) for key in video_keys}
        data = root / info["data_path"].format(**at)
        found.append(EpisodeRow(index, _text(row["tasks"]), row["length"], data, videos))
    return sorted(found, key=lambda e: e.index)


def _text(tasks: Any) -> str:
    return tasks if isinstance(tasks, str) else "; ".join(tasks)


def column(table: Any, key: str, shape: tuple[int, ...], dtype: str) -> np.ndarray:
    """A column of numbers, however deep its lists, as (n, *shape); ValueError where they don't fit."""
    values = table[key].combine_chunks()
    while hasattr(values, "storage") or hasattr(values, "flatten"):
        values = values.storage if hasattr(values, "storage") else values.flatten()
    flat = np.asarray(values.to_numpy(zero_copy_only=False))
    cast = flat.astype(dtype, copy=False)
    if not np.array_equal(cast.astype(flat.dtype), flat, equal_nan=flat.dtype.kind == "f"):
        raise ValueError(f"{flat.dtype} values lose digits as {dtype}")
    return cast.reshape(len(table), *shape)
