"""One process under a supervisor, and its log."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
from collections.abc import Mapping
from pathlib import Path

from robot_learning.deployment.keeper import send
from robot_learning.deployment.plan import Process

_LONGEST_LINE = 1 << 16


class Child:
    """A running process.

    One that reads keys stays in the terminal's foreground group and keeps the terminal as its standard output; what it
    logs goes by its standard error. All others get a session of their own, so that Ctrl-C comes to the supervisor
    only, which then ends them in order.

    Attributes:
        asked_ns: when it was asked to end.
        last: the last line that it printed.
    """

    def __init__(self, process: Process, command: list[str], env: Mapping[str, str], log: Path) -> None:
        self.process = process
        self.own_group = not process.terminal
        self.asked_ns: int | None = None
        self.last = ""
        self._log = open(log, "ab", buffering=0)  # noqa: SIM115  closed with the process
        self._popen = subprocess.Popen(
            command,
            stdin=None if process.terminal else subprocess.DEVNULL,
            stdout=None if process.terminal else subprocess.PIPE,
            stderr=subprocess.PIPE if process.terminal else subprocess.STDOUT,
            env=dict(env),
            start_new_session=self.own_group,
        )
        pipe = self._popen.stderr if process.terminal else self._popen.stdout
        assert pipe is not None
        self.pipe = pipe
        os.set_blocking(pipe.fileno(), False)
        self._rest = b""

    @property
    def pid(self) -> int:
        return self._popen.pid

    def poll(self) -> int | None:
        """Its exit code, once it has ended; negative: the signal that killed it."""
        return self._popen.poll()

    def read(self) -> tuple[list[str], bool]:
        """The lines that it has printed since, which are in its log, too; and whether there may be more later."""
        new, more = b"", True
        with contextlib.suppress(BlockingIOError):
            while more and len(new) < _LONGEST_LINE:
                chunk = os.read(self.pipe.fileno(), _LONGEST_LINE)
                new, more = new + chunk, bool(chunk)
        with contextlib.suppress(OSError):  # a full disk is no reason to end a robot's node
            self._log.write(new)
        *lines, self._rest = (self._rest + new).split(b"\n")
        if self._rest and (not more or len(self._rest) > _LONGEST_LINE):
            lines, self._rest = [*lines, self._rest], b""
        told = [line.decode(errors="replace").rstrip("\r") for line in lines]
        self.last = next((line for line in reversed(told) if line.strip()), self.last)
        return told, more

    def ask(self, now_ns: int) -> None:
        """Ask it to end in its own way."""
        self.asked_ns = now_ns
        with contextlib.suppress(ProcessLookupError):
            self._popen.send_signal(signal.SIGTERM)

    def kill(self) -> None:
        """End it now, with all that it has started."""
        send(self.pid, self.own_group, signal.SIGKILL)
        self._popen.wait()

    def close(self) -> None:
        """After its end: nothing of its group stays, its files are closed."""
        if self.own_group:
            send(self.pid, True, signal.SIGKILL)
        self.pipe.close()
        self._log.close()
