"""Runs a plan's processes on this machine: logs in one place, restarts, an end in order, nothing left behind."""

from __future__ import annotations

import contextlib
import os
import re
import selectors
import signal
import subprocess
import sys
import termios
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from robot_learning.clock import Clock, SystemClock, seconds_to_ns
from robot_learning.deployment import keeper
from robot_learning.deployment.child import Child
from robot_learning.deployment.plan import Process, environment
from robot_learning.deployment.restarts import Restarts
from robot_learning.deployment.verdict import FAILED, PATIENCE_S, Verdict, how, judge
from robot_learning.output import prepare_folder

ENDED_BY_REQUEST = (0, -signal.SIGINT, -signal.SIGTERM, 128 + signal.SIGINT, 128 + signal.SIGTERM)
RANK = {"commander": 0, "recorder": 1, "server": 1, "camera": 1, "robot": 2, "simulator": 3}  # who ends first
_SERIOUS = re.compile(r"\[(WARN|ERROR|FATAL)\]")


class Supervisor:
    """Starts processes in the plan's order, keeps them running, ends them: commanders first, the robot last.

    One thread does everything in :meth:`poll`. :meth:`run` polls until the end and takes the signals; a program that
    has something else to do meanwhile polls by itself, and calls :meth:`end`, or uses it as a context.

    Attributes:
        code: exit code for the whole: 0, 1 where something failed, 2 for a user's mistake; a leader's own.
    """

    def __init__(
        self,
        processes: Sequence[Process],
        folder: str | Path,
        clock: Clock | None = None,
        say: Callable[[str], None] = print,
        patience_s: float = PATIENCE_S,
    ) -> None:
        """`folder` takes `<name>.log` of each; `say` takes the lines for the operator.

        Raises:
            UserError: the folder can't be written.
        """
        self.folder = prepare_folder(folder)
        self.code = 0
        self._clock = clock or SystemClock()
        self._say_line, self._patience_s = say, patience_s
        self._waiting = list(processes)
        self._order = [p.name for p in processes]
        self._due: dict[str, tuple[int, Process]] = {}
        self._children: dict[str, Child] = {}
        self._blocking: str | None = None  # whose `ready` those behind it wait for
        self._restarts = {p.name: Restarts(self._clock) for p in processes}
        self._selector = selectors.DefaultSelector()
        self._width = max(map(len, self._order), default=0)
        self._quiet = any(p.terminal for p in processes)  # the terminal is a person's who drives
        self._terminal = _terminal_settings() if self._quiet else None
        self._why_ending = ""
        self._signals: list[signal.Signals] = []
        self._asked = False  # to end, by a signal
        self._env = environment(os.environ) | os.environ | {"PYTHONUNBUFFERED": "1"}
        self._env.setdefault("ROS_LOG_DIR", str(self.folder / "ros"))
        self._keeper = subprocess.Popen(
            [sys.executable, "-I", "-S", str(keeper.__file__), str(patience_s)],
            stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, start_new_session=True, text=True, bufsize=1,
        )  # fmt: skip

    def __enter__(self) -> Supervisor:
        return self

    def __exit__(self, *_: Any) -> None:
        self.close()

    def run(self) -> int:
        """Until a leader ends, something fails for good, or a signal (Ctrl-C, SIGTERM, SIGHUP); then the exit code.

        A second signal ends everything at once, with SIGKILL.
        """
        before = {
            which: signal.signal(which, self._on_signal) for which in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
        }
        try:
            while self.poll():
                pass
        finally:
            self.close()
            for which, handler in before.items():
                signal.signal(which, handler)
        return self.code

    def running(self) -> dict[str, int]:
        """Names and process ids of what runs now."""
        return {name: child.pid for name, child in self._children.items()}

    @property
    def started(self) -> bool:
        """Whether every process of the plan has been started, and those with a `ready` have said so."""
        return not self._waiting and self._blocking is None

    def end(self, why: str, code: int = 0) -> None:
        """Ask all to end, in order; :meth:`poll` goes on with it. The first reason and the first failure are kept."""
        self.code = self.code or code
        if not self._why_ending:
            self._why_ending = why
            self._waiting, self._due = [], {}
            self._tell(f"{why}; ending {', '.join(self._children) or 'nothing'}")

    def poll(self, timeout_s: float = 0.1) -> bool:
        """Do what is to be done now; False when all have ended."""
        self._start()
        for key, _ in self._selector.select(timeout_s):
            self._read(key.data)
        self._take_signals()
        for child in list(self._children.values()):
            if (code := child.poll()) is not None:
                self._ended(child, code)
        if self._why_ending:
            self._end_next()
        elif not (self._children or self._waiting or self._due):
            self.end("everything has ended by itself")
        return bool(self._children) or not self._why_ending

    def close(self) -> None:
        """End everything that still runs, and wait for it."""
        try:
            self.end("stopped")
            while self.poll():
                pass
        finally:
            for child in self._children.values():
                child.kill()
            self._selector.close()
            if self._keeper.stdin:
                with contextlib.suppress(OSError):
                    self._keeper.stdin.close()
            self._keeper.wait()
            if self._terminal is not None:
                termios.tcsetattr(sys.stdin, termios.TCSADRAIN, self._terminal)

    # Inside

    def _on_signal(self, which: int, _: Any) -> None:
        self._signals.append(signal.Signals(which))

    def _take_signals(self) -> None:
        while self._signals:
            which = self._signals.pop(0)
            if self._why_ending and self._asked:
                self._loud(f"{which.name} again: everything is killed")
                for child in self._children.values():
                    child.ask(self._clock.now_ns())
                    child.kill()
            self._asked = True
            self.end("Ctrl-C" if which == signal.SIGINT else which.name)

    def _start(self) -> None:
        now = self._clock.now_ns()
        for name, (due_ns, process) in list(self._due.items()):
            if now >= due_ns:
                del self._due[name]
                self._spawn(process)
        while self._waiting and self._blocking is None:
            self._spawn(process := self._waiting.pop(0))
            if process.ready is not None:
                self._blocking = process.name
                self._tell(f"{', '.join(p.name for p in self._waiting)}: waiting until {process.name} is ready")

    def _spawn(self, process: Process) -> None:
        child = Child(process, process.command(), self._env, self.folder / f"{process.name}.log")
        self._children[process.name] = child
        self._selector.register(child.pipe, selectors.EVENT_READ, child)
        self._remember(f"+{child.pid} {RANK[process.role]} {int(child.own_group)}")
        self._log(f"{process.name} started, process {child.pid}")

    def _read(self, child: Child) -> None:
        lines, more = child.read()
        for line in lines:
            if child.process.name == self._blocking and line.startswith(child.process.ready or ""):
                self._blocking = None
            if not self._quiet or child.process.terminal or _SERIOUS.search(line):
                self._say(f"{child.process.name:<{self._width}} | {line}")
        if not more and child.pipe in self._selector.get_map():
            self._selector.unregister(child.pipe)

    def _ended(self, child: Child, code: int) -> None:
        process = child.process
        self._read(child)
        if child.pipe in self._selector.get_map():
            self._selector.unregister(child.pipe)
        child.close()
        self._remember(f"-{child.pid}")
        del self._children[process.name]
        self._log(f"{process.name} ended, {how(code)}")
        # Ctrl-C comes from the terminal to those that read it without our doing.
        if child.asked_ns is not None or (process.terminal and self._asked):
            if code not in ENDED_BY_REQUEST:
                self._loud(f"{process.name} did not end well: {how(code)}; see {self._log_of(process)}")
                self.code = self.code or FAILED
        else:
            self._obey(child, judge(process, code, self._restarts[process.name]))

    def _obey(self, child: Child, verdict: Verdict) -> None:
        process = child.process
        if verdict.loud:
            self._loud(f"{verdict.text}. Its log is {self._log_of(process)}; it ends with: {child.last}")
        elif not verdict.end:
            self._tell(verdict.text)
        if self._why_ending:
            self.code = self.code or (FAILED if verdict.loud else 0)
        elif verdict.end:
            self.end(verdict.end, verdict.code)
        elif verdict.delay_s is not None:
            self._tell(f"{process.name} starts again in {verdict.delay_s:.0f} s")
            self._due[process.name] = (self._clock.now_ns() + seconds_to_ns(verdict.delay_s), process)

    def _end_next(self) -> None:
        """Ask those who are next to end; kill those who were asked too long ago."""
        now = self._clock.now_ns()
        rank = min((RANK[child.process.role] for child in self._children.values()), default=0)
        for child in self._children.values():
            if RANK[child.process.role] == rank:
                if child.asked_ns is None:
                    child.ask(now)
                elif now - child.asked_ns > seconds_to_ns(self._patience_s):
                    self._loud(f"{child.process.name} did not end within {self._patience_s:.0f} s; it is killed")
                    child.kill()

    def _remember(self, line: str) -> None:
        """Tell the keeper."""
        assert self._keeper.stdin is not None
        with contextlib.suppress(OSError):  # somebody killed it; the processes go on
            self._keeper.stdin.write(line + "\n")

    def _log_of(self, process: Process) -> Path:
        return self.folder / f"{process.name}.log"

    def _loud(self, text: str) -> None:
        self._tell(f"!!! {text}")

    def _tell(self, text: str) -> None:
        self._log(text)
        self._say(f"{'up':<{self._width}} | {text}")

    def _log(self, text: str) -> None:
        with contextlib.suppress(OSError), open(self.folder / "up.log", "a") as file:
            file.write(f"{datetime.now(UTC).isoformat(timespec='milliseconds')} {text}\n")

    def _say(self, line: str) -> None:
        try:
            self._say_line(line)
        except OSError:  # the terminal is gone: nobody is there to drive or to watch
            self._say_line = _nowhere
            self.end("the terminal is gone", FAILED)


def _nowhere(line: str) -> None:
    """Where lines go without a terminal."""


def _terminal_settings() -> Any:
    """What a process that reads keys changes of the terminal, and would leave so if it were killed."""
    return termios.tcgetattr(sys.stdin) if sys.stdin.isatty() else None
