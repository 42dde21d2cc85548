"""Exact resume: everything that the next step depends on, as safetensors and JSON.

The order of the data and all noise are functions of (seed, step) and need no place here.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import safetensors
import safetensors.torch
import torch
from torch import Tensor, nn

from robot_learning.errors import StoreError
from robot_learning.policies.atomic import atomic_directory
from robot_learning.training.folder import STATES, saved, step_name

if TYPE_CHECKING:
    from diffusers.training_utils import EMAModel

TENSORS, RECORD = "state.safetensors", "state.json"
NOT_AVERAGED = {"loss", "lr", "grad_norm"}  # the loss has its own sum, the others are logged as they were last


@dataclass
class Progress:
    """How far a run has come.

    Attributes:
        step: optimiser steps done.
        seconds: time spent training, all sessions together [s].
        loss_sum, loss_count: of the steps since the last line of the log.
        sums: of what else the policy's loss reported in those steps.
    """

    step: int = 0
    seconds: float = 0.0
    loss_sum: float = 0.0
    loss_count: int = 0
    sums: dict[str, float] = field(default_factory=dict)

    def add(self, figures: Mapping[str, float]) -> None:
        """Count one step's loss and figures, all but the gradient's norm and the learning rate."""
        self.loss_sum, self.loss_count = self.loss_sum + figures["loss"], self.loss_count + 1
        for name in figures.keys() - NOT_AVERAGED:
            self.sums[name] = self.sums.get(name, 0.0) + figures[name]

    def means(self) -> dict[str, float]:
        """Of the loss and the figures since the last line of the log."""
        return {"loss": self.loss_sum / self.loss_count} | {n: s / self.loss_count for n, s in self.sums.items()}

    def forget(self) -> None:
        """Begin a new line of the log."""
        self.loss_sum, self.loss_count, self.sums = 0.0, 0, {}


@dataclass
class TrainingState:
    """References to the live objects of a run; `save` and `load` copy between them and a folder."""

    model: nn.Module
    ema: EMAModel | None
    optimizer: torch.optim.Optimizer
    schedule: Any
    scaler: Any
    progress: Progress = field(default_factory=Progress)

    def save(self, output: Path) -> Path:
        """Write `output/state/<step>` and remove older ones."""
        moments = self.optimizer.state_dict()
        tensors = {f"model/{name}": value for name, value in self.model.state_dict().items()}
        if self.ema is not None:
            tensors |= {f"ema/{i}": value for i, value in enumerate(self.ema.shadow_params)}
        for i, entry in moments["state"].items():
            tensors |= {f"optimizer/{i}/{name}": value for name, value in entry.items()}
        record = {
            "progress": vars(self.progress),
            "ema_step": self.ema.optimization_step if self.ema is not None else None,
            "optimizer_groups": moments["param_groups"],
            "schedule": self.schedule.state_dict(),
            "scaler": self.scaler.state_dict() if self.scaler is not None else None,
        }
        folder = output / STATES / step_name(self.progress.step)
        with atomic_directory(folder) as partial:
            contiguous = {name: value.detach().cpu().contiguous() for name, value in tensors.items()}
            safetensors.torch.save_file(contiguous, partial / TENSORS)
            (partial / RECORD).write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")
        for old in saved(output, STATES)[:-1]:
            shutil.rmtree(old)
        return folder

    def load(self, output: Path) -> None:
        """Continue from the newest state in `output`.

        Raises:
            StoreError: there is none, or it does not fit this run.
        """
        states = saved(output, STATES)
        if not states:
            raise StoreError(f"{output} holds no training state, so there is nothing to resume; use --overwrite.")
        folder = states[-1]
        try:
            tensors = safetensors.torch.load_file(folder / TENSORS)
            record = json.loads((folder / RECORD).read_text(encoding="utf-8"))
            self.model.load_state_dict(_below(tensors, "model/"))
            if self.ema is not None:
                shadow = _below(tensors, "ema/")
                self.ema.optimization_step = record["ema_step"]
                for i, parameter in enumerate(self.ema.shadow_params):
                    parameter.copy_(shadow[str(i)])
            self.optimizer.load_state_dict(
                {"state": _moments(_below(tensors, "optimizer/")), "param_groups": record["optimizer_groups"]}
            )
            self._lay_out_moments()
            self.schedule.load_state_dict(record["schedule"])
            if self.scaler is not None:
                self.scaler.load_state_dict(record["scaler"])
            self.progress = Progress(**record["progress"])
        except (OSError, KeyError, ValueError, TypeError, RuntimeError, safetensors.SafetensorError) as error:
            reason = " ".join(str(error).split())[:300]
            raise StoreError(f"the training state {folder} is damaged or not of this run: {reason}.") from None

    def _lay_out_moments(self) -> None:
        """Give each moment its weight's memory format, which a file doesn't keep and fused AdamW takes for granted."""
        for parameter, entry in self.optimizer.state.items():
            for name, value in entry.items():
                if value.shape == parameter.shape:
                    entry[name] = torch.empty_like(parameter).copy_(value)


def _below(tensors: dict[str, Tensor], prefix: str) -> dict[str, Tensor]:
    return {name.removeprefix(prefix): value for name, value in tensors.items() if name.startswith(prefix)}


def _moments(flat: dict[str, Tensor]) -> dict[int, dict[str, Tensor]]:
    nested: dict[int, dict[str, Tensor]] = {}
    for key, value in flat.items():
        index, name = key.split("/")
        nested.setdefault(int(index), {})[name] = value
    return nested
