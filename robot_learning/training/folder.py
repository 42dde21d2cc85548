"""The folder of a run: `train.json`, `metrics.jsonl`, `checkpoints/<step>/`, `state/<step>/`, `tensorboard/`."""

from __future__ import annotations

import json
import shutil
from dataclasses import dataclass, fields
from pathlib import Path

from robot_learning.errors import ConfigError, StoreError
from robot_learning.output import prepare_folder, write_json
from robot_learning.training.config import TrainConfig

RECORD, METRICS = "train.json", "metrics.jsonl"
STATES, CHECKPOINTS = "state", "checkpoints"
FREE = {"store", "output", "cache", "resume", "overwrite"}  # may change on resume; the data's hash is checked


@dataclass(frozen=True)
class RunRecord:
    """What a run began with.

    Attributes:
        snapshot: hash of its data.
        train_episodes, val_episodes: ids.
        windows: how many it trains on.
        processes: how many train together; each adds a batch to every step.
    """

    config: TrainConfig
    snapshot: str
    train_episodes: tuple[str, ...]
    val_episodes: tuple[str, ...]
    windows: int
    processes: int

    def facts(self) -> dict[str, object]:
        """All but the configuration, JSON-ready."""
        return {f.name: getattr(self, f.name) for f in fields(self) if f.name != "config"}

    def write(self, output: Path) -> None:
        """Write `train.json`."""
        write_json(output / RECORD, {"config": self.config.to_json(), **self.facts()})

    @staticmethod
    def read(output: Path) -> RunRecord:
        """The record of the run in `output`.

        Raises:
            StoreError: there is none, or it can't be read.
        """
        path = output / RECORD
        try:
            content = json.loads(path.read_text(encoding="utf-8"))
            config = TrainConfig.from_json(content["config"], str(path))
            train, held_out = tuple(content["train_episodes"]), tuple(content["val_episodes"])
            return RunRecord(config, content["snapshot"], train, held_out, content["windows"], content["processes"])
        except FileNotFoundError:
            raise StoreError(f"there is no run to resume in {output}: it has no {RECORD}.") from None
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise StoreError(f"can't read {path}: {' '.join(str(error).split())}.") from None


def check_free(output: Path, overwrite: bool) -> None:
    """Make the folder of a new run and prove that it can be written.

    Raises:
        StoreError: another run is there, and `overwrite` is not set.
        UserError: it can't be written.
    """
    if not overwrite and ((output / RECORD).exists() or (output / METRICS).exists()):
        raise StoreError(
            f"{output} holds a run already; go on with it by --resume, replace it by --overwrite, "
            "or give another --output."
        )
    prepare_folder(output)


def clear(output: Path) -> None:
    """Remove what an earlier run left."""
    for name in (STATES, CHECKPOINTS, "tensorboard", "nan"):
        shutil.rmtree(output / name, ignore_errors=True)
    for name in (RECORD, METRICS):
        (output / name).unlink(missing_ok=True)


def prepare_resume(config: TrainConfig, record: RunRecord, output: Path, processes: int) -> None:
    """Check that the run can go on, and remove checkpoints that are later than the state it goes on from.

    Raises:
        ConfigError: a setting differs from what the run began with.
        StoreError: there is no state.
    """
    require_same(config, record.config)
    if processes != record.processes:
        raise ConfigError(
            f"the run in {output} began with {record.processes} processes, now there are {processes}: each step would "
            "see other data; launch as many, or train anew into another --output."
        )
    if not (states := saved(output, STATES)):
        raise StoreError(f"{output} holds no training state, so there is nothing to resume; use --overwrite.")
    prepare_folder(output)
    discard_after(output, int(states[-1].name))


def require_same(given: TrainConfig, saved: TrainConfig) -> None:
    """Raise ConfigError where a resumed run is given another setting than it began with."""
    for name, was, now in _differences(saved, given):
        if name not in FREE:
            raise ConfigError(
                f"--resume goes on with the settings that the run began with: {name} was {was}, now it is {now}; "
                "leave it out, or train anew into another --output."
            )


def _differences(a: object, b: object) -> list[tuple[str, object, object]]:
    found = []
    for f in fields(a):  # type: ignore[arg-type]
        x, y = getattr(a, f.name), getattr(b, f.name)
        if x != y and f.name in ("recipe", "config") and type(x) is type(y):
            found += _differences(x, y)
        elif x != y:
            found.append((f.name, x, y))
    return found


def step_name(step: int) -> str:
    """A folder name that sorts by step."""
    return f"{step:08d}"


def saved(output: Path, kind: str) -> list[Path]:
    """The complete folders `output/kind/<step>`, oldest first."""
    return sorted(p for p in (output / kind).glob("[0-9]*") if p.is_dir())


def discard_after(output: Path, step: int) -> None:
    """Remove checkpoints later than `step`, which a killed run wrote but can't continue from, and partial ones."""
    for kind in (STATES, CHECKPOINTS):
        late = [p for p in saved(output, kind) if int(p.name) > step]
        for path in [*late, *(output / kind).glob(".*.part-*")]:
            shutil.rmtree(path, ignore_errors=True)
