"""The node's end of the channel to the robot's process: starts it, hears it, tells it that somebody is there."""

from __future__ import annotations

import itertools
import os
import queue
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from typing import Any

from robot_learning.drivers.franka import packets
from robot_learning.drivers.franka.packets import StatePacket
from robot_learning.errors import UserError
from robot_learning.rig import Rig

HEARTBEAT_S = 0.02
WORKER = "robot_learning.drivers.franka.worker"
_LEAVE_S = 5.0  # braking, handing over, ending


class Link:
    """One robot's process.

    It is in a session of its own: what kills the node's whole group leaves it the time to brake the arm, then it ends.

    Args:
        on_states: called with the new states, oldest first, in the link's thread.
        on_notice: called with each change of what the arm does, likewise.
    """

    def __init__(
        self, rig: Rig, on_states: Callable[[list[StatePacket]], None], on_notice: Callable[[dict[str, Any]], None]
    ) -> None:
        self._on_states, self._on_notice = on_states, on_notice
        self._answers: queue.Queue[dict[str, Any]] = queue.Queue()
        self._ids = itertools.count(1)
        self._asking = threading.Lock()
        self._closing, self._ended = threading.Event(), threading.Event()
        self._socket, theirs = packets.pair()
        environment = os.environ | {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
        self._pipe, pipe = os.pipe()
        with theirs:
            ends = (theirs.fileno(), pipe)
            self._process = subprocess.Popen(
                [sys.executable, "-m", WORKER, *map(str, ends)],
                pass_fds=ends,
                stdin=subprocess.DEVNULL,
                start_new_session=True,
                env=environment,
            )
        os.close(pipe)
        threading.Thread(target=self._listen, name="franka", daemon=True).start()
        threading.Thread(target=self._beat, name="franka heartbeat", daemon=True).start()
        self._rig = rig

    @property
    def alive(self) -> bool:
        """Whether the robot's process runs."""
        return not self._ended.is_set()

    @property
    def pid(self) -> int:
        return self._process.pid

    def connect(self, timeout_s: float) -> None:
        """Tell it which rig; UserError where it can't connect."""
        try:
            self.ask({"rig": self._rig.model_dump(mode="json")}, timeout_s)
        except TimeoutError:
            assert self._rig.franka is not None
            raise UserError(
                f"the Franka at {self._rig.franka.address} gave no answer for {timeout_s:.0f} s; most often another "
                "program is connected to it: end that, then connect again."
            ) from None

    def ask(self, request: dict[str, Any], timeout_s: float) -> None:
        """A rare request; UserError with its reason where it failed, TimeoutError where no answer came."""
        with self._asking:
            id = next(self._ids)
            if not self.send(packets.pack_message(request | {"id": id})):
                raise UserError("the robot's process does not listen.")
            end = time.monotonic() + timeout_s
            while True:
                try:
                    answer = self._answers.get(timeout=max(0.0, end - time.monotonic()))
                except queue.Empty:
                    raise TimeoutError from None
                if not answer:
                    raise UserError(
                        f"the robot's process ended with code {self._process.wait(1)}; see what it printed."
                    )
                if answer.get("id") == id:
                    break
        if answer["error"]:
            raise UserError(answer["error"])

    def send(self, data: bytes) -> bool:
        """A packet; False where the other end is gone or does not listen. Any thread, never waits."""
        try:
            self._socket.send(data, socket.MSG_DONTWAIT)
        except OSError:
            return False
        return True

    def close(self) -> None:
        """Let it brake, hand over and end."""
        self._closing.set()
        self.send(packets.pack_message({"do": "leave"}))
        try:
            self._process.wait(_LEAVE_S)
        except subprocess.TimeoutExpired:
            self.kill()
        self._socket.close()

    def kill(self) -> None:
        """End it now; the robot then stops by itself, for lack of commands."""
        self._closing.set()
        self._process.kill()
        self._process.wait()
        self._socket.close()

    def _listen(self) -> None:
        reader = packets.Packets(self._pipe)
        while found := reader.read():
            states = [StatePacket.unpack(data) for data in found if data[:1] == packets.STATE]
            for data in found:
                if data[:1] == packets.MESSAGE:
                    message = packets.unpack_message(data)
                    if "id" in message:
                        self._answers.put(message)
                    else:
                        self._on_notice(message)
            if states:
                self._on_states(states)
        self._ended.set()
        os.close(self._pipe)
        self._answers.put({})

    def _beat(self) -> None:
        while not self._closing.wait(HEARTBEAT_S):
            self.send(packets.HEARTBEAT)
