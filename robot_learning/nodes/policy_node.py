"""`policy_node`: the policy's actions, each when it is due, and the way to a person and back."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable
from typing import Any

import numpy as np
from diagnostic_msgs.msg import DiagnosticStatus

from robot_learning.deployment.client import PolicyClient
from robot_learning.deployment.runner import Mode, PolicyRunner
from robot_learning.deployment.timing import ChunkTiming
from robot_learning.errors import DeploymentError, UserError
from robot_learning.nodes import declarations, messages
from robot_learning.nodes.base import STEADY, StationNode, run
from robot_learning.nodes.intake import Intake
from robot_learning.nodes.messages import BadMessage
from robot_learning.sim.station import object_streams, station_contract
from robot_learning.topics import action_names, topics

TICKS_PER_STEP = 5
_TRY_S = 0.5  # from one try to start to the next, where the node is to start by itself
_CHECK_S = 1.0  # between looks for publishers that don't fit
_KEPT = 3000  # periods between ticks, for /diagnostics


class PolicyNode(StationNode):
    """Topics, services and a steady timer around a `PolicyRunner`."""

    declaration = declarations.POLICY

    def configure(self) -> None:
        self._contract = station_contract(self.rig)
        self._sources = topics(self.rig, object_streams(self.rig))
        self._names = action_names(self.rig)
        self._target, self._commander = self.advertise("robot/target"), self.advertise("~/commander")
        self._mode, self._timing = self.advertise("~/mode"), self.advertise("~/timing")
        endpoint = self.param("server") or self.rig.server.endpoint
        self._client = PolicyClient(
            endpoint, self._contract, self.clock, self.rig.server.keys, self.get_fully_qualified_name()
        )
        self.runner = PolicyRunner(
            self._client, self._contract, self.rig, self.clock, self._send,
            self.param("execution"), self.param("deadline_s"), self._changed, self._timed,
        )  # fmt: skip
        self._listening: set[str] = set()
        self._intakes: list[Intake] = []
        self.create_timer(_CHECK_S, self._check_streams, clock=STEADY)
        self._refused: int | None = None  # first targets that the gate has refused so far
        self.listen("~/human_target", self._human_target)
        self.listen("~/instruction", self._instruction)
        self.listen("robot/gate", self._gate)
        runner = self.runner
        for name, work in (
            ("start", runner.start), ("stop", runner.stop), ("pause", runner.pause), ("resume", runner.resume),
            ("take_over", runner.take_over), ("hand_back", runner.hand_back),
        ):  # fmt: skip
            self.serve(f"~/{name}", self._served(work))
        rate_hz = TICKS_PER_STEP * self.rig.policy.rate_hz
        # Steady: neither a simulated clock that stands still nor a system clock that is set back stops the ticks.
        self._timer = self.create_timer(1 / rate_hz, self._tick, clock=STEADY)
        self._timer.cancel()
        self._periods_s: deque[float] = deque(maxlen=_KEPT)
        self._untold_s: deque[float] = deque(maxlen=_KEPT)  # those since the last ~/timing

    def activate(self) -> None:
        self._try_at: float | None = None if self.param("start_paused") else time.monotonic()
        self._ticked_at: float | None = None
        self._timer.reset()
        self._changed(self.runner.mode, self.runner.reason)

    def deactivate(self) -> None:
        self._timer.cancel()
        self.runner.stop("deactivated")

    def close(self) -> None:
        if hasattr(self, "_client"):
            self._client.close()

    def time_jumped(self, delta_ns: int) -> None:
        if hasattr(self, "runner"):
            self.runner.time_jumped(delta_ns)

    def diagnose(self) -> list[DiagnosticStatus]:
        if not hasattr(self, "runner"):
            return []
        periods_ms = 1e3 * np.array(self._periods_s or [0.0])
        values = {
            "mode": self.runner.mode,
            "connected": self._client.connected,
            "remaining_s": round(self.runner.scheduler.remaining_s(self.clock.now_ns()), 3),
            "replies_dropped": self._client.dropped,
            "tick_ms_p50": round(float(np.percentile(periods_ms, 50)), 3),
            "tick_ms_p99": round(float(np.percentile(periods_ms, 99)), 3),
            "tick_ms_max": round(float(periods_ms.max()), 3),
        }
        level = messages.OK if self._client.connected else messages.WARN
        text = "connected" if self._client.connected else self._client.trouble
        return [messages.status(f"{self.get_name()}: server", level, text, values)]

    # What the runner says

    def _send(self, action: np.ndarray, stamp_ns: int, human: bool) -> None:
        self._target.publish(messages.vector(stamp_ns, self._names, action))
        self._commander.publish(messages.vector(stamp_ns, ["human"], [float(human)]))

    def _changed(self, mode: Mode, reason: str) -> None:
        level = messages.ERROR if mode == "stopped" else messages.WARN if reason and mode == "policy" else messages.OK
        told = getattr(self, "_told", None)
        self._told = mode, bool(reason)
        self._mode.publish(messages.status(f"{self.get_name()}: mode", level, reason or mode, _pairs(mode, reason)))
        if mode == "stopped":
            self.fault("policy", f"the policy stopped: {reason}")
            return
        self.clear_fault("policy")
        if told != self._told:  # an age within a reason changes all the time
            log, text = self.get_logger(), f"{mode}: {reason}" if reason else mode
            if level == messages.WARN:  # rclpy allows one severity for each line of code
                log.warning(text)
            else:
                log.info(text)

    def _timed(self, timing: ChunkTiming) -> None:
        name = f"{self.get_name()}: timing"
        values: dict[str, Any] = dict(timing.to_json())
        values["tick_ms"] = " ".join(f"{1e3 * period:.3f}" for period in self._untold_s)
        self._untold_s.clear()
        self._timing.publish(messages.status(name, messages.OK, f"chunk {timing.chunk_id}", values))

    # What comes in

    def _tick(self) -> None:
        now = time.monotonic()
        if self._ticked_at is not None:
            self._periods_s.append(now - self._ticked_at)
            self._untold_s.append(now - self._ticked_at)
        self._ticked_at = now
        self.clock.look()
        for intake in self._intakes:
            intake.poll()
        self.runner.tick()
        self._listen_to_streams()
        if self._try_at is not None and now >= self._try_at:
            self._try_to_start(now)

    def _listen_to_streams(self) -> None:
        """Subscribe to what the server's policy observes, once that is known."""
        observer = self.runner.asker.observer
        new = [s for s in observer.streams if s not in self._listening] if observer else []
        if new:
            self._listening |= set(new)
            # Read at each tick: to be woken by each message would cost more than the messages, and hold up the ticks.
            streams = self._contract, self._sources, new
            self._intakes.append(Intake(self, *streams, self.runner.extend, self.runner.refused, polled=True))

    def _check_streams(self) -> None:
        for intake in self._intakes:
            intake.check()

    def _try_to_start(self, now: float) -> None:
        self._try_at = now + _TRY_S
        try:
            self.runner.start()
        except UserError as error:
            self._changed("idle", f"waiting to start: {error}")
            return
        self._try_at = None

    def _served(self, work: Callable[[], None]) -> Callable[[], str]:
        def serve() -> str:
            if not self.active:
                raise DeploymentError(f"{self.get_name()} is not active; activate it first.")
            self._try_at = None  # a person has taken charge
            work()
            return self.runner.mode

        return serve

    def _human_target(self, message: Any) -> None:
        try:
            action = messages.pick(message, "position", self._names)
            stamp_ns = messages.stamp_of(message)
            if not np.isfinite(action).all():
                raise BadMessage("it is not finite")
        except BadMessage as error:
            self.fault("human_target", f"~/human_target: message refused: {error}")
            return
        self.clear_fault("human_target")
        self.runner.human(action, stamp_ns)

    def _instruction(self, message: Any) -> None:
        self.runner.instruction = message.data

    def _gate(self, message: Any) -> None:
        values = messages.values_of(message)
        self.runner.gate(values.get("state", ""), values.get("reason", ""))
        refused, before = int(values.get("trips.first_target", 0)), self._refused
        self._refused = refused
        if before is not None and refused > before:
            self.runner.gate_refused(values.get("detail", "the first target is too far"))


def _pairs(mode: str, reason: str) -> dict[str, str]:
    return {"mode": mode, "reason": reason}


def main(arguments: list[str] | None = None) -> None:
    """Entry point."""
    run(PolicyNode, arguments)


if __name__ == "__main__":
    main()
