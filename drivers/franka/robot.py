"""A Franka arm with its hand behind the interface that all robots have."""

from __future__ import annotations

import logging
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np

from robot_learning.clock import NS_PER_S, Clock, seconds_to_ns
from robot_learning.drivers.franka import errors, limits, packets
from robot_learning.drivers.franka.kinematics import FrankaKinematics
from robot_learning.drivers.franka.link import Link
from robot_learning.drivers.franka.packets import StatePacket, TargetPacket
from robot_learning.drivers.franka.states import HOLDS, State
from robot_learning.drivers.grip import Grip
from robot_learning.drivers.interfaces import EeTarget, Gated, RobotState, Target, unseal
from robot_learning.errors import SafetyError, UserError
from robot_learning.rig import Rig
from robot_learning.rotation import matrix_to_quaternion, rotation_6d_to_matrix

REALTIME_LOST = (
    "franka.realtime is relaxed: nothing keeps the 1 kHz loop ahead of this computer's other work, so any load may "
    "stop the arm in the middle of a task with communication_constraints_violation; for rehearsals and simulators only."
)
MODES = ("other", "idle", "move", "guiding", "reflex", "user stopped", "automatic error recovery")
_STALE_NS = seconds_to_ns(0.5)
_SWITCH_S = 0.0005
_QUICK_NS = 50_000
_RECOVER_S = 15.0
_FIRST_STATE_S = 5.0
_KEPT_M = 0.005  # a wish so near to the width of what is held is no wish to let go
_log = logging.getLogger(__name__)


