"""Runs a suite on this machine: demonstrations first, then its cells side by side, each resumed or left as it is."""

from __future__ import annotations

import contextlib
import fcntl
import os
import signal
import sys
import time
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

from robot_learning.benchmark.cells import Cell, cells, choose
from robot_learning.benchmark.jobs import CellJob, Job, StoreJob
from robot_learning.benchmark.running import PATIENCE_S, POLL_S, Outcome, Running
from robot_learning.benchmark.suites import Suite, Task, suite
from robot_learning.errors import ConfigError, StoreError
from robot_learning.output import prepare_folder

_TOLD_S = 60.0  # between lines of progress where there is no terminal


@dataclass(frozen=True)
class RunConfig:
    """What to run.

    Attributes:
        suite: its name.
        output: folder for everything.
        only: cells to run, as `preset/task`, `preset` or `task`, `*` for any; empty: all.
        presets: instead of the suite's.
        seeds: of training, instead of the suite's.
        minutes: of training for each cell, instead of the suite's budget; only on a machine that does nothing else.
        workers: cells side by side.
        source: the file or folder that a suite's demonstrations are imported from.
        stores: folder of the stores of demonstrations; None: in `output`.
        ray: address of a Ray cluster, or `local`; None: no Ray.
        device: where policies are evaluated; training takes a GPU where there is one.
    """

    suite: str
    output: Path
    only: tuple[str, ...] = ()
    presets: tuple[str, ...] = ()
    seeds: tuple[int, ...] = ()
    minutes: float | None = None
    workers: int = field(default_factory=lambda: len(os.sched_getaffinity(0)))
    source: Path | None = None
    stores: Path | None = None
    ray: str | None = None
    device: Literal["cpu", "cuda"] = "cpu"

    def __post_init__(self) -> None:
        if self.workers < 1:
            raise ConfigError(f"--workers must be at least 1; got {self.workers}.")
        if len(set(self.seeds)) < len(self.seeds) or any(seed < 0 for seed in self.seeds):
            raise ConfigError(f"--seeds must be different and at least 0; got {' '.join(map(str, self.seeds))}.")
        if self.minutes is not None and self.minutes <= 0:
            raise ConfigError(f"--minutes must be more than 0; got {self.minutes:g}.")

    def the_suite(self) -> Suite:
        """The suite with what was asked for changed."""
        chosen = suite(self.suite)
        if self.minutes is not None:
            chosen = replace(chosen, minutes=self.minutes, steps=None)
        return replace(chosen, presets=self.presets or chosen.presets, seeds=self.seeds or chosen.seeds)

    def store(self, task: Task) -> Path:
        """Where a task's demonstrations are."""
        return (self.stores or self.output / "stores") / task.name


def run(config: RunConfig, say: Callable[[str], None] = print) -> dict[str, Any]:
    """Run what is not done, write `results.json` and `report.html`, and return the former.

    Stopped by Ctrl-C or SIGTERM, or killed, the same call goes on from there. A cell that fails is in the results
    under `failed`, with its error; the others are run.

    Raises:
        UserError: a name that is not known, a folder that can't be used.
        KeyboardInterrupt: after all processes have saved what they had.
    """
    from robot_learning.benchmark.report import write_results

    every = cells(config.the_suite(), config.output)
    chosen = choose(every, config.only)
    waiting = [cell for cell in chosen if cell.result() is None]
    tasks = dict.fromkeys(cell.task for cell in waiting)
    stores = [StoreJob(task, config.store(task), config.source) for task in tasks]
    for job in stores:
        job.require_source()
    with _alone(config.output) as lock:
        failed: list[Outcome] = []
        for cell in chosen:
            if cell not in waiting:
                say(f"{cell.name}: done before")
        try:
            with _sigterm_as_ctrl_c(), _place(config, lock) as do:
                _run_all(config, stores, waiting, do, say, failed)
        finally:
            results = write_results(config, every, failed)
    return results


Do = Callable[[Sequence[Any], Callable[[Sequence[Job]], None]], Generator[tuple[Any, Outcome], None, None]]
"""Does jobs, in whatever place, and yields each with its outcome; tells of those under way."""


@contextmanager
def _place(config: RunConfig, lock: int) -> Iterator[Do]:
    """Where jobs are done: here, or on a cluster."""
    if config.ray is None:
        yield lambda jobs, tell: side_by_side(jobs, config.workers, lock, tell)
        return
    from robot_learning.benchmark.spread import cluster, spread

    with cluster(config.ray, config.workers) as ray:
        yield lambda jobs, tell: spread(ray, jobs, config.output, config.device, tell)


