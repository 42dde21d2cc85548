"""The robot's process: franky and libfranka live here, so that nothing in the node can hold up their 1 kHz loop.

    python -m robot_learning.drivers.franka.worker SOCKET PIPE

Both are inherited, see `packets.py`; `link.py` starts this. One thread does everything for the arm,
once each millisecond: hear the node, lead the reference, look at the robot, tell the node. When the node's process ends
or falls silent, it brakes the arm, lets the robot hold it, and ends.
"""

from __future__ import annotations

import os
import signal
import socket
import sys
import time
from typing import Any

import franky
import numpy as np

from robot_learning.clock import seconds_to_ns
from robot_learning.drivers.franka import errors, packets
from robot_learning.drivers.franka.arm import Arm, ConnectionLost
from robot_learning.drivers.franka.hand import Hand
from robot_learning.drivers.franka.leader import JointLeader, Leader, ToolLeader
from robot_learning.drivers.franka.packets import StatePacket, TargetPacket
from robot_learning.drivers.franka.stamps import RobotTime
from robot_learning.drivers.franka.states import Event, Machine, State
from robot_learning.errors import UserError
from robot_learning.rig import Rig

PERIOD_S = 0.001
SILENCE_MIN_S = 0.1
_SETTLE_S = 0.05  # after braking, before the pose to hold is read
_REST_RAD_S = 0.02
_REST_WAIT_S = 1.0  # an arm that is pushed does not come to rest: then the robot's own controller takes it all the same
_WORDS = 1500  # of a reason: a packet is short
_WARM_UP = 200  # states until the success rate, of the last 100 commands, says something of this motion