class FrankaRobot:
    """A `LiveRobot`; see docs/hardware/franka.md.

    franky and libfranka's 1 kHz loop live in a process of their own (`worker.py`), which also keeps the reference near
    the arm, brakes, and holds by itself where the node falls silent. States carry the robot's own time on this clock
    (`stamps.py`).

    Attributes:
        heard: called with each new state, in the link's thread.
        kinematics: for the thread that commands.
    """

    def __init__(self, rig: Rig, clock: Clock) -> None:
        self._rig, self._clock = rig, clock
        self._config = limits.check(rig)
        self.kinematics = FrankaKinematics.of(rig)
        self._observers = self.kinematics.twin()
        self.heard: Callable[[RobotState], None] = lambda state: None
        self._link: Link | None = None
        self._unconnected = ""  # why there is no link where there should be one
        self._generation = 0
        self._stopping = threading.Lock()
        self._packet: StatePacket | None = None
        self._heard_ns = 0
        self._state: RobotState | None = None
        self._notice: dict[str, Any] = {"state": int(State.DISCONNECTED), "reason": ""}
        self._offset_ns: int | None = None
        self._stamp_ns = 0
        self._grip = Grip(rig)
        self._late_ms, self._limited = 0.0, 0

    def connect(self) -> None:
        if self._config.realtime == "relaxed":
            _log.warning(REALTIME_LOST)
        # A busy Python thread gives way after 5 ms: with half a dozen of ours waiting, states would be old at the gate.
        sys.setswitchinterval(min(sys.getswitchinterval(), _SWITCH_S))
        self._open()

    def _open(self) -> None:
        self._packet, self._notice = None, {"state": int(State.DISCONNECTED), "reason": ""}
        link = Link(self._rig, self._hear, self._hear_notice)
        try:
            link.connect(self._config.connect_timeout_s)
            self._link = link
            self._await_state()
        except UserError as error:
            self._link, self._unconnected = None, f"it is not connected ({str(error).rstrip('.')}); recover tries again"
            link.kill()
            raise
        self._unconnected = ""
        # The new process knows of no stop yet, and must not take a target from before one.
        link.send(packets.pack_stop(self._generation))

    def _await_state(self) -> None:
        end = time.monotonic() + _FIRST_STATE_S
        while self._packet is None:
            if time.monotonic() > end:
                raise UserError(f"the Franka at {self._config.address} is connected but gives no state; see Desk.")
            time.sleep(0.005)

    def observe(self) -> RobotState:
        if self._state is None:
            raise UserError("there is no state of the Franka yet; connect() comes first.")
        return self._state

    def command(self, gated: Gated) -> Target:
        target = unseal(gated)
        if fault := self.fault:
            raise SafetyError(f"the robot holds by itself: {fault}")
        link, values = self._link, np.zeros(12)
        if link is None:
            raise SafetyError("the Franka is not connected.")
        target = replace(target, gripper_width=self._width(target.gripper_width))
        if isinstance(target, EeTarget):
            kind = packets.TOOL
            values[:3], values[3:] = target.position, rotation_6d_to_matrix(target.rotation_6d).ravel()
        else:
            kind = packets.JOINTS
            values[: limits.JOINTS] = target.position
        if not link.send(TargetPacket(self._generation, kind, values, target.gripper_width).pack()):
            raise SafetyError("the robot's process does not listen; stop, then recover.")
        return target

    def _width(self, wish: float) -> float:
        """What the hand is told: it takes no stream of widths, see `robot.gripper` in the rig file."""
        packet = self._packet
        if packet is not None and packet.grasped and abs(wish - packet.gripper_width) < _KEPT_M:
            wish = self._rig.limits.gripper_width_min_m
        return self._grip.to(wish)

    def stop(self) -> None:
        with self._stopping:
            self._generation += 1
            if self._link is not None:
                self._link.send(packets.pack_stop(self._generation))

    def disconnect(self) -> None:
        self.stop()
        link, self._link, self._unconnected = self._link, None, ""
        if link is not None:
            link.close()

    def jacobian(self, joint_position: np.ndarray) -> np.ndarray:
        """Of the tool, (6, 7) at joints (7,), linear part first; for one thread, which need not be that of commands."""
        return self._observers.jacobian(joint_position)

    @property
    def fault(self) -> str:
        """Why the robot holds by itself, and what to do; empty: it does not."""
        link = self._link
        if link is None:
            return self._unconnected
        if not link.alive:
            return "its process has ended; see what that printed, then recover, which starts it again"
        if State(self._notice["state"]) in HOLDS:
            return str(self._notice["reason"])
        now, packet = time.monotonic_ns(), self._packet
        if packet is None:
            return ""
        if (silent_ns := now - self._heard_ns) > _STALE_NS:
            return f"its process has said nothing for {silent_ns / NS_PER_S:.1f} s; recover starts it again"
        if (age_ns := now - packet.stamp_ns) > _STALE_NS:
            return f"no state came from it for {age_ns / NS_PER_S:.1f} s; see its power and its cable, then recover"
        return ""

    def recover(self) -> None:
        """Clear what holds the robot; for a person who has looked at why. SafetyError where it can't be cleared."""
        link = self._link
        try:
            if link is not None and link.alive:
                try:
                    self._packet = None
                    link.ask({"do": "recover"}, _RECOVER_S)
                    self._await_state()
                    return
                except TimeoutError:
                    link.kill()
            if link is not None or self._unconnected:
                self._open()
        except UserError as error:
            raise SafetyError(f"{str(error).rstrip('.')}.") from None

    def home_hand(self) -> None:
        """Move the fingers through their stroke, so that the hand knows how wide it opens; nothing may be between."""
        if self._link is None:
            raise UserError("the Franka is not connected.")
        self._link.ask({"do": "home_hand"}, _RECOVER_S)

    def diagnostics(self) -> dict[str, str]:
        """What the robot says of itself, for /diagnostics."""
        packet, link = self._packet, self._link
        state = State(self._notice["state"]).name.lower().replace("_", " ")
        lines = {"model": self._config.model, "preset": self._config.preset, "state": state, "fault": self.fault}
        if packet is not None and link is not None:
            lines |= {
                "robot mode": MODES[packet.mode] if packet.mode < len(MODES) else str(packet.mode),
                "errors": ", ".join(errors.names(packet.errors)),
                "control_command_success_rate": f"{packet.success_rate:.2f}",
                "control_command_success_rate min": f"{packet.success_min:.2f}",
                "reference late at most [ms]": f"{self._late_ms:.1f}",
                "states with a limited reference": str(self._limited),
                "hand": str(self._notice.get("hand", "")),
                "gripper holds": str(packet.grasped).lower(),
                "realtime": self._config.realtime,
            }
        self._late_ms = 0.0
        return lines

    def _hear(self, found: list[StatePacket]) -> None:
        self._heard_ns = time.monotonic_ns()
        states = [self._to_state(packet) for packet in found]
        self._state, self._packet = states[-1], found[-1]  # before anybody takes long over hearing the older ones
        for state in states:
            try:
                self.heard(state)
            except Exception:
                _log.exception("whoever hears the robot's states failed")

    def _to_state(self, packet: StatePacket) -> RobotState:
        self._late_ms = max(self._late_ms, packet.late_ms)
        self._limited += packet.limited
        joints = self._rig.robot.command == "joint_target"
        return RobotState(
            stamp_ns=self._on_clock(packet.stamp_ns),
            joint_position=packet.q,
            joint_velocity=packet.dq,
            joint_effort=packet.torque,
            ee_position=packet.position,
            ee_orientation=matrix_to_quaternion(packet.rotation),
            gripper_width=np.array([packet.gripper_width]),
            desired_position=packet.q_reference if joints else None,
            desired_velocity=packet.dq_reference if joints else None,
            command_success_rate=np.array([packet.success_rate]),
        )

    def _hear_notice(self, notice: dict[str, Any]) -> None:
        self._heard_ns = time.monotonic_ns()
        if notice != self._notice and State(notice["state"]) in HOLDS:
            _log.warning("the robot holds by itself: %s", notice["reason"])
        self._notice = notice

    def _on_clock(self, monotonic_ns: int) -> int:
        """A monotonic instant on the rig's clock; stamps only grow, and none lies in the future."""
        before, now, after = time.monotonic_ns(), self._clock.now_ns(), time.monotonic_ns()
        if self._offset_ns is None or after - before < _QUICK_NS:  # else this thread was held up between the readings
            self._offset_ns = now - (before + after) // 2
        self._stamp_ns = max(min(monotonic_ns + self._offset_ns, now), self._stamp_ns + 1)
        return self._stamp_ns
