"""The robot's side of the policy server: asks without ever waiting, and trusts no late or foreign answer.

After a missed deadline the connection is discarded: what a server sends late can never be taken for an answer to
a newer question. A fresh connection shakes hands by itself while `poll` is called.
"""

from __future__ import annotations

import math
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import NoReturn

import numpy as np
import zmq

from robot_learning.clock import Clock, seconds_to_ns
from robot_learning.contract import Contract
from robot_learning.deployment.keys import ClientKeys, require_keys
from robot_learning.deployment.link import Link
from robot_learning.deployment.wire import Ask, Chunk, Fault, Hello, Message, ServerInfo, Welcome
from robot_learning.errors import DeploymentError, UnknownName, UserError

ATTEMPT_S = 1.0  # a handshake that takes longer begins anew on a fresh connection
_KINDS = {  # of faults that a runner treats each in its own way; all others are `refused`
    "expired": "timeout",
    "raised": "raised",
    "not_finite": "not_finite",
    "shape": "shape",
    "no_session": "disconnected",
}


class PolicyFault(UserError):
    """An answer that will not come, or is not fit to be executed.

    Attributes:
        kind: `timeout`, `disconnected`, `refused`, `raised`, `not_finite` or `shape`.
        detail: a sentence for people.
    """

    def __init__(self, kind: str, detail: str) -> None:
        self.kind, self.detail = kind, detail
        super().__init__(f"{kind}: {detail}")


@dataclass(frozen=True, eq=False)
class Reply:
    """A chunk that may be executed.

    Attributes:
        stamp_ns: of the observation that it answers [ns].
        chunk: (n, Da) float64, n <= `ServerInfo.chunk_length`; action k is meant for `stamp_ns + k * dt`.
        timing: the server's `queue_ms`, `inference_ms` and `total_ms`, and `round_trip_ms` from ask to poll.
    """

    id: int
    stamp_ns: int
    chunk: np.ndarray
    timing: dict[str, float]


@dataclass(frozen=True)
class _Question:
    id: int
    stamp_ns: int
    asked_ns: int
    deadline_ns: int


