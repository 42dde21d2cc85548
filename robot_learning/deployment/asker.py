"""Asks the policy server for chunks: when, about which instant, with what already committed."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

import numpy as np

from robot_learning.clock import NS_PER_S, seconds_to_ns
from robot_learning.contract import Contract
from robot_learning.data.windows import step_ns
from robot_learning.deployment.client import PolicyFault, Reply
from robot_learning.deployment.ensemble import EnsembleScheduler, action_parts
from robot_learning.deployment.observer import Blind, Observer
from robot_learning.deployment.schedule import ChunkScheduler, TimestampScheduler
from robot_learning.deployment.timing import Question, Timekeeper
from robot_learning.deployment.wire import ServerInfo
from robot_learning.errors import DeploymentError
from robot_learning.rig_parts.sections import ExecutionConfig

SURVIVABLE = ("timeout", "disconnected")  # the next question may well be answered
RETRY_S = 2.0  # until a server that refused the handshake is asked again


class Client(Protocol):
    """What is needed of :class:`robot_learning.deployment.client.PolicyClient`."""

    info: ServerInfo | None

    @property
    def connected(self) -> bool: ...

    @property
    def trouble(self) -> str: ...

    def begin(self) -> None: ...

    def ask(self, observation: Mapping[str, np.ndarray], stamp_ns: int, deadline_s: float,
            prefix: np.ndarray | None = None, instruction: str = "") -> int: ...  # fmt: skip

    def poll(self) -> Reply | None: ...


class Asker:
    """One question at a time, about instants on a grid of the policy's steps that begins with `begin`.

    All chunks of a run so have their actions at the same instants, whatever the delays.

    Args:
        method: of `ExecutionConfig.method`.
        deadline_s: an answer that takes longer is given up, with its connection.

    Attributes:
        observer: of what the server's policy observes; None before the first handshake.
        question: what is asked and not answered; None: nothing.
    """

    def __init__(
        self, client: Client, contract: Contract, config: ExecutionConfig, method: str, deadline_s: float
    ) -> None:
        self._client, self._contract, self._config, self._method = client, contract, config, method
        self._deadline_s = deadline_s
        self._step_ns = step_ns(contract)
        # An action is sent so much before its own time that those within this after an answer are committed, too.
        self._ahead_ns = seconds_to_ns(config.actuator_delay_s + config.margin_s)
        self.observer: Observer | None = None
        self.timekeeper = Timekeeper()
        self._info: ServerInfo | None = None
        self._retry_ns: int | None = None
        self._lost = ""  # the fault by which the connection ended
        self.begin(0)
        client.begin()

    def begin(self, now_ns: int) -> None:
        """A new grid begins; what was asked before is of no interest any more."""
        self.question: Question | None = None
        self.timekeeper.clear()
        self._grid_ns = self._next_ns = now_ns
        self._looked_ns = now_ns - 1

    def time_jumped(self) -> None:
        """Time was set: what was seen, and the connection with its deadlines, belong to the old one."""
        if self.observer is not None:
            self.observer.clear()
        self.question, self._retry_ns = None, None
        self._client.begin()

    def scheduler(self) -> ChunkScheduler:
        """An empty scheduler for the server's policy.

        Raises:
            DeploymentError: there is no connection, or the policy can't do what the method needs.
        """
        info = self._info
        if info is None or not self._client.connected:
            raise DeploymentError(f"the policy server is not connected: {self._lost or self._client.trouble}.")
        if self._method == "rtc" and not info.supports_prefix:
            raise DeploymentError(
                f"execution 'rtc' needs a policy that can begin with committed actions, {info.policy} can't: "
                "choose timestamp or ensemble."
            )
        if self._method == "ensemble":
            parts = action_parts(self._contract, info.actions)
            return EnsembleScheduler(self._config, self._step_ns, parts)
        return TimestampScheduler(self._config, self._step_ns)

    def require_fresh(self, now_ns: int) -> None:
        """Raise Blind unless all that the policy observes is there now."""
        assert self.observer is not None
        self.observer.observe(now_ns)

    def poll(self, now_ns: int) -> tuple[Question, Reply] | None:
        """The answer to what was asked last, if it has come.

        Raises:
            PolicyFault: there will be none, or the server refuses; it is asked again after a while.
        """
        if self._retry_ns is not None and now_ns >= self._retry_ns:
            self._retry_ns = None
            self._client.begin()
        try:
            reply = self._client.poll()
        except PolicyFault as fault:
            asked, self.question = self.question, None
            if asked is None:
                if self._client.connected or fault.kind in SURVIVABLE:
                    return None  # about a question of before `begin`
                self._retry_ns = now_ns + seconds_to_ns(RETRY_S)
            self._lost = str(fault)
            raise
        if self._client.connected:
            self._lost = ""
        if self._client.info is not None and self._client.info != self._info:
            self._info = self._client.info
            self.observer = Observer(self._contract, self._info)
        question = self.question
        if reply is None or question is None or reply.id != question.id:
            return None
        self.question = None
        return question, reply

    def ask(self, now_ns: int, scheduler: ChunkScheduler, instruction: str) -> str:
        """Ask, at the first look after an instant of the grid, if it is time for a new chunk and all is there.

        Returns:
            What is missing, for people; empty where nothing is, or it is not time.

        Raises:
            PolicyFault: the question can't be sent.
        """
        assert self._info is not None
        assert self.observer is not None
        stamp = self._grid_ns + (now_ns - self._grid_ns) // self._step_ns * self._step_ns
        looked, self._looked_ns = self._looked_ns, now_ns
        if self.question is not None or stamp <= looked or stamp < self._next_ns:
            return ""
        if not self._client.connected:
            return self._lost or f"disconnected: {self._client.trouble}"
        try:
            seen = self.observer.observe(stamp)
        except Blind as blind:
            return str(blind)
        prefix = self._prefix(stamp, scheduler) if self._method == "rtc" else None
        id = self._client.ask(seen.values, stamp, self._deadline_s, prefix, instruction)
        self.question = Question(id, stamp, now_ns, seen.oldest_ns, 0 if prefix is None else len(prefix))
        self._next_ns = stamp + self._replan_ns
        return ""

    def from_rest(self, stamp_ns: int, now_ns: int) -> int:
        """The instant that the first chunk of a run is for: the robot has rested since its observation at `stamp_ns`.

        So its first action is the next one, on the same grid, however long the answer took; else the robot would
        begin with a jump to where it had been by now, which the gate refuses.
        """
        steps = max(0, -(-(now_ns + self._ahead_ns - stamp_ns) // self._step_ns))
        stamp_ns += steps * self._step_ns
        self._next_ns = stamp_ns + self._replan_ns
        return stamp_ns

    def waiting_s(self, now_ns: int) -> float:
        """For how long the question has not been answered [s]; 0: nothing is asked."""
        return (now_ns - self.question.asked_ns) / NS_PER_S if self.question else 0.0

    def _prefix(self, stamp: int, scheduler: ChunkScheduler) -> np.ndarray | None:
        """The actions that will be sent before an answer can be there."""
        assert self._info is not None
        expected = self.timekeeper.expected_delay_ns
        if not expected:
            return None
        count = -(-(expected + self._ahead_ns) // self._step_ns)
        return scheduler.committed(stamp, min(count, self._info.chunk_length - 1))

    @property
    def _replan_ns(self) -> int:
        """From one question's instant to the next [ns], whole steps."""
        assert self._info is not None
        if self._config.replan_s is not None:
            return max(1, round(seconds_to_ns(self._config.replan_s) / self._step_ns)) * self._step_ns
        begin, end = self._info.executed
        return (1 if self._method == "ensemble" else end - begin) * self._step_ns
