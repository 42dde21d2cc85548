"""robomimic's HDF5 files (Mandlekar et al., CoRL 2021), as a source of episodes.

data                    attributes: env_args (JSON), total
data/demo_<k>           attribute: num_samples
    actions             (T, Da)
    obs/<key>           (T, ...) before each action
    next_obs/<key>      (T, ...) after each action
    states, rewards, dones
mask/<name>             names of demos
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np

from robot_learning.data.importers import SourceEpisode, plain_contract, require_rate
from robot_learning.errors import UserError

RECORDED_ONLY = ("states", "rewards", "dones")


def require_h5py() -> Any:
    """The h5py module, or the error that says how to get it."""
    try:
        import h5py
    except ImportError:
        raise UserError("robomimic files need h5py; install it with: pip install 'robot_learning[convert]'.") from None
    return h5py


class RobomimicSource:
    """A robomimic file as a :class:`robot_learning.data.importers.Source`; see `import_dataset` for the arguments.

    Observations become streams with one sample more than there are actions: the last `next_obs`.
    Quaternions keep the source's order (robosuite: scalar last) and so have the unit "1".
    """

    def __init__(self, path: Path, rate_hz: float | None, robot: str, task: str) -> None:
        h5py = require_h5py()
        self._path = path
        self.notes: list[str] = []
        try:
            self._file = h5py.File(path, "r")
        except OSError as error:
            raise UserError(f"{path} can't be read as HDF5: {error}.") from None
        data = self._file.get("data")
        self._demos = sorted(
            (name for name in data or () if name.startswith("demo_") and name[5:].isdigit()), key=lambda n: int(n[5:])
        )
        if not self._demos:
            raise UserError(f"{path} is not a robomimic file: it has no data/demo_<k>.")
        self._env_args = self._json(data.attrs.get("env_args"))
        arguments = self._env_args.get("env_kwargs") or {}
        robots = arguments.get("robots")
        robots = [robots] if isinstance(robots, str) else robots
        rate = require_rate(rate_hz if rate_hz is not None else arguments.get("control_freq"), str(path))

        first = self._kinds(self._demos[0])
        for demo in self._demos[1:]:
            if (kinds := self._kinds(demo)) != first:
                key = next(k for k in {**first, **kinds} if first.get(k) != kinds.get(k))
                raise UserError(
                    f"{path}: {key} of {demo} is {_told(kinds.get(key))}, of {self._demos[0]} {_told(first.get(key))}; "
                    "all demos must have the same."
                )
        # Keys of observations lose their "obs/"; the action is called as everywhere.
        self._keys = {"actions": "action"} | {k: k.removeprefix("obs/") for k in first if k != "actions"}
        if len(set(self._keys.values())) < len(self._keys):
            raise UserError(
                f"{path}: an observation is called like one of actions, {', '.join(RECORDED_ONLY)}; rename it."
            )
        self.contract, self._streams = plain_contract(
            path.stem,
            robot or (str(robots[0]).lower() if robots else path.stem),
            float(rate),
            {self._keys[k]: kind for k, kind in first.items()},
            RECORDED_ONLY,
        )
        self.task = task or str(self._env_args.get("env_name", ""))
        if any("model_file" in data[demo].attrs for demo in self._demos):
            self.notes.append("the simulator models of the demos (attribute model_file) were left out.")

    def __len__(self) -> int:
        return len(self._demos)

    def episode(self, index: int) -> SourceEpisode:
        """Read one demo."""
        demo = self._demos[index]
        group = self._file["data"][demo]
        values = {}
        for key, name in self._keys.items():
            try:
                rows = np.asarray(group[key])
                following = np.asarray(group[f"next_{key}"]) if f"next_{key}" in group else None
            except (OSError, ValueError) as error:
                raise UserError(f"{self._path}: {key} of {demo} can't be read: {error}.") from None
            if key.startswith("obs/") and following is not None and following.shape == rows.shape:
                rows = np.concatenate([rows, following[-1:]])
            values[self._streams[name]] = rows
        mask = self._file.get("mask", {})
        keys = {self._streams[name]: key.removeprefix("obs/") for key, name in self._keys.items() if key != "actions"}
        return SourceEpisode(
            values,
            {
                "demo": demo,
                "keys": keys,
                "env_args": self._env_args,
                "filter_keys": sorted(n for n in mask if demo in {_text(d) for d in mask[n][:]}),
            },
        )

    def _kinds(self, demo: str) -> dict[str, tuple[tuple[int, ...], str]]:
        """Key to (shape of one step, dtype), once lengths are known to agree."""
        h5py = require_h5py()
        group, where = self._file["data"][demo], f"{self._path}: {demo}"
        if "actions" not in group or not isinstance(group.get("obs"), h5py.Group) or not len(group["obs"]):
            raise UserError(f"{where} lacks actions or obs; it has {', '.join(sorted(group))}.")
        keys = ["actions", *(k for k in RECORDED_ONLY if k in group), *(f"obs/{k}" for k in sorted(group["obs"]))]
        length = int(group.attrs.get("num_samples", len(group["actions"])))
        kinds = {}
        for key in keys:
            data = group[key]
            if not isinstance(data, h5py.Dataset) or data.dtype.kind not in "biuf":
                raise UserError(f"{where}: {key} is not an array of numbers; it can't be imported.")
            if not data.ndim or len(data) != length or not length:
                raise UserError(f"{where}: {key} has {data.shape[:1] or 'no'} steps, num_samples says {length}.")
            kinds[key] = (tuple(data.shape[1:]), data.dtype.name)
        if len(kinds["actions"][0]) != 1:
            raise UserError(f"{where}: an action is a vector; got {kinds['actions'][0]} per step.")
        return kinds

    def _json(self, text: Any) -> dict[str, Any]:
        if text is None:
            return {}
        try:
            content = json.loads(text)
        except (TypeError, ValueError):
            content = None
        if not isinstance(content, dict):
            raise UserError(f"{self._path}: the attribute env_args is not a JSON object.")
        return content


def _text(value: Any) -> str:
    return value.decode() if isinstance(value, bytes) else str(value)


def _told(kind: tuple[tuple[int, ...], str] | None) -> str:
    return f"{kind[1]} {kind[0]}" if kind else "absent"
