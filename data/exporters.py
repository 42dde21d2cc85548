"""Export to robomimic's HDF5 layout, which :mod:`robot_learning.data.robomimic` describes and reads back."""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from tqdm import tqdm

from robot_learning.contract import Contract, Feature
from robot_learning.data.alignment import align
from robot_learning.data.export import episodes_to_export
from robot_learning.data.robomimic import RECORDED_ONLY, require_h5py
from robot_learning.data.store import Episode, Store
from robot_learning.data.windows import grid, step_ns
from robot_learning.errors import StoreError
from robot_learning.output import unwritable


def export_robomimic(
    store: Store, path: str | Path, episodes: Sequence[str] | None = None, progress: bool = True
) -> int:
    """Write episodes to one robomimic file, on the policy's grid, and return how many there are.

    All observations that every episode has are written, in the contract's units; `actions` are the action features
    side by side. `rewards` and `dones` are those recorded, else 1 at the last step of a success and at the last step.
    Filter keys are those imported, and `success`.

    Raises:
        UserError: h5py is missing; the file exists; the place can't be written.
        StoreError: no episodes, or one with holes on the grid.
    """
    h5py = require_h5py()
    path = Path(path)
    chosen, observed = episodes_to_export(store, path, episodes, "robomimic's format")
    contract = chosen[0].contract
    partial = path.with_name(f".{path.name}.part-{os.getpid()}")
    masks: dict[str, list[str]] = {}
    total = 0
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with h5py.File(partial, "w") as file:
            data = file.create_group("data")
            shown = tqdm(chosen, desc=f"export {path.name}", unit="episode", disable=None if progress else True)
            for k, episode in enumerate(shown):
                total += _write(data.create_group(f"demo_{k}"), contract, episode, observed)
                names = list((episode.metadata.get("provenance") or {}).get("filter_keys", []))
                if episode.metadata.get("outcome") == "success" and "success" not in names:
                    names.append("success")
                for name in names:
                    masks.setdefault(name, []).append(f"demo_{k}")
            data.attrs["total"] = total
            data.attrs["env_args"] = json.dumps(_env_args(contract, chosen[0]))
            data.attrs["contract"] = json.dumps(contract.to_json())
            for name, demos in masks.items():
                file[f"mask/{name}"] = np.array(demos, dtype="S")
        os.replace(partial, path)
    except OSError as error:
        raise unwritable(path, error) from None
    finally:
        with contextlib.suppress(OSError):
            partial.unlink(missing_ok=True)
    return len(chosen)


def _write(demo: Any, contract: Contract, episode: Episode, observed: Sequence[Feature]) -> int:
    """Fill one demo and return its number of steps."""
    provenance = episode.metadata.get("provenance") or {}
    keys = provenance.get("keys", {})
    actions = contract.actions
    times = grid(contract, episode.streams, [f.name for f in (*observed, *actions)])
    after = np.append(times, times[-1:] + step_ns(contract))  # one more, for the last next_obs
    obs = {f: align(f, contract.stream(f.stream), episode.streams[f.stream], after) for f in observed}
    act = [align(f, contract.stream(f.stream), episode.streams[f.stream], times) for f in actions]
    whole = np.logical_and.reduce([a.valid for a in act] + [a.valid[:-1] for a in obs.values()])
    kept = np.flatnonzero(whole)
    if not len(kept) or len(kept) != kept[-1] - kept[0] + 1:
        hole = times[kept[0] + int(np.argmin(whole[kept[0] :]))] if len(kept) else episode.start_ns
        raise StoreError(
            f"episode {episode.id} has no valid value of every feature at {(hole - episode.start_ns) / 1e9:.3f} s; "
            "trim it there, or leave it out."
        )
    rows = slice(int(kept[0]), int(kept[-1]) + 1)
    times = times[rows]
    for feature, aligned in obs.items():
        key = keys.get(feature.stream, feature.name)
        last = rows.stop if aligned.valid[rows.stop] else rows.stop - 1
        following = np.concatenate([aligned.values[rows.start + 1 : rows.stop], aligned.values[last : last + 1]])
        _dataset(demo, f"obs/{key}", aligned.values[rows])
        _dataset(demo, f"next_obs/{key}", following)
    _dataset(demo, "actions", np.concatenate([a.values[rows].reshape(len(times), -1) for a in act], axis=1))
    ended = np.arange(len(times)) == len(times) - 1
    success = episode.metadata.get("outcome") == "success"
    computed = {"rewards": (ended & success).astype(float), "dones": ended.astype(int)}
    for name in RECORDED_ONLY:
        values = _recorded(contract, episode, name, times)
        if values is None:
            values = computed.get(name)
        if values is not None:
            _dataset(demo, name, values)
    demo.attrs["num_samples"] = len(times)
    demo.attrs["episode"] = episode.id
    demo.attrs["task"] = episode.metadata.get("task", "")
    return len(times)


def _recorded(contract: Contract, episode: Episode, name: str, times: np.ndarray) -> np.ndarray | None:
    """A stream that only robomimic gives a meaning, where an import has kept one."""
    stream = episode.streams.get(name)
    if stream is None or not len(stream):
        return None
    near = Feature(name=name, stream=name, role="action", alignment="nearest", max_age_s=1 / contract.policy_rate_hz)
    return align(near, stream.spec, stream, times).values


def _dataset(group: Any, name: str, values: np.ndarray) -> None:
    picture = values.ndim >= 3 and values.dtype in (np.uint8, np.uint16)
    # One chunk per frame: a reader of single steps then decodes single frames.
    how = {"chunks": (1, *values.shape[1:]), "compression": "gzip", "compression_opts": 1} if picture else {}
    group.create_dataset(name, data=values, **how)


def _env_args(contract: Contract, episode: Episode) -> dict[str, Any]:
    given = (episode.metadata.get("provenance") or {}).get("env_args")
    if given:
        return dict(given)
    # type 2 is robomimic's "gym": environments that robomimic makes by name
    return {"env_name": contract.rig, "type": 2, "env_kwargs": {"control_freq": contract.policy_rate_hz}}
