"""LeRobot's datasets (v3.0 and v2.1), as a source of episodes; `lerobot_layout` says what is where."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from robot_learning.data.importers import SourceEpisode, plain_contract, require_rate
from robot_learning.data.lerobot_layout import (
    BOOKKEEPING,
    INFO,
    column,
    read_episodes,
    read_json,
    read_table,
    require_pyarrow,
    short_name,
)
from robot_learning.data.lerobot_video import read_video
from robot_learning.errors import UserError

UNEVEN = 0.01  # timestamps that are off by more than this part of a step are worth a remark


class LeRobotSource:
    """A LeRobot dataset as a :class:`robot_learning.data.importers.Source`; see `import_dataset` for the arguments.

    LeRobot keeps neither units nor frames, and its timestamps are the step number over the rate: all of that is
    synthesised, and the notes say so. `next.*` (reward, done, success) is recorded only.
    """

    def __init__(self, path: Path, rate_hz: float | None, robot: str, task: str) -> None:
        require_pyarrow()
        self._path = path
        info = read_json(path / INFO)
        self._features = self._usable(info.get("features"))
        videos = [key for key, (kind, _, _) in self._features.items() if kind == "video"]
        self._episodes = read_episodes(path, info, videos)
        if not self._episodes:
            raise UserError(f"{path} has no episodes (meta/episodes).")
        if "action" not in self._features:
            raise UserError(f"{path} has no feature 'action'; it has {', '.join(sorted(self._features))}.")
        self._names = {key: short_name(key) for key in self._features}
        if len(set(self._names.values())) < len(self._names):
            raise UserError(f"{path}: two features would get the same name; rename one: {', '.join(self._names)}.")
        kinds = {self._names[key]: (shape, dtype) for key, (_, shape, dtype) in self._features.items()}
        recorded = [self._names[key] for key in self._features if key.startswith("next.")]
        rate = require_rate(rate_hz if rate_hz is not None else info.get("fps"), str(path))
        robot = robot or str(info.get("robot_type") or path.name)
        self.contract, self._streams = plain_contract(path.name, robot, float(rate), kinds, recorded)
        self.task = task
        self._version = str(info["codebase_version"])
        self._table: tuple[Path, Any] | None = None
        self.notes = [
            *self._left_out,
            "LeRobot's format has no units and no frames: vectors have the unit '1' (dimensionless).",
            "its timestamps are step numbers over the rate, not measurements; received times are the same.",
        ]
        if videos:
            self.notes.append(
                f"videos ({', '.join(videos)}) are kept as ffmpeg decodes them, losslessly, which takes more room."
            )

    def __len__(self) -> int:
        return len(self._episodes)

    def episode(self, index: int) -> SourceEpisode:
        """Read one episode, its videos decoded."""
        row = self._episodes[index]
        table = self._rows(row.data, row.index)
        if len(table) != row.length or not row.length:
            raise UserError(f"{row.data} has {len(table)} steps of episode {row.index}, meta/episodes {row.length}.")
        values = {}
        for key, (kind, shape, dtype) in self._features.items():
            if kind == "video":
                rows = read_video(*row.videos[key], row.length, shape, self.contract.policy_rate_hz)
            elif key not in table.column_names:
                raise UserError(f"{row.data} has no column '{key}', which meta/info.json names.")
            else:
                try:
                    rows = self._pictures(table[key], shape) if kind == "image" else column(table, key, shape, dtype)
                except (ValueError, TypeError, OSError) as error:
                    raise UserError(f"{row.data}: '{key}' of episode {row.index}: {error}.") from None
            values[self._streams[self._names[key]]] = rows
        self._remark(table, row.index)
        keys = {self._streams[name]: key for key, name in self._names.items()}
        return SourceEpisode(values, {"lerobot_version": self._version, "keys": keys}, "" if self.task else row.task)

    def _usable(self, features: Any) -> dict[str, tuple[str, tuple[int, ...], str]]:
        """Key to (kind, shape of one step, dtype), kind being "video", "image" or "numbers"."""
        if not isinstance(features, dict):
            raise UserError(f"{self._path / INFO} does not describe the features.")
        usable: dict[str, tuple[str, tuple[int, ...], str]] = {}
        self._left_out = []
        for key, feature in features.items():
            kind, shape = str(feature.get("dtype")), tuple(feature.get("shape") or ())
            if key in BOOKKEEPING:
                continue
            if kind in ("video", "image"):
                names = feature.get("names") or ()
                first = str(names[0]) if isinstance(names, list) and names else ""
                shape = (*shape[1:], shape[0]) if first.startswith("channel") else shape
                if len(shape) != 3 or shape[2] != 3:
                    self._left_out.append(f"'{key}' was left out: pictures have three colours; it has shape {shape}.")
                    continue
                usable[key] = (kind, shape, "uint8")
            elif kind == "string":
                self._left_out.append(f"'{key}' was left out: it is text.")
            else:
                try:
                    usable[key] = ("numbers", shape, np.dtype(kind).name)
                except TypeError:
                    raise UserError(f"{self._path / INFO}: '{key}' has the dtype '{kind}', which is unknown.") from None
        return usable

    def _rows(self, path: Path, episode: int) -> Any:
        """The rows of one episode; the file last read is kept, for v3.0 has many episodes in one."""
        import pyarrow.compute as compute

        if self._table is None or self._table[0] != path:
            self._table = (path, read_table(path))
        table = self._table[1]
        for name in ("episode_index", "frame_index"):
            if name not in table.column_names:
                raise UserError(f"{path} has no column '{name}', which every LeRobot dataset has.")
        return table.filter(compute.equal(table["episode_index"], episode)).sort_by("frame_index")

    def _pictures(self, column: Any, shape: tuple[int, ...]) -> np.ndarray:
        """A column of encoded images, or of paths of such, as (n, *shape)."""
        out = np.empty((len(column), *shape), np.uint8)
        for i, cell in enumerate(column.to_pylist()):
            source = io.BytesIO(cell["bytes"]) if cell["bytes"] else self._path / cell["path"]
            with Image.open(source) as image:
                out[i] = np.asarray(image.convert("RGB"))
        return out

    def _remark(self, table: Any, episode: int) -> None:
        """Note where timestamps are not what LeRobot makes them."""
        if "timestamp" not in table.column_names:
            return
        rate = self.contract.policy_rate_hz
        off = np.abs(column(table, "timestamp", (), "float64") - np.arange(len(table)) / rate).max()
        if off * rate > UNEVEN:
            self.notes.append(
                f"episode {episode}: timestamps are up to {1e3 * off:.1f} ms off the even rate of {rate:g} Hz, "
                "which is kept instead."
            )
