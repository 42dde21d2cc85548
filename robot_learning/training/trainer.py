"""The training loop: optimise, average the weights, validate, log, checkpoint; stop cleanly, resume exactly."""

from __future__ import annotations

import contextlib
import copy
import math
import os
import shutil
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from accelerate import Accelerator
from accelerate.state import AcceleratorState
from diffusers.optimization import SchedulerType, get_scheduler
from diffusers.training_utils import EMAModel
from tqdm import tqdm

from robot_learning.errors import ConfigError, StoreError, unknown_name
from robot_learning.policies import checkpoint, registry
from robot_learning.policies.base import Policy
from robot_learning.training import folder, nan_guard, state
from robot_learning.training.config import TrainConfig
from robot_learning.training.dataset import Dataset, prepare
from robot_learning.training.folder import RunRecord
from robot_learning.training.interrupt import StopRequest
from robot_learning.training.metrics import MetricsLog
from robot_learning.training.order import Batches, to_tensors

VALIDATION_BATCHES = 8  # of the same windows and the same noise each time
MAX_EMA_DECAY = 0.9999


@dataclass(frozen=True)
class TrainResult:
    """What a run left behind.

    Attributes:
        checkpoint: the newest one.
        stopped_by: name of the signal that ended the run early, else None.
    """

    output: Path
    checkpoint: Path
    step: int
    stopped_by: str | None


def train(config: TrainConfig, progress: bool = True) -> TrainResult:
    """Train as configured; `config.output` must be set.

    Raises:
        UserError: anything that the user can mend: names, paths, an empty store, a full disk, divergence.
    """
    return Trainer(config, progress).run()


def _accelerator(precision: str) -> Accelerator:
    if precision == "fp16" and not torch.cuda.is_available():
        raise ConfigError("precision fp16 needs a GPU; use bf16 or no.")
    AcceleratorState._reset_state()  # a second run in one process may have another precision
    accelerator = Accelerator(mixed_precision=precision)
    launched = int(os.environ.get("WORLD_SIZE", "1"))
    if launched != accelerator.num_processes:  # each would train alone, into one folder
        raise ConfigError(
            f"launched as {launched} processes, but accelerate joins {accelerator.num_processes}: there are too few "
            "GPUs; launch fewer, or set ACCELERATE_USE_CPU=true to train on CPUs."
        )
    return accelerator


