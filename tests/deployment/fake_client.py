"""A policy server and its client in one object, on the test's own clock."""

from __future__ import annotations

import numpy as np

from robot_learning.clock import seconds_to_ns
from robot_learning.deployment.client import PolicyFault, Reply
from robot_learning.deployment.wire import ServerInfo

INFO = ServerInfo(
    policy="fake", observations=("ee_position", "front"), actions=("action",), To=2, Tp=16, executed=(1, 9),
    image_size=(8, 8), policy_rate_hz=20.0, backend="eager", snapshot="none", supports_prefix=True,
)  # fmt: skip


class FakeClient:
    """Answers each question after `delay_s` with a chunk that names itself, or goes wrong as told.

    The first value of action k of the chunk with id i is `i + k / 100`; all else is a resting tool.

    Attributes:
        fault: kind of what comes in place of a chunk.
        width: of the gripper.
        half_open: whether nothing ever comes.
        asked: (id, stamp, observation, prefix, instruction) of each question.
    """

    def __init__(self, clock, info: ServerInfo = INFO, delay_s: float = 0.03) -> None:
        self._clock, self._serves = clock, info
        self.info: ServerInfo | None = None
        self.delay_s, self.fault, self.half_open = delay_s, "", False
        self.alive, self.connected, self.trouble = True, False, "nothing listens there"
        self.refusal, self.width = "", 0.08
        self.asked: list[tuple] = []
        self._pending: tuple | None = None  # id, stamp, due, deadline, prefix
        self._begun = False

    def begin(self) -> None:
        self.connected, self.info, self._pending, self._begun = False, None, None, True

    def ask(self, observation, stamp_ns, deadline_s, prefix=None, instruction=""):
        if not self.connected:
            raise PolicyFault("disconnected", "no connection")
        id, now = len(self.asked) + 1, self._clock.now_ns()
        self.asked.append((id, stamp_ns, observation, prefix, instruction))
        due = now + seconds_to_ns(self.delay_s)
        self._pending = id, stamp_ns, due, now + seconds_to_ns(deadline_s), prefix
        return id

    def poll(self):
        if not self.alive:
            pending, self._pending, self.connected = self._pending, None, False
            if pending:
                raise PolicyFault("disconnected", "the server died")
            return None
        if not self.connected:
            if self._begun and self.refusal:
                self._begun = False
                raise PolicyFault("refused", self.refusal)
            if self._begun and not self.half_open:
                self.connected, self.info = True, self._serves
            return None
        if self._pending is None:
            return None
        id, stamp, due, deadline, prefix = self._pending
        now = self._clock.now_ns()
        if now > deadline:
            self._pending, self.connected = None, False
            raise PolicyFault("timeout", f"no answer to request {id}")
        if self.half_open or now < due:
            return None
        self._pending = None
        if self.fault:
            raise PolicyFault(self.fault, "as told")
        chunk = np.tile([0.0, 0, 0.3, 1, 0, 0, 0, -1, 0, self.width], (self.info.chunk_length, 1))
        chunk[:, 0] = id + np.arange(len(chunk)) / 100
        if prefix is not None:
            chunk[: len(prefix)] = prefix
        return Reply(id, stamp, chunk, {"queue_ms": 1.0, "inference_ms": 20.0, "total_ms": 22.0})