class Worker:
    """See the module.

    Args:
        node: what it says.
        told: where it listens.
    """

    def __init__(self, node: socket.socket, told: int, rig: Rig) -> None:
        self._node, self._told_pipe, self._rig = node, told, rig
        self._arm = Arm(rig)
        self._hand = Hand(rig) if rig.franka and rig.franka.hand else None
        self._machine = Machine()
        self._time = RobotTime()
        tool = rig.robot.command == "ee_target"
        kind: type[Leader] = ToolLeader if tool else JointLeader
        self._leader = kind(self._arm, 1 / rig.policy.rate_hz, rig.watchdog.deceleration_time_s)
        self._kind = packets.TOOL if tool else packets.JOINTS
        self._silence_s = max(rig.watchdog.timeout_s, SILENCE_MIN_S)
        self._state_period_s = 1 / rig.robot.state_rate_hz
        self._generation = 0
        self._pending: TargetPacket | None = None
        self._pending_s = 0.0
        self._heard_s = time.monotonic()
        self._leading = False  # whether our controller was begun and has not ended
        self._ending = False  # whether it is being handed over
        self._brake_end_s: float | None = None
        self._settled = False
        self._leaving = False
        self._next_tick_s, self._next_state_s = 0.0, 0.0
        self._late_s, self._limited = 0.0, False
        self._success_min, self._states_led = 1.0, 0
        self._told_ms = -1
        self._hand_problem = ""

    def connect(self) -> None:
        """Open both connections; UserError with what to do where one can't be had."""
        self._arm.connect()
        if self._hand is not None:
            assert self._rig.franka is not None
            try:
                self._hand.connect()
            except (franky.Exception, RuntimeError) as error:
                raise UserError(
                    f"there is no Franka Hand at {self._rig.franka.address} ({error}); switch it on in Desk, or say "
                    "`franka: {hand: null}` for an arm without one."
                ) from None
        self._on(Event.CONNECTED)

    def run(self) -> None:
        """Until told to leave, or the node is gone, and the arm rests."""
        while not (self._leaving and (not self._leading or self._machine.state is State.LOST)):
            try:
                self._hear()
                if (silent_s := time.monotonic() - self._heard_s) > self._silence_s:
                    self._on(
                        Event.SILENCE, f"the node's process was silent for {silent_s:.2f} s; see why, then recover"
                    )
                if self._machine.state is State.LOST:
                    self._notice()
                    time.sleep(10 * PERIOD_S)
                    continue
                state = self._arm.read()
                self._turn(state)
                self._tell(state)
                self._pace()
            except ConnectionLost as error:
                self._leading = self._ending = False
                self._on(Event.CONNECTION_LOST, f"{error}; mend that, then recover")
        if self._hand is not None:
            self._hand.close()

    # What the node says

    def _hear(self) -> None:
        while not self._leaving:
            try:
                data = self._node.recv(packets.LONGEST, socket.MSG_DONTWAIT)
            except BlockingIOError:
                return
            except OSError:
                data = b""
            self._heard_s = time.monotonic()
            if not data:  # the node's process has ended
                self._leave()
            elif data[:1] == packets.TARGET:
                target = TargetPacket.unpack(data)
                if target.generation == self._generation and target.kind == self._kind:
                    self._pending, self._pending_s = target, self._heard_s
            elif data[:1] == packets.STOP:
                self._generation = max(self._generation, packets.unpack_stop(data))
                self._stop()
            elif data[:1] == packets.MESSAGE:
                self._answer(packets.unpack_message(data))

    def _leave(self) -> None:
        self._leaving = True
        self._stop()

    def _stop(self) -> None:
        self._pending = None
        self._on(Event.STOP)
        if self._hand is not None:
            self._hand.stop()

    def _answer(self, request: dict[str, Any]) -> None:
        if request.get("do") == "leave":
            self._leave()
            return
        answer: dict[str, Any] = {"id": request.get("id"), "error": ""}
        try:
            if request.get("do") == "recover":
                self._recover()
            elif request.get("do") == "home_hand" and self._hand is not None:
                self._hand.home()
            else:
                answer["error"] = f"the robot's process does not know {request}"
        except UserError as error:
            answer["error"] = str(error)[:_WORDS]
        self._say(answer)

    def _recover(self) -> None:
        if self._leading:
            raise UserError("the arm still comes to rest; recover once it stands.")
        if self._machine.state is State.LOST:
            self._time = RobotTime()
            self._arm.connect()
        self._arm.recover()
        self._pending = None  # a robot that recovers stands still, whatever was asked of it meanwhile
        self._on(Event.RECOVERED)

    # What the arm does

    def _on(self, event: Event, reason: str = "") -> None:
        if not self._machine.on(event, reason):
            return
        state = self._machine.state
        if state in (State.BRAKING, State.SILENT) and self._leading and not self._ending:
            self._leader.brake(self._arm.read(), time.monotonic())
            self._brake_end_s, self._settled = time.monotonic() + self._leader.deceleration_s, False
        elif state is State.FOLLOWING:
            self._brake_end_s = None
        self._notice()

    def _turn(self, state: Any) -> None:
        """One millisecond."""
        try:
            self._watch(state)
            self._step(state)
        except ConnectionLost:
            raise
        except UserError as error:
            self._on(Event.ERROR, str(error))

    def _watch(self, state: Any) -> None:
        """What the robot says of itself."""
        if state.robot_mode == franky.RobotMode.UserStopped:
            self._on(Event.USER_STOP, "the robot was stopped by its stop device or by Desk; release it, then recover")
        if self._leading and not self._arm.controlled:
            self._leading = False
            why = self._arm.outcome()
            if self._ending:
                self._on(Event.AT_REST)
            else:
                # The state in hand may be from just before; libfranka's words for what ended it are not.
                found = [name for name in errors.NAMES if f'"{name}"' in why]
                self._on(Event.ERROR, errors.explain(found) or why or "control ended by itself")
            self._ending = False
        elif not self._leading and (found := errors.names(errors.mask(state.current_errors))):
            self._on(Event.ERROR, errors.explain(found))

    def _step(self, state: Any) -> None:
        """Heed the newest target, lead the arm."""
        now = time.monotonic()
        if (target := self._pending) is not None and not self._ending:
            if now - self._pending_s > self._silence_s:
                self._pending = None
            elif self._machine.state in (State.IDLE, State.FOLLOWING, State.BRAKING):
                self._pending = None
                if not self._leading:
                    self._arm.begin(state)
                    self._leading, self._states_led, self._success_min = True, 0, 1.0
                    self._leader.begin(state)
                self._on(Event.TARGET)
                self._leader.to(target, now)
                if self._hand is not None:
                    self._hand.want(target.gripper_width)
        if not self._leading or self._ending:
            return
        self._limited |= self._leader.lead(state, now)
        if self._brake_end_s is not None and now > self._brake_end_s + _SETTLE_S:
            if not self._settled:
                self._settled = True
                self._leader.hold(state)
            if np.abs(state.dq).max() < _REST_RAD_S or now > self._brake_end_s + _REST_WAIT_S:
                self._arm.end()
                self._ending, self._brake_end_s = True, None

    # What the node hears

    def _tell(self, state: Any) -> None:
        now = time.monotonic()
        rate = float(state.control_command_success_rate)
        self._states_led += 1
        if self._leading and not self._ending and self._states_led > _WARM_UP:
            self._success_min = min(self._success_min, rate)
        if now < self._next_state_s:
            return
        self._next_state_s = max(self._next_state_s + self._state_period_s, now - self._state_period_s)
        robot_ms = state.time.to_msec()
        if robot_ms == self._told_ms:  # nothing came from the robot: an old state must not look like a new one
            self._notice()
            return
        self._told_ms = robot_ms
        if self._hand is not None and self._hand.problem != self._hand_problem:
            self._hand_problem = self._hand.problem
            self._notice()
        q_reference, dq_reference = self._leader.joints if self._leading else (state.q, np.zeros(7))
        pose, hand = state.O_T_EE.matrix, self._hand
        packet = StatePacket(
            stamp_ns=self._time.stamp(robot_ms, seconds_to_ns(now)),
            robot_ms=robot_ms,
            q=state.q,
            dq=state.dq,
            torque=state.tau_J,
            q_reference=state.q if q_reference is None else q_reference,
            dq_reference=state.dq if dq_reference is None else dq_reference,
            position=pose[:3, 3],
            rotation=pose[:3, :3],
            gripper_width=hand.width_m if hand else self._rig.limits.gripper_width_max_m,
            success_rate=rate,
            success_min=self._success_min,
            late_ms=1000 * self._late_s,
            state=int(self._machine.state),
            mode=int(state.robot_mode.value),
            errors=errors.mask(state.current_errors),
            limited=self._limited,
            grasped=bool(hand and hand.grasped),
        )
        self._late_s, self._limited = 0.0, False
        self._send(packet.pack())

    def _notice(self) -> None:
        hand = self._hand.problem[:_WORDS] or "ok" if self._hand else "none"
        self._say({"state": int(self._machine.state), "reason": self._machine.reason[:_WORDS], "hand": hand})

    def _say(self, content: dict[str, Any]) -> None:
        self._send(packets.pack_message(content))

    def _send(self, data: bytes) -> None:
        packets.write(self._told_pipe, data)  # full: the node is held up; broken: it is gone, and `_hear` knows

    def _pace(self) -> None:
        """Sleep to the next millisecond; reading an arm that is not controlled has waited already."""
        now = time.monotonic()
        if not self._leading or now > self._next_tick_s + 50 * PERIOD_S:
            if self._leading:
                self._late_s = max(self._late_s, now - self._next_tick_s)
            self._next_tick_s = now
        self._next_tick_s += PERIOD_S
        if (left := self._next_tick_s - now) > 0:
            if self._leading:
                time.sleep(left)
        else:
            self._late_s = max(self._late_s, -left)


def main(make: type[Worker] = Worker) -> None:
    """The node says which rig; then it is served until it is gone."""
    node, told = socket.socket(fileno=int(sys.argv[1])), int(sys.argv[2])
    os.set_blocking(told, False)
    # Ctrl-C in a terminal reaches the whole group: the node tells this process when to end.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    request = packets.unpack_message(node.recv(packets.LONGEST))
    worker = make(node, told, Rig.model_validate(request["rig"]))
    try:
        worker.connect()
    except UserError as error:
        packets.write(told, packets.pack_message({"id": request["id"], "error": str(error)[:_WORDS]}))
        os._exit(1)  # libfranka's threads may wait for a network that is not there
    packets.write(told, packets.pack_message({"id": request["id"], "error": ""}))
    worker.run()
    os._exit(0)


if __name__ == "__main__":
    main()