class Trainer:
    """One run: data, policy, optimiser and average in `__init__`, the loop in `run`."""

    def __init__(self, config: TrainConfig, progress: bool = True) -> None:
        if config.output is None:
            raise ConfigError("a run needs a folder for its checkpoints; give --output.")
        if config.recipe.schedule not in (names := [s.value for s in SchedulerType]):
            raise unknown_name("schedule", config.recipe.schedule, names)
        self.config, self.output = config, config.output
        self.accelerator = _accelerator(config.precision)
        self.main = self.accelerator.is_main_process
        self.show = progress and self.main
        with self.accelerator.main_process_first():  # one process makes the folder and the cache
            self.data, self.record = self._open_run()

        recipe = config.recipe
        torch.manual_seed(config.seed)  # the same fresh weights in every process
        contract = self.data.cache.contract
        self.policy: Policy = registry.make(config.config, contract, self.data.view, self.data.normalizer)
        self.policy.to(self.accelerator.device)
        self.averaged = copy.deepcopy(self.policy).eval()
        optimizer = torch.optim.AdamW(
            self.policy.parameter_groups(recipe.weight_decay, recipe.encoder_weight_decay),
            lr=recipe.lr,
            betas=recipe.betas,
            fused=True,
        )
        schedule = get_scheduler(
            recipe.schedule, optimizer, num_warmup_steps=recipe.warmup_steps, num_training_steps=recipe.steps
        )
        # diffusers' warm-up with inv_gamma 1 is the published one: 1 - (1 + step)^-power.
        ema = EMAModel(
            self.policy.parameters(), decay=MAX_EMA_DECAY, use_ema_warmup=True, inv_gamma=1.0, power=recipe.ema_power,
            foreach=True,
        )  # fmt: skip
        self.model, self.optimizer = self.accelerator.prepare(self.policy, optimizer)
        self.state = state.TrainingState(self.policy, ema, optimizer, schedule, self.accelerator.scaler)
        if config.resume:
            self.state.load(self.output)
        self.batches = Batches(
            self.data.windows, self.data.usable, config.seed, recipe.batch_size, self.accelerator.device,
            self.accelerator.process_index, self.accelerator.num_processes,
        )  # fmt: skip

    def _open_run(self) -> tuple[Dataset, RunRecord]:
        """The data, of a new run or of the one to resume; the main process also tends the folder."""
        config, output = self.config, self.output
        if config.resume:
            record = RunRecord.read(output)
            if self.main:
                folder.prepare_resume(config, record, output, self.accelerator.num_processes)
            same = sorted((*record.train_episodes, *record.val_episodes))  # the store may have grown since
            data = prepare(replace(config, episodes=tuple(same), max_episodes=None), self.show)
            if data.cache.snapshot_hash != record.snapshot:
                raise StoreError(
                    f"episodes of the store {config.store} were edited since the run in {output} began "
                    f"(snapshot {data.cache.snapshot_hash[:12]}, then {record.snapshot[:12]}); "
                    "train anew into another --output."
                )
            return data, record
        if self.main:
            folder.check_free(output, config.overwrite)
        data = prepare(config, self.show)
        record = RunRecord(
            config, data.cache.snapshot_hash, data.train_ids, data.val_ids, len(data.usable),
            self.accelerator.num_processes,
        )  # fmt: skip
        if self.main:
            folder.clear(output)
            record.write(output)
        return data, record

    def run(self) -> TrainResult:
        """Train to the last step, or until Ctrl-C or SIGTERM; both leave a checkpoint to go on from."""
        config, now = self.config, self.state.progress
        steps, logged_step, logged_seconds = config.recipe.steps, now.step, now.seconds
        log = MetricsLog(self.output, now.step) if self.main else None
        bar = tqdm(
            total=steps, initial=now.step, unit="step", desc=config.policy, disable=not self.show,
            mininterval=0.5 if sys.stderr.isatty() else 10.0, dynamic_ncols=True,
        )  # fmt: skip
        batches = self.batches.iterate(now.step * config.recipe.accumulate)
        with StopRequest() as stop, bar, contextlib.closing(batches):
            self.model.train()
            while now.step < steps and not self._stops(stop):
                started = time.perf_counter()
                figures = self._step(batches)
                now.seconds += time.perf_counter() - started
                now.step, now.loss_sum, now.loss_count = (
                    now.step + 1,
                    now.loss_sum + figures["loss"],
                    now.loss_count + 1,
                )
                bar.update()
                at_end = now.step == steps
                validates = now.step % config.validate_every == 0 or at_end
                if now.step % config.log_every == 0 or validates:
                    windows, seconds = (now.step - logged_step) * self._windows_per_step(), now.seconds - logged_seconds
                    figures["loss"] = now.loss_sum / now.loss_count
                    figures |= {"samples_per_s": windows / seconds, "seconds": now.seconds}
                    figures |= self._validate() if validates else {}
                    if log:
                        log.write(now.step, **figures)
                    bar.set_postfix({k: f"{figures[k]:.4f}" for k in ("loss", "val_loss") if k in figures})
                    now.loss_sum, now.loss_count, logged_step, logged_seconds = 0.0, 0, now.step, now.seconds
                if now.step % config.checkpoint_every == 0 and not at_end:
                    self._save()
        path = self._save()
        if log:
            log.close()
        self.accelerator.wait_for_everyone()
        return TrainResult(self.output, path, now.step, stop.name if now.step < steps else None)

    def _step(self, batches: Iterator[dict[str, Any]]) -> dict[str, float]:
        """One optimiser step; returns the mean loss of its batches, the learning rate and the gradient's norm."""
        accumulate, step = self.config.recipe.accumulate, self.state.progress.step
        # All noise of a step comes from (seed, step, process): a resumed run needs no generator's state.
        seeds = np.random.SeedSequence((self.config.seed, step, self.accelerator.process_index))
        torch.manual_seed(int(seeds.generate_state(1, np.uint64)[0]))
        lr, total = float(self.optimizer.param_groups[0]["lr"]), 0.0
        for part in range(accumulate):
            batch = next(batches)
            last = part == accumulate - 1
            with contextlib.nullcontext() if last else self.accelerator.no_sync(self.model):
                loss, _ = self.model(batch)
                value = loss.item()
                if not math.isfinite(value):
                    raise self._diverged(f"loss is {value}", batch, part)
                self.accelerator.backward(loss / accumulate)
            total += value
        norm = float(torch.nn.utils.get_total_norm([p.grad for p in self.policy.parameters() if p.grad is not None]))
        # fp16 overflows now and then by design: its scaler skips those steps.
        if not math.isfinite(norm) and self.accelerator.scaler is None:
            raise self._diverged(f"gradient's norm is {norm}", batch, accumulate - 1)
        self.optimizer.step()
        self.optimizer.zero_grad()
        if not self.accelerator.optimizer_step_was_skipped:
            self.state.ema.step(self.policy.parameters())
        self.state.schedule.step()
        return {"loss": total / accumulate, "lr": lr} | ({"grad_norm": norm} if math.isfinite(norm) else {})

    def _validate(self) -> dict[str, float]:
        """Loss of the averaged weights on held-out episodes, always on the same windows and noise."""
        windows, usable = self.data.val_windows, self.data.val_usable
        if windows is None or usable is None or not self.main:
            return {}
        self.state.ema.copy_to(self.averaged.parameters())
        size = self.config.recipe.batch_size
        chosen = np.random.default_rng(self.config.seed).permutation(usable)[: VALIDATION_BATCHES * size]
        total = 0.0
        with torch.random.fork_rng(), torch.no_grad():
            torch.manual_seed(self.config.seed)
            for start in range(0, len(chosen), size):
                part = chosen[start : start + size]
                goals = np.random.default_rng((self.config.seed, start))
                batch = to_tensors(windows.batch(part, goals), self.accelerator.device)
                total += float(self.averaged.loss(batch)[0]) * len(part)
        return {"val_loss": total / len(chosen)}

    def _save(self) -> Path:
        """Write the averaged weights as a checkpoint, and the state to resume from."""
        step = self.state.progress.step
        path = self.output / folder.CHECKPOINTS / folder.step_name(step)
        if self.main and not path.exists():
            self.state.ema.copy_to(self.averaged.parameters())
            facts = {"step": step, "preset": self.config.policy, "run": self.config.to_json()} | self.record.facts()
            checkpoint.save(path, self.averaged, self.data.cache.snapshot_hash, facts)
            self.state.save(self.output)
            for old in folder.saved(self.output, folder.CHECKPOINTS)[: -self.config.keep_checkpoints]:
                shutil.rmtree(old)
        return path

    def _stops(self, stop: StopRequest) -> bool:
        """Whether any process was asked to stop: all must leave the loop at the same step."""
        if self.accelerator.num_processes == 1:
            return stop.name is not None
        flag = torch.tensor([float(stop.name is not None)], device=self.accelerator.device)
        return bool(self.accelerator.reduce(flag).item())

    def _windows_per_step(self) -> int:
        return self.config.recipe.batch_size * self.config.recipe.accumulate * self.accelerator.num_processes

    def _diverged(self, what: str, batch: dict[str, Any], part: int) -> nan_guard.TrainingDiverged:
        step = self.state.progress.step
        windows = self.batches.indices(step * self.config.recipe.accumulate + part)
        rows = self.data.windows.rows[windows]
        ids = [
            self.data.cache.episode_ids[e] for e in np.searchsorted(self.data.cache.episode_ends, rows, side="right")
        ]
        self._save()
        return nan_guard.keep(self.output / "nan", what, step, batch, windows, ids)