def _run_all(
    config: RunConfig,
    stores: Sequence[StoreJob],
    waiting: Sequence[Cell],
    do: Do,
    say: Callable[[str], None],
    failed: list[Outcome],
) -> None:
    """Stores, then cells; outcomes of cells that fail are added to `failed`."""
    lacking = {}
    for job, outcome in _told([job for job in stores if not job.done], do, say):
        if outcome.error:
            lacking[job.task] = outcome.error
    jobs = []
    for cell in waiting:
        if cell.task in lacking:
            failed.append(Outcome(cell.name, f"no demonstrations: {lacking[cell.task]}", 0.0))
        else:
            jobs.append(CellJob(cell, config.store(cell.task), config.device))
    failed.extend(outcome for _, outcome in _told(jobs, do, say) if outcome.error)


def _told(jobs: Sequence[Any], do: Do, say: Callable[[str], None]) -> Iterator[tuple[Any, Outcome]]:
    """All jobs as they end, with what is told of them."""
    if not jobs:
        return
    progress = Progress(jobs, say)
    with contextlib.closing(do(jobs, progress.tell)) as ended:
        for job, outcome in ended:
            progress.ended(job, outcome)
            yield job, outcome


def side_by_side(
    jobs: Sequence[Job], workers: int, lock: int, tell: Callable[[Sequence[Job]], None]
) -> Generator[tuple[Job, Outcome], None, None]:
    """Each job with its outcome, as they end; ended early, it has each process save what it has.

    Args:
        tell: called now and then with the jobs under way.
    """
    waiting, active = list(reversed(jobs)), list[Running]()
    try:
        while waiting or active:
            while waiting and len(active) < workers:
                active.append(Running(waiting.pop(), (lock,)))
            for running in list(active):
                if (outcome := running.poll()) is not None:
                    active.remove(running)
                    yield running.job, outcome
            tell([running.job for running in active])
            time.sleep(POLL_S)
    finally:
        for running in active:
            running.interrupt()
        for running in active:
            running.wait(PATIENCE_S)


class Progress:
    """A line with what runs and the time left, kept up to date on a terminal; elsewhere one a minute."""

    def __init__(self, jobs: Sequence[Job], say: Callable[[str], None]) -> None:
        self._total, self._say = len(jobs), say
        self._began = self._told = time.monotonic()
        self._before = {id(job): job.fraction() for job in jobs}
        self._left = sum(1 - done for done in self._before.values())
        self._ended = 0
        self._done = 0.0
        self._terminal = sys.stderr.isatty()

    def tell(self, active: Sequence[Job]) -> None:
        """Say what runs, where it is time to."""
        now = time.monotonic()
        if now - self._told < (1.0 if self._terminal else _TOLD_S):
            return
        self._told = now
        shares = [(job, job.fraction()) for job in active]
        done = self._done + sum(max(0.0, share - self._before[id(job)]) for job, share in shares)
        left = (
            f"{_duration((now - self._began) * (self._left - done) / done)} left" if done > 0 else "time left unknown"
        )
        doing = ", ".join(f"{job.name} {100 * share:.0f} %" for job, share in shares)
        line = f"[{self._ended}/{self._total}] {doing}; {left}"
        if self._terminal:
            print(f"\r{line[:150]}\x1b[K", end="", file=sys.stderr, flush=True)
        else:
            self._say(line)

    def ended(self, job: Job, outcome: Outcome) -> None:
        """Say how a job ended."""
        self._ended += 1
        self._done += 1 - self._before[id(job)]
        if self._terminal:
            print("\r\x1b[K", end="", file=sys.stderr, flush=True)
        how = f"failed: {outcome.error}" if outcome.error else f"done in {_duration(outcome.seconds)}"
        self._say(f"[{self._ended}/{self._total}] {outcome.name}: {how}")


def _duration(seconds: float) -> str:
    minutes = seconds / 60
    return f"{seconds:.0f} s" if minutes < 2 else f"{minutes:.0f} min" if minutes < 120 else f"{minutes / 60:.1f} h"


@contextmanager
def _alone(output: Path) -> Iterator[int]:
    """Hold the folder's lock; its descriptor is for children to inherit, so that it lasts as long as any of them."""
    prepare_folder(output)
    with open(output / ".lock", "w") as file:
        for _ in range(10):  # children of a run that was just killed take a moment to end
            with contextlib.suppress(BlockingIOError):
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            time.sleep(POLL_S)
        else:
            raise StoreError(f"another benchmark runs in {output}; wait for it, or give another --output.")
        yield file.fileno()


@contextmanager
def _sigterm_as_ctrl_c() -> Iterator[None]:
    def stop(number: int, frame: Any) -> None:
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGTERM, stop)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
