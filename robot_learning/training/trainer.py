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
from tqdm import tqdm

from robot_learning.errors import ConfigError, StoreError
from robot_learning.policies import checkpoint, noise, registry
from robot_learning.policies.base import Policy
from robot_learning.policies.compiled import compile_parts, trained_parts
from robot_learning.policies.pretrained import begin_with
from robot_learning.training import folder, nan_guard, optimization, state
from robot_learning.training.config import TrainConfig
from robot_learning.training.dataset import Dataset, prepare
from robot_learning.training.folder import RunRecord
from robot_learning.training.interrupt import StopRequest
from robot_learning.training.metrics import MetricsLog
from robot_learning.training.order import Batches, to_tensors

LAUNCH = "launch with ACCELERATE_USE_CPU=true accelerate launch --multi_gpu --num_processes N"
VALIDATION_BATCHES = 8  # of the same windows and the same noise each time


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
    # accelerate's launcher starts a single process on CPUs, whatever number it is given, and says nothing.
    if {"MASTER_PORT", "ACCELERATE_MIXED_PRECISION"} <= os.environ.keys() and "WORLD_SIZE" not in os.environ:
        raise ConfigError(f"accelerate was asked for several processes and started one; on CPUs, {LAUNCH}.")
    AcceleratorState._reset_state()  # a second run in one process may have another precision
    accelerator = Accelerator(mixed_precision=precision)
    launched = int(os.environ.get("WORLD_SIZE", "1"))
    if launched != accelerator.num_processes:  # each would train alone, into one folder
        raise ConfigError(
            f"launched as {launched} processes, but accelerate joins {accelerator.num_processes}: there are too few "
            f"GPUs; launch fewer, or, on CPUs, {LAUNCH}."
        )
    return accelerator


