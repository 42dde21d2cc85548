"""A job under way: its commands as processes, one after the other."""

from __future__ import annotations

import contextlib
import os
import re
import signal
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

from robot_learning.benchmark.jobs import Job
from robot_learning.errors import UserError
from robot_learning.output import prepare_folder

LOG = "log.txt"
PATIENCE_S = 60.0  # for a training to write its checkpoint when it is asked to stop
POLL_S = 0.2
_TAIL_BYTES = 8192
_NO_RESULT = re.compile(r"^\s*$|it/s\]|step/s|s/step|episode/s|s/episode")  # progress bars


@dataclass(frozen=True)
class Outcome:
    """How a job ended.

    Attributes:
        error: why it failed; None where it did not.
        seconds: what it took this time [s].
    """

    name: str
    error: str | None
    seconds: float


class Running:
    """A job and its present process; ask `poll` until it gives an outcome.

    Args:
        keep: file descriptors that the processes inherit, so that a lock is held as long as any of them lives.
    """

    def __init__(self, job: Job, keep: tuple[int, ...] = ()) -> None:
        self.job, self._keep = job, keep
        self._began = time.monotonic()
        self._process: subprocess.Popen[bytes] | None = None
        self._stages = job.stages()

    def poll(self) -> Outcome | None:
        """Its outcome, once it has ended. Starts the next command where one has ended well."""
        if self._process is not None:
            if (code := self._process.poll()) is None:
                return None
            self._process = None
            if code:
                return self._outcome(_reason(self.job.folder / LOG, code))
        try:
            self._start(next(self._stages))
            return None
        except StopIteration:
            return self._outcome(None)
        except UserError as error:
            return self._outcome(str(error))

    def _start(self, arguments: list[str]) -> None:
        prepare_folder(self.job.folder)
        with open(self.job.folder / LOG, "ab") as log:
            log.write(f"\n$ robot-learning {' '.join(arguments)}\n".encode())
            log.flush()
            self._process = subprocess.Popen(
                [sys.executable, "-m", "robot_learning.benchmark.child", str(os.getpid()), *arguments],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                env={"OMP_NUM_THREADS": "1", "MUJOCO_GL": "egl", **os.environ},
                pass_fds=self._keep,
                start_new_session=True,  # Ctrl-C comes to us alone, and we ask each once: asked twice they save nothing
            )

    def _outcome(self, error: str | None) -> Outcome:
        return Outcome(self.job.name, error, time.monotonic() - self._began)

    def interrupt(self) -> None:
        """Ask the process to save what it has and to end."""
        if self._process is not None:
            with contextlib.suppress(ProcessLookupError):
                self._process.send_signal(signal.SIGINT)

    def wait(self, seconds: float) -> None:
        """Wait for its end, and end it then."""
        if self._process is None:
            return
        try:
            self._process.wait(seconds)
        except (subprocess.TimeoutExpired, KeyboardInterrupt):
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait()


def complete(job: Job) -> Outcome:
    """Do a job here, to its end; stopped by Ctrl-C (or by Ray), it stops its process first."""
    running = Running(job)
    try:
        while (outcome := running.poll()) is None:
            time.sleep(POLL_S)
        return outcome
    except BaseException:
        running.interrupt()
        running.wait(PATIENCE_S)
        raise


def _reason(log: Path, code: int) -> str:
    """What the command said last, which is its error, or how it ended."""
    how = f"killed by {signal.Signals(-code).name}" if code < 0 else f"exit code {code}"
    with open(log, "rb") as file:
        file.seek(max(0, file.seek(0, os.SEEK_END) - _TAIL_BYTES))
        lines = re.split(r"[\r\n]+", file.read().decode(errors="replace"))
    told = [line.strip() for line in lines if not _NO_RESULT.search(line)]
    last = told[-1].removeprefix("robot-learning: ") if told and not told[-1].startswith("$ ") else "it said nothing"
    return f"{last} ({how}; see {log})"
