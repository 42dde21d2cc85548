"""The genuine Stretch: Hello Robot's library in a process of its own, for it lives in the robot's system Python."""

from __future__ import annotations

import collections
import contextlib
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from robot_learning.clock import Clock, seconds_to_ns
from robot_learning.drivers.stretch.body import BodyModel, BodyStatus, Motion, Span
from robot_learning.errors import ConfigError, UserError
from robot_learning.rig import Rig
from robot_learning.rig_parts.stretch import StretchConfig

WORKER = Path(__file__).with_name("worker.py")
_ENDING_S = 10.0  # for the library to close its devices
_SHOWN_LINES = 4


class ProcessBody:
    """A :class:`robot_learning.drivers.stretch.body.StretchBody` that speaks to `worker.py` over pipes.

    Its process is of another session, so that Ctrl-C in a terminal reaches the driver alone, which then stops it in
    good order.
    """

    def __init__(self, rig: Rig, clock: Clock) -> None:
        self._config = rig.stretch or StretchConfig()
        self._clock = clock
        self._settings = {
            "rate_hz": rig.robot.state_rate_hz,
            "silence_s": self._config.silence_s,
            "collision_manager": self._config.collision_manager,
            "deceleration_time_s": rig.watchdog.deceleration_time_s,
            "base_acceleration": rig.limits.base.acceleration_max_m_s2 if rig.limits.base else 0.1,
        }
        self._process: subprocess.Popen[bytes] | None = None
        self._readers: list[threading.Thread] = []
        self._news = threading.Condition()
        self._model: BodyModel | None = None
        self._status: BodyStatus | None = None
        self._said: dict[str, dict[str, Any]] = {}
        self._homed, self._fault = False, ""
        self._written: collections.deque[str] = collections.deque(maxlen=200)
        self._joints: dict[str, Motion] = {}
        self._base: list[float] | None = None
        self.why = ""  # startup() said no
        self.heard: Callable[[], None] = lambda: None

    # The process

    def startup(self) -> bool:
        self._said, self._status, self._homed, self._fault, self.why = {}, None, False, "", ""
        environment = dict(os.environ)
        environment.pop("_ROS_WHEELS_BOOTSTRAP_COMPLETE", None)  # says something about another environment's Python
        if self._config.fleet_path:
            environment["HELLO_FLEET_PATH"] = os.path.expanduser(self._config.fleet_path)
            environment["HELLO_FLEET_ID"] = self._config.fleet_id
        for name in ("HELLO_FLEET_PATH", "HELLO_FLEET_ID"):
            if not environment.get(name):
                raise ConfigError(
                    f"{name} is not set, and stretch_body finds the robot's parameters by it: run where the robot's "
                    "own shell profile was read, or set stretch.fleet_path and stretch.fleet_id."
                )
        python = os.path.expanduser(self._config.python) or sys.executable
        try:
            self._process = subprocess.Popen(
                [python, str(WORKER)],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                env=environment,
                start_new_session=True,
            )
        except OSError as error:
            raise ConfigError(f"stretch.python: {python} can't be run ({error.strerror}).") from None
        assert self._process.stdin is not None
        self._send(self._settings)
        os.set_blocking(self._process.stdin.fileno(), False)  # a worker that hangs must not hold up a stop
        self._readers = [
            threading.Thread(target=target, args=(self._process,), name=name, daemon=True)
            for name, target in (("stretch", self._read), ("stretch-log", self._read_log), ("stretch-end", _sweep))
        ]
        for reader in self._readers:
            reader.start()
        if not self._wait(lambda: "started" in self._said or self._over(), self._config.startup_timeout_s):
            self._kill()
            self.why = f"it took longer than stretch.startup_timeout_s = {self._config.startup_timeout_s:g} s"
            return False
        self._homed = bool(self._said.get("started", {}).get("homed"))
        self.why = self._said.get("failed", {}).get("why", "") or self._fault
        if "started" not in self._said:
            return False
        return self._wait(lambda: self._status is not None or self._over(), self._config.startup_timeout_s)

    def _over(self) -> bool:
        return bool(self._fault)

    def _wait(self, condition: Any, timeout_s: float) -> bool:
        with self._news:
            return bool(self._news.wait_for(condition, timeout_s))

    def _read(self, process: subprocess.Popen[bytes]) -> None:
        """The worker's lines, until it dies; in a thread."""
        assert process.stdout is not None
        for line in process.stdout:
            with self._news:
                self._take(json.loads(line))
                self._news.notify_all()
            self.heard()
        code = process.wait()
        with self._news:
            how = f"by signal {-code}" if code < 0 else f"with status {code}"
            last = " | ".join(list(self._written)[-_SHOWN_LINES:])
            self._fault = f"the process of Stretch's library ended {how}" + (f"; it wrote last: {last}" if last else "")
            self._news.notify_all()

    def _read_log(self, process: subprocess.Popen[bytes]) -> None:
        assert process.stderr is not None
        for line in process.stderr:
            if text := line.decode(errors="replace").rstrip():
                self._written.append(text)

    def _take(self, line: dict[str, Any]) -> None:
        kind = line.pop("say")
        if kind == "status":
            self._status, self._homed = self._read_status(line), bool(line["homed"])
            return
        if kind == "model":
            self._model = _read_model(line)
        elif kind == "prepared":
            self._homed = bool(line["homed"])
        self._said[kind] = line

    def _read_status(self, line: dict[str, Any]) -> BodyStatus:
        age_ns = time.monotonic_ns() - line["mono_ns"] + seconds_to_ns(line["age_s"])
        stamp = self._clock.now_ns() - age_ns
        before = self._status
        # An age is measured anew in each line; the same reading keeps its stamp.
        if before is not None and stamp - before.stamp_ns < seconds_to_ns(0.25 / self._settings["rate_hz"]):
            stamp = before.stamp_ns
        base = np.array(line["base"], dtype=np.float64)
        return BodyStatus(
            stamp_ns=stamp,
            position=line["position"],
            velocity=line["velocity"],
            base_pose=base[:3],
            base_velocity=base[3:],
            effort=line["effort"],
            runstop=line["runstop"],
            contacts=tuple(line["contacts"]),
            contact_count=line["contact_count"],
            collisions=tuple(line["collisions"]),
            battery_v=line["battery_v"],
            oldest_s=line["oldest_s"],
            busy=line["busy"],
            fault=line["fault"],
        )

    def _send(self, order: dict[str, Any]) -> None:
        process = self._process
        if process is None or process.stdin is None:
            return
        data = json.dumps(order).encode() + b"\n"
        try:
            if os.write(process.stdin.fileno(), data) != len(data):
                raise BlockingIOError
        except BlockingIOError:
            self._fault = self._fault or "the process of Stretch's library takes no more orders"
        except (OSError, ValueError):
            return  # it is gone; `_read` tells how

    def _kill(self) -> None:
        """The process and what it started."""
        if self._process is not None and self._process.poll() is None:
            os.killpg(self._process.pid, signal.SIGKILL)

    # What the driver asks

    def is_homed(self) -> bool:
        return self._homed

    def model(self) -> BodyModel:
        if self._model is None:
            raise UserError("a Stretch's model is known only after startup().")
        return self._model

    def status(self) -> BodyStatus:
        with self._news:
            if self._status is None:
                zeros = np.zeros(3)
                return BodyStatus(0, {}, {}, zeros, zeros[:2], fault=self._fault or "nothing was measured yet")
            return replace(self._status, fault=self._fault) if self._fault else self._status

    def move_to(self, motions: Mapping[str, Motion]) -> None:
        self._joints.update(motions)

    def set_base_velocity(self, forward: float, turn: float, acceleration: float) -> None:
        self._base = [forward, turn, acceleration]

    def push(self) -> None:
        joints = {name: [m.position, m.velocity, m.acceleration, m.guard] for name, m in self._joints.items()}
        self._send({"do": "move", "joints": joints, "base": self._base})
        self._joints, self._base = {}, None

    def prepare(self, what: str) -> None:
        """Home or stow; raises UserError where the library did, or the process ended."""
        with self._news:
            self._said.pop("prepared", None)
        self._send({"do": "prepare", "what": what})
        while not self._wait(lambda: "prepared" in self._said or self._over(), self._config.silence_s / 4):
            self.push()  # the driver lives
        error = self._said.get("prepared", {}).get("error", "") or self._fault
        if error:
            raise UserError(f"the robot could not {what}: {error}.")

    def close(self) -> None:
        process = self._process
        if process is None:
            return
        self._send({"do": "close"})
        try:
            process.wait(_ENDING_S)
        except subprocess.TimeoutExpired:
            self._kill()
            process.wait()
        assert process.stdin is not None
        with contextlib.suppress(OSError):
            process.stdin.close()
        for reader in self._readers:
            reader.join()
        self._process = None


def _sweep(process: subprocess.Popen[bytes]) -> None:
    """Where the worker ends, so does what it started: the library's collision process would hold our pipes for ever."""
    with contextlib.suppress(ChildProcessError):
        os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)  # not reaped yet, so that the number is still its own
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, signal.SIGKILL)


def _read_model(line: dict[str, Any]) -> BodyModel:
    speed, acceleration, separation = line["base"]
    return BodyModel(
        name=line["name"],
        tool=line["tool"],
        joints={name: Span(*values) for name, values in line["joints"].items()},
        base_speed_max_m_s=speed,
        base_acceleration_max_m_s2=acceleration,
        status_rate_hz=line["rate_hz"],
        wheel_separation_m=separation,
    )