class Trainer:
    """One run: data, policy, optimiser and average in `__init__`, the loop in `run`."""

    def __init__(self, config: TrainConfig, progress: bool = True) -> None:
        if config.output is None:
            raise ConfigError("a run needs a folder for its checkpoints; give --output.")
        optimization.check_schedule(config.recipe.schedule)
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
        if config.begin_with is not None and not config.resume:
            begin_with(self.policy, config.begin_with)
        self.policy.to(self.accelerator.device)
        apart = recipe.ema != "none" or recipe.compile  # else the policy itself is what is judged and kept
        self.averaged = copy.deepcopy(self.policy).eval() if apart else self.policy
        if recipe.compile:
            compile_parts(trained_parts(self.policy), "--no-compile")
        optimizer = optimization.make_optimizer(self.policy, recipe)
        schedule = optimization.make_schedule(optimizer, recipe)
        ema = optimization.make_average(self.policy, recipe)
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
                now.step += 1
                now.add(figures)
                bar.update()
                at_end = now.step == steps
                validates = now.step % config.validate_every == 0 or at_end
                if now.step % config.log_every == 0 or validates:
                    windows, seconds = (now.step - logged_step) * self._windows_per_step(), now.seconds - logged_seconds
                    figures |= now.means() | {"samples_per_s": windows / seconds, "seconds": now.seconds}
                    figures |= self._validate() if validates else {}
                    if log:
                        log.write(now.step, **figures)
                    bar.set_postfix({k: f"{figures[k]:.4f}" for k in ("loss", "val_loss") if k in figures})
                    now.forget()
                    logged_step, logged_seconds = now.step, now.seconds
                if now.step % config.checkpoint_every == 0 and not at_end:
                    self._save()
        path = self._save()
        if log:
            log.close()
        self.accelerator.wait_for_everyone()
        return TrainResult(self.output, path, now.step, stop.name if now.step < steps else None)

    def _step(self, batches: Iterator[dict[str, Any]]) -> dict[str, float]:
        """One optimiser step; returns the learning rate, the gradient's norm and, of all its batches and processes,
        the mean loss and the mean of what the policy's loss reports beside it.
        """
        accumulate, step = self.config.recipe.accumulate, self.state.progress.step
        generator = self._seed(step)
        lr, seen, losses, reports = float(self.optimizer.param_groups[0]["lr"]), [], [], []
        for part in range(accumulate):
            seen.append(next(batches))
            with contextlib.nullcontext() if part == accumulate - 1 else self.accelerator.no_sync(self.model):
                with noise.shared(generator, self.accelerator.process_index, self.accelerator.num_processes):
                    loss, report = self.model(seen[-1])
                self.accelerator.backward(loss / accumulate)
            losses.append(loss.detach())
            reports.append(report)
        self.accelerator.unscale_gradients()
        gradients = [p.grad for p in self.policy.parameters() if p.grad is not None]
        norm = torch.nn.utils.get_total_norm(gradients)
        # Everything that the host must know comes in one transfer, so that a GPU waits for it once a step.
        means = {name: sum(report[name] for report in reports) / accumulate for name in reports[0]}
        means |= {"loss": sum(losses) / accumulate, "grad_norm": norm}
        values = torch.stack([torch.as_tensor(v, device=norm.device).detach().float() for v in means.values()])
        figures = dict(zip(means, self.accelerator.reduce(values, "mean").tolist(), strict=True))
        # fp16 overflows now and then by design: its scaler skips those steps.
        if not math.isfinite(figures["loss"]):
            part = next((i for i, loss in enumerate(losses) if not loss.isfinite()), 0)
            raise self._diverged(f"loss is {float(losses[part])}", seen[part], part)
        if not math.isfinite(figures["grad_norm"]):
            if self.accelerator.scaler is None:
                raise self._diverged(f"gradient's norm is {figures['grad_norm']}", seen[-1], accumulate - 1)
            del figures["grad_norm"]
        if self.config.recipe.grad_clip is not None:
            torch.nn.utils.clip_grads_with_norm_(self.policy.parameters(), self.config.recipe.grad_clip, norm)
        self.optimizer.step()
        self.optimizer.zero_grad()
        if not self.accelerator.optimizer_step_was_skipped:
            self.policy.after_step(step + 1, self.config.recipe.steps)
            if self.state.ema is not None:
                self.state.ema.step(self.policy.parameters())
        self.state.schedule.step()
        return figures | {"lr": lr}

    def _seed(self, step: int) -> torch.Generator:
        """The source of a step's noise, which all processes share; torch's own, for dropout, differs in each.

        All noise comes from (seed, step), so that a resumed run needs no generator's state.
        """
        own, common = (
            int(np.random.SeedSequence((self.config.seed, step, which)).generate_state(1, np.uint64)[0])
            for which in (1 + self.accelerator.process_index, 0)
        )
        torch.manual_seed(own)
        return torch.Generator(self.accelerator.device).manual_seed(common)

    def _average(self) -> Policy:
        """The policy with the weights to evaluate and keep: the running average, or the newest if there is none."""
        if self.averaged is self.policy:
            return self.policy
        source = self.policy.parameters() if self.state.ema is None else self.state.ema.shadow_params
        with torch.no_grad():
            for mine, newest in zip(self.averaged.parameters(), source, strict=True):
                mine.copy_(newest)
            for mine, newest in zip(self.averaged.buffers(), self.policy.buffers(), strict=True):
                mine.copy_(newest)
        return self.averaged

    def _validate(self) -> dict[str, float]:
        """Loss of the averaged weights on held-out episodes, always on the same windows and noise."""
        windows, usable = self.data.val_windows, self.data.val_usable
        if windows is None or usable is None or not self.main:
            return {}
        averaged = self._average().eval()
        size = self.config.recipe.batch_size
        chosen = np.random.default_rng(self.config.seed).permutation(usable)[: VALIDATION_BATCHES * size]
        total = 0.0
        with torch.random.fork_rng(), torch.no_grad():
            torch.manual_seed(self.config.seed)
            for start in range(0, len(chosen), size):
                part = chosen[start : start + size]
                goals = np.random.default_rng((self.config.seed, start))
                batch = to_tensors(windows.batch(part, goals), self.accelerator.device)
                total += float(averaged.loss(batch)[0]) * len(part)
        self.policy.train()
        return {"val_loss": total / len(chosen)}

    def _save(self) -> Path:
        """Write the averaged weights as a checkpoint, and the state to resume from."""
        step = self.state.progress.step
        path = self.output / folder.CHECKPOINTS / folder.step_name(step)
        if self.main and not path.exists():
            facts = {"step": step, "preset": self.config.policy, "run": self.config.to_json()} | self.record.facts()
            checkpoint.save(path, self._average(), self.data.cache.snapshot_hash, facts)
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
        alone = self.accelerator.num_processes == 1
        where = self.output / "nan" if alone else self.output / "nan" / str(self.accelerator.process_index)
        return nan_guard.keep(where, what, step, batch, windows, ids)
