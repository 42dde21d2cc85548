"""The server's decisions, without sockets: who has shaken hands, which request is next, what is answered.

One request per client waits; a newer one takes its place. Requests are computed in the order in which their
clients began to wait, and not at all once the time that the client gave is over.
"""

from __future__ import annotations

import math
from collections import Counter, OrderedDict
from dataclasses import dataclass, replace

import numpy as np
from pydantic import ValidationError

from robot_learning.clock import Clock
from robot_learning.contract import Contract
from robot_learning.data.images import training_shape
from robot_learning.deployment.wire import Ask, Chunk, Fault, Hello, Message, ServerInfo, Welcome, WireError, decode
from robot_learning.errors import ContractMismatch

MAX_SESSIONS = 64  # the client that was silent longest makes room for a new one, and shakes hands again


@dataclass(frozen=True)
class Job:
    """A request on its way through the server."""

    client: bytes
    ask: Ask
    received_ns: int
    begun_ns: int = 0

    @property
    def deadline_ns(self) -> int:
        """Until when an answer is of use [ns], on the server's clock."""
        return self.received_ns + self.ask.budget_ns


Answer = tuple[bytes, Message]  # to which client, and what


class Desk:
    """Takes messages in, hands jobs out, answers.

    Attributes:
        counts: messages by what became of them: `hello`, `ask`, `chunk`, and each kind of fault.
    """

    def __init__(self, info: ServerInfo, contract: Contract, clock: Clock) -> None:
        self.info, self.contract = info, contract
        self.counts: Counter[str] = Counter()
        self._clock = clock
        self._last_id: OrderedDict[bytes, int] = OrderedDict()  # of each client, the longest silent first
        self._waiting: dict[bytes, Job] = {}
        self._expected = expected_observation(info, contract)
        self._action_width = action_width(info, contract)

    @property
    def has_waiting(self) -> bool:
        """Whether a request waits."""
        return bool(self._waiting)

    def receive(self, client: bytes, data: bytes) -> list[Answer]:
        """What to answer right now to a message; a good request waits instead."""
        try:
            message = decode(data)
        except WireError as error:
            return [self._fault(client, error.kind, str(error))]
        if not isinstance(message, Hello | Ask):
            return [self._fault(client, "malformed", f"a client says hello or ask; got {type(message).__name__}")]
        last = self._last_id.get(client)
        stamp = message.stamp_ns if isinstance(message, Ask) else 0
        if last is not None and message.id <= last:
            return [self._fault(client, "replayed", f"id {message.id} is not above {last}", message.id, stamp)]
        if isinstance(message, Hello):
            return [self._greet(client, message)]
        if last is None:
            return [self._fault(client, "no_session", "say hello first", message.id, stamp)]
        self._remember(client, message.id)
        if problem := self._problem(message):
            return [self._fault(client, *problem, message.id, stamp)]
        self.counts["ask"] += 1
        older = self._waiting.get(client)
        self._waiting[client] = Job(client, message, self._clock.now_ns())
        return [] if older is None else [self._give_up(older, "superseded", f"by request {message.id}")]

    def expire(self) -> list[Answer]:
        """Answers to requests that have waited too long."""
        now = self._clock.now_ns()
        late = [job for job in self._waiting.values() if now > job.deadline_ns]
        for job in late:
            del self._waiting[job.client]
        return [self._give_up(j, "expired", f"it waited {(now - j.received_ns) / 1e6:.1f} ms") for j in late]

    def take(self) -> Job | None:
        """The next job to compute; call `expire` before."""
        if not self._waiting:
            return None
        job = self._waiting.pop(next(iter(self._waiting)))
        return replace(job, begun_ns=self._clock.now_ns())

    def done(self, job: Job, outcome: object) -> Answer:
        """The answer to a job, from the chunk that the policy made or the error that it raised."""
        ask, timing = job.ask, self._timing(job)
        if isinstance(outcome, BaseException):
            text = " ".join(f"{type(outcome).__name__}: {outcome}".split())[:500]
            return self._fault(job.client, "raised", text, ask.id, ask.stamp_ns, timing)
        wanted = (self.info.chunk_length, self._action_width)
        if not isinstance(outcome, np.ndarray) or outcome.dtype.kind != "f" or outcome.shape != wanted:
            what = f"{outcome.dtype} {outcome.shape}" if isinstance(outcome, np.ndarray) else type(outcome).__name__
            return self._fault(job.client, "shape", f"{what} where {wanted} is due", ask.id, ask.stamp_ns, timing)
        if bad := int((~np.isfinite(outcome)).sum()):
            detail = f"{bad} of {outcome.size} values"
            return self._fault(job.client, "not_finite", detail, ask.id, ask.stamp_ns, timing)
        self.counts["chunk"] += 1
        return job.client, Chunk(ask.id, ask.stamp_ns, outcome.astype(np.float64), timing)

    def _greet(self, client: bytes, hello: Hello) -> Answer:
        try:
            theirs = Contract.model_validate(hello.contract)
            features = (*self.info.observations, *self.info.actions)
            self.contract.require_match(theirs, "the policy", f"'{hello.name}' ({theirs.rig})", features)
        except ValidationError as error:
            return self._fault(client, "contract", f"not a contract: {error.error_count()} errors", hello.id)
        except ContractMismatch as error:
            return self._fault(client, "contract", str(error), hello.id)
        self._remember(client, hello.id)
        self.counts["hello"] += 1
        return client, Welcome(hello.id, self.info)

    def _remember(self, client: bytes, id: int) -> None:
        self._last_id[client] = id
        self._last_id.move_to_end(client)
        if len(self._last_id) > MAX_SESSIONS:
            silent, _ = self._last_id.popitem(last=False)
            self._waiting.pop(silent, None)

    def _problem(self, ask: Ask) -> tuple[str, str] | None:
        """Fault kind and detail of a request that the policy can't work on."""
        if set(ask.observation) != set(self._expected):
            return "observation", f"the policy sees {sorted(self._expected)}; got {sorted(ask.observation)}"
        for name, (dtype, shape) in self._expected.items():
            value = ask.observation[name]
            if value.dtype.name != dtype or value.shape != shape:
                return "observation", f"'{name}' is {dtype} {shape}; got {value.dtype.name} {value.shape}"
            if value.dtype.kind == "f" and not np.isfinite(value).all():
                return "observation", f"'{name}' has values that are not finite"
        prefix = ask.prefix
        if prefix is None:
            return None
        if not self.info.supports_prefix:
            return "prefix", f"{self.info.policy} can't begin a chunk with committed actions"
        if (
            prefix.ndim != 2
            or prefix.dtype.kind != "f"
            or prefix.shape[1] != self._action_width
            or len(prefix) > self.info.chunk_length
            or not np.isfinite(prefix).all()
        ):
            longest = (self.info.chunk_length, self._action_width)
            return "prefix", f"at most {longest} finite numbers; got {prefix.dtype.name} {prefix.shape}"
        return None

    def _give_up(self, job: Job, kind: str, detail: str) -> Answer:
        return self._fault(job.client, kind, detail, job.ask.id, job.ask.stamp_ns, self._timing(job))

    def _fault(
        self, client: bytes, kind: str, detail: str, id: int = 0, stamp_ns: int = 0, timing: dict | None = None
    ) -> Answer:
        self.counts[kind] += 1
        return client, Fault(id, stamp_ns, kind, detail, timing or {})

    def _timing(self, job: Job) -> dict[str, float]:
        now = self._clock.now_ns()
        begun = job.begun_ns or now
        return {
            "queue_ms": (begun - job.received_ns) / 1e6,
            "inference_ms": (now - begun) / 1e6,
            "total_ms": (now - job.received_ns) / 1e6,
        }


def action_width(info: ServerInfo, contract: Contract) -> int:
    """Values of one action, Da."""
    return sum(math.prod(contract.spec_of(name).shape) for name in info.actions)


def expected_observation(info: ServerInfo, contract: Contract) -> dict[str, tuple[str, tuple[int, ...]]]:
    """Feature name to dtype and (To, *shape), images at the size that the policy sees."""
    found = {}
    for name in info.observations:
        spec = contract.spec_of(name)
        found[name] = (spec.dtype, (info.To, *training_shape(spec, info.image_size)))
    return found