class PolicyClient:
    """Talks to one policy server. Not for several threads.

    Args:
        endpoint: of the server.
        contract: the rig's; the server refuses one that does not fit its policy.
        clock: for deadlines.
        keys: folder with this client's keys; needed beyond this machine.
        name: for the server's messages.

    Raises:
        DeploymentError: no keys where they are needed, or none in the folder.

    Attributes:
        info: the server's, from the first handshake on.
        dropped: answers that came too late or belong to nothing.
    """

    def __init__(self, endpoint: str, contract: Contract, clock: Clock, keys: str = "", name: str = "policy") -> None:
        require_keys(endpoint, keys)
        self.endpoint, self.name = endpoint, name
        self.info: ServerInfo | None = None
        self.dropped = 0
        self._contract, self._clock = contract, clock
        self._keys = ClientKeys.read(keys) if keys else None
        self._context = zmq.Context()
        self._width = 0
        self._id = 0
        self._link: Link | None = None
        self._hello: _Question | None = None  # under way; None: shaken hands, or given up
        self._question: _Question | None = None
        self._given_up = True

    @property
    def connected(self) -> bool:
        """Whether hands are shaken and the connection has not been lost since; kept up to date by `poll`."""
        return self._link is not None and self._hello is None

    @property
    def waiting(self) -> bool:
        """Whether an answer is awaited. Asking anew gives it up."""
        return self._question is not None

    @property
    def trouble(self) -> str:
        """Why there is no connection, as far as is known; for people."""
        if self.connected:
            return ""
        return f"{self.endpoint}: {self._link.trouble if self._link else 'no answer'}"

    def begin(self) -> None:
        """Begin to shake hands, without waiting: `poll` goes on with it. Asks of before are forgotten."""
        self._discard()
        self._given_up, self.info = False, None

    def connect(self, timeout_s: float = 5.0) -> ServerInfo:
        """Shake hands with the server; the one call that waits. Asks of before are forgotten.

        Raises:
            DeploymentError: nobody answered, or keys or contract were refused; the message says which.
        """
        self.begin()
        end = time.monotonic() + timeout_s
        while not self.connected:
            try:
                self._advance()
            except PolicyFault as fault:
                self._discard()
                raise DeploymentError(f"the policy server at {self.endpoint} refuses: {fault.detail}.") from None
            if time.monotonic() > end:
                reason = self._link.trouble if self._link else "nothing answers"
                self._discard()
                self._given_up = True
                raise DeploymentError(
                    f"no policy server at {self.endpoint} within {timeout_s:g} s: {reason}; "
                    "start one with robot-learning serve."
                )
            if self._link and not self.connected:
                self._link.socket.poll(10)
        assert self.info is not None
        return self.info

    def ask(
        self,
        observation: Mapping[str, np.ndarray],
        stamp_ns: int,
        deadline_s: float,
        prefix: np.ndarray | None = None,
        instruction: str = "",
    ) -> int:
        """Send a request and return its id; does not wait.

        Args:
            observation: feature name to (To, *shape) in the contract's units, images at `info.image_size`.
            stamp_ns: the instant that the observation is about [ns].
            deadline_s: from now [s]; an answer later than this is a fault.
            prefix: (d, Da) actions from `stamp_ns` on that will be executed whatever the answer.

        Raises:
            PolicyFault: `disconnected`, where there is no connection to ask through.
        """
        if self._link is None or not self.connected:
            raise PolicyFault("disconnected", f"no connection to {self.endpoint}")
        now = self._clock.now_ns()
        budget = seconds_to_ns(deadline_s)
        self._id += 1
        message = Ask(self._id, stamp_ns, budget, dict(observation), prefix, instruction)
        self._question = _Question(self._id, stamp_ns, now, now + budget)
        if not self._link.send(message):
            raise self._lost("the connection takes no more messages")
        return self._id

    def poll(self) -> Reply | None:
        """The awaited answer if it has come; also mends a lost connection. Call it often; it never waits.

        Raises:
            PolicyFault: once for each question that gets no usable answer, and where a server that returned
                refuses the handshake or serves another policy.
        """
        if not self.connected:
            self._advance()
            return None
        assert self._link is not None
        while (message := self._link.receive()) is not None:
            reply = self._take(message)
            if reply is not None:
                return reply
        if self._link.lost:
            had_question = self._question is not None
            fault = self._lost("the server closed the connection or died")
            if had_question:
                raise fault
            return None
        question = self._question
        if question and self._clock.now_ns() > question.deadline_ns:
            self._discard()
            waited = (self._clock.now_ns() - question.asked_ns) / 1e9
            raise PolicyFault("timeout", f"no answer to request {question.id} within {waited:.3f} s")
        return None

    def close(self) -> None:
        """End the connection."""
        self._discard()
        self._given_up = True
        self._context.destroy(linger=0)

    def _take(self, message: Message) -> Reply | None:
        """The reply in a message, if it answers the question that is asked."""
        question = self._question
        if isinstance(message, Fault) and message.kind == "no_session":
            raise self._lost("the server was started anew")
        if (
            question is None
            or not isinstance(message, Chunk | Fault)
            or (message.id, message.stamp_ns) != (question.id, question.stamp_ns)
        ):
            self.dropped += 1
            return None
        now = self._clock.now_ns()
        if now > question.deadline_ns:
            self.dropped += 1
            return None
        self._question = None
        if isinstance(message, Fault):
            raise PolicyFault(_KINDS.get(message.kind, "refused"), f"{message.kind}: {message.detail}")
        assert self.info is not None
        chunk = message.chunk
        if chunk.ndim != 2 or chunk.shape[1] != self._width or len(chunk) > self.info.chunk_length:
            raise PolicyFault(
                "shape", f"a chunk of {chunk.shape} where ({self.info.chunk_length}, {self._width}) is due"
            )
        if not np.isfinite(chunk).all():
            raise PolicyFault("not_finite", f"{int((~np.isfinite(chunk)).sum())} of {chunk.size} values")
        timing = message.timing | {"round_trip_ms": (now - question.asked_ns) / 1e6}
        return Reply(message.id, message.stamp_ns, chunk.astype(np.float64), timing)

    def _advance(self) -> None:
        """One step of the handshake."""
        if self._given_up:
            return
        now = self._clock.now_ns()
        if self._link is None or self._hello is None or now > self._hello.deadline_ns:
            self._discard()
            self._link = Link(self._context, self.endpoint, self._keys)
            self._id += 1
            self._hello = _Question(self._id, 0, now, now + seconds_to_ns(ATTEMPT_S))
            self._link.send(Hello(self._id, self.name, self._contract.to_json()))
        message = self._link.receive()
        if isinstance(message, Fault) and message.id == self._hello.id:
            self._give_up("refused", message.detail)
        if isinstance(message, Welcome) and message.id == self._hello.id:
            if self.info not in (None, message.info):
                self._give_up("refused", f"the server that returned serves another policy: {message.info}")
            try:
                self._width = sum(math.prod(self._contract.spec_of(name).shape) for name in message.info.actions)
            except UnknownName as error:
                self._give_up("refused", str(error))
            self.info, self._hello = message.info, None

    def _give_up(self, kind: str, detail: str) -> NoReturn:
        self._discard()
        self._given_up = True
        raise PolicyFault(kind, detail)

    def _lost(self, detail: str) -> PolicyFault:
        self._discard()
        return PolicyFault("disconnected", f"{detail} ({self.endpoint})")

    def _discard(self) -> None:
        if self._link is not None:
            self._link.close()
        self._link = self._hello = self._question = None
