"""A policy in charge of a robot: sends each action when it is due, hands over to a person and back, stops at faults.

It stops by sending nothing more: the robot's watchdog then decelerates and holds. No ROS in here, and no torch.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Literal

import numpy as np

from robot_learning.clock import NS_PER_S, Clock, seconds_to_ns
from robot_learning.contract import Contract
from robot_learning.data.sample import Sample
from robot_learning.data.windows import step_ns
from robot_learning.deployment.asker import SURVIVABLE, Asker, Client
from robot_learning.deployment.client import PolicyFault
from robot_learning.deployment.handover import Handover
from robot_learning.deployment.schedule import ChunkScheduler, TimestampScheduler
from robot_learning.deployment.timing import ChunkTiming
from robot_learning.drivers.targets import at_rest
from robot_learning.errors import DeploymentError
from robot_learning.rig import Rig

Mode = Literal["idle", "policy", "paused", "human", "stopped"]
BEGINNINGS = 10  # a policy's first actions that the gate may refuse before it is told to stop
PERSON_SILENT_S = 0.5  # without a target for so long, nobody is there to take over


class PolicyRunner:
    """Decides what is commanded, and by whom. Not for several threads; nothing in it waits.

    A lost or late answer and a missing observation are told at once, and survived while actions are left. Once they
    have run out, the last one is held for `execution.hold_s`; then the mode is `stopped`, and the reason names the
    fault. An answer that must not be executed, a stop of the gate, and time that was set stop at once. Only a person
    starts again.

    Args:
        send: called with an action (Da,) in the contract's units, its stamp [ns], and whether a person commands.
        method: how chunks are executed; empty: as the rig says.
        deadline_s: an answer that takes longer is given up, with its connection.
        changed: called with mode and reason when either changes.
        timed: called once per chunk.

    Attributes:
        mode, reason: what goes on, and what is wrong or who ended it; no reason where all is well.
        instruction: what the policy is told to do.
    """

    def __init__(
        self,
        client: Client,
        contract: Contract,
        rig: Rig,
        clock: Clock,
        send: Callable[[np.ndarray, int, bool], None],
        method: str = "",
        deadline_s: float = 1.0,
        changed: Callable[[Mode, str], None] = lambda mode, reason: None,
        timed: Callable[[ChunkTiming], None] = lambda timing: None,
    ) -> None:
        self._rig, self._clock = rig, clock
        self._send_out, self._changed, self._timed = send, changed, timed
        config = rig.policy.execution
        self.asker = Asker(client, contract, config, method or config.method, deadline_s)
        self.scheduler: ChunkScheduler = TimestampScheduler(config, step_ns(contract))
        self.mode: Mode = "idle"
        self.reason = self.instruction = ""
        self._step_ns = step_ns(contract)
        self._patience_ns = self._step_ns + seconds_to_ns(config.hold_s)  # without any first action
        self._gate: tuple[str, str] | None = None
        self._person_ns: int | None = None  # when a person's newest target came
        self._handover: Handover | None = None  # in mode human
        self._last: np.ndarray | None = None  # what was sent last, to be held
        self._last_ns = 0
        self._beginnings = 0  # that the gate refused
        self._begin()

    # What the rig says

    def extend(self, samples: Iterable[Sample]) -> None:
        """Samples came."""
        if self.asker.observer is not None:
            self.asker.observer.extend(samples)

    def refused(self, stream: str, reason: str) -> None:
        """A message of a stream could not be used."""
        if self.asker.observer is not None:
            self.asker.observer.refused(stream, reason)

    def gate(self, state: str, reason: str) -> None:
        """The robot's gate said so; its stop is ours."""
        self._gate = state, reason
        if state == "stopped":
            self._fault(f"the gate stopped: {reason}")

    def gate_refused(self, detail: str) -> None:
        """The gate refused the first action: the robot still rests, so a fresh chunk may begin better, or none will."""
        if self.mode != "policy" or not self._acted:
            return
        self._beginnings += 1
        if self._beginnings >= BEGINNINGS:
            self._fault(f"the gate refused to begin, {BEGINNINGS} times: {detail}")
            return
        self._begin()
        self._last = None
        self._tell("policy", f"the gate refused to begin: {detail}")

    def time_jumped(self, delta_ns: int) -> None:
        """Time was set; nothing of before can be compared with what comes now."""
        self._fault(f"clock_reset: time was set by {delta_ns / NS_PER_S:+.3f} s")
        self.asker.time_jumped()
        self._person_ns, self._last_ns = None, 0
        self._begin()

    def human(self, action: np.ndarray, stamp_ns: int) -> None:
        """A person's target (Da,); passed on in mode `human`, from when it is near what the robot was last told."""
        self._person_ns = self._clock.now_ns()
        if self._handover is None or stamp_ns <= self._last_ns:
            return
        too_far = self._handover.join(action)
        self._tell("human", f"the person's targets are not passed on yet: {too_far}" if too_far else "")
        if not too_far:
            self._send(self._handover.passed(action), stamp_ns, person=True)

    # What a person asks for; UserError: refused, and why

    def start(self) -> None:
        """Let the policy act, on fresh observations."""
        self._expect("start", "idle", "stopped")
        self._give_to_policy()

    def stop(self, reason: str = "on request") -> None:
        """Send nothing more; the robot's watchdog makes it hold."""
        self._end("idle", reason)

    def pause(self) -> None:
        """Hold where the last action led, until `resume`."""
        self._expect("pause", "policy")
        self._begin()
        self._tell("paused", "on request")

    def resume(self) -> None:
        """Go on after a pause, on fresh observations."""
        self._expect("resume", "paused")
        self._give_to_policy()

    def take_over(self) -> None:
        """Let a person command from now on. Until their first target comes, the last action is held."""
        self._expect("take_over", "idle", "policy", "paused", "stopped")
        self._check_gate()
        silent_ns = self._clock.now_ns() - (self._person_ns or 0)
        if self._person_ns is None or silent_ns > seconds_to_ns(PERSON_SILENT_S):
            raise DeploymentError("nobody sends targets to take over with; start teleoperation first.")
        self._begin()
        self._handover = Handover(self._rig, self._last)
        self._tell("human", "")

    def hand_back(self) -> None:
        """Let the policy command again, on fresh observations. Until its first action, the last target is held."""
        self._expect("hand_back", "human")
        self._give_to_policy()

    # What time asks for

    def tick(self) -> None:
        """Whatever is to be done now; call it several times per step of the policy."""
        now = self._clock.now_ns()
        try:
            self._listen(now)
            if self.mode == "policy":
                trouble = self.asker.ask(now, self.scheduler, self.instruction)
                if trouble:
                    self._tell("policy", trouble)
        except PolicyFault as fault:
            self._weigh(fault, now)
        if self.mode == "policy":
            self._act(now)
        elif self.mode == "paused" or (self._handover is not None and not self._handover.joined):
            self._hold(now)

    def _listen(self, now: int) -> None:
        """Take what the server says."""
        answer = self.asker.poll(now)
        if answer is None:
            return
        question, reply = answer
        remaining_s = self.scheduler.remaining_s(now)
        stamp = reply.stamp_ns if self._acted else self.asker.from_rest(reply.stamp_ns, now)
        late = self.scheduler.add(reply.chunk, stamp, now, reply.id)
        replaced = self.asker.timekeeper.answered(question, reply, now, late, remaining_s)
        if replaced is not None:
            self._timed(replaced)
        self._tell("policy", "")

    def _weigh(self, fault: PolicyFault, now: int) -> None:
        """Stop, or go on while there are actions left."""
        if self.mode == "idle":
            self._tell("idle", str(fault))
        elif fault.kind in SURVIVABLE and self._acted and not self.scheduler.ran_dry(now):
            self._tell("policy", str(fault))
        else:
            self._fault(str(fault))

    def _act(self, now: int) -> None:
        action = self.scheduler.due(now)
        if action is not None:
            self._acted = True
            self._send(at_rest(self._rig.robot, action.values) if action.held else action.values, now, person=False)
            timing = self.asker.timekeeper.sent(action.chunk_id, now)
            if timing is not None:
                self._timed(timing)
        elif self.scheduler.ran_dry(now):
            self._fault(f"ran_dry: {self._why_nothing_came(now)}")
        elif not self._acted:
            self._hold(now)
            waited = now - self._begun_ns > self._patience_ns
            if waited and self.asker.question is None and not self.scheduler.remaining_s(now):
                self._fault(f"no chunk to begin with: {self._why_nothing_came(now)}")

    def _why_nothing_came(self, now: int) -> str:
        waiting_s = self.asker.waiting_s(now)
        waits = f"the server has not answered for {waiting_s:.2f} s" if waiting_s else ""
        why = [text for text in (self.reason, waits) if text]
        return "; then ".join(why) or "a chunk is over before the next one can be there"

    def _hold(self, now: int) -> None:
        """The last action once more, each step, a base at rest: silence would be taken for a fault."""
        if self._last is not None and now - self._last_ns >= self._step_ns:
            self._send(at_rest(self._rig.robot, self._last), now, person=self.mode == "human")

    def _send(self, action: np.ndarray, stamp_ns: int, person: bool) -> None:
        self._last, self._last_ns = action, stamp_ns
        self._send_out(action, stamp_ns, person)

    # Changes of mode

    def _give_to_policy(self) -> None:
        self._check_gate()
        scheduler = self.asker.scheduler()
        self.asker.require_fresh(self._clock.now_ns())
        self.scheduler = scheduler
        self._beginnings = 0
        self._begin()
        self._tell("policy", "")

    def _begin(self) -> None:
        """Nothing is asked, nothing is due, from now on."""
        self._begun_ns = self._clock.now_ns()
        self.asker.begin(self._begun_ns)
        self.scheduler.clear()
        self._handover = None
        self._acted = False

    def _check_gate(self) -> None:
        if self._gate is None:
            raise DeploymentError("nothing has come from the robot's gate yet; see that the robot's node runs.")
        state, reason = self._gate
        if state == "stopped":
            raise DeploymentError(f"the gate is stopped ({reason}); call the robot's ~/recover first.")

    def _expect(self, what: str, *modes: Mode) -> None:
        if self.mode not in modes:
            raise DeploymentError(f"{what} is for mode {' or '.join(modes)}; the mode is {self.mode}.")

    def _fault(self, reason: str) -> None:
        """Something is wrong: send nothing more, if anything was being sent."""
        if self.mode in ("policy", "paused", "human"):
            self._end("stopped", reason)
            if self.asker.observer is not None:
                self.asker.observer.forget_disorder()

    def _end(self, mode: Mode, reason: str) -> None:
        self._begin()
        self._last = None
        self._tell(mode, reason)

    def _tell(self, mode: Mode, reason: str) -> None:
        if (mode, reason) != (self.mode, self.reason):
            self.mode, self.reason = mode, reason
            self._changed(mode, reason)
