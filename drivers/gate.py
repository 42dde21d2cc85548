"""The gate: the one path from any source of commands to a robot."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np

from robot_learning.clock import NS_PER_S, Clock, seconds_to_ns
from robot_learning.drivers.base_velocity import BaseVelocity
from robot_learning.drivers.interfaces import EeTarget, JointTarget, Robot, RobotState, Target, seal
from robot_learning.drivers.reference import EeReference, JointReference, Kinematics, Refusal, Trip, array
from robot_learning.errors import SafetyError
from robot_learning.rig_parts.limits import Limits

State = Literal["inactive", "active", "stopped"]
_FUTURE_NS = 1_000_000  # what two clocks of one machine may differ by


class FirstTargetRefused(SafetyError):
    """The first target is far from the measured pose; `trip` says how far."""

    def __init__(self, trip: Trip) -> None:
        super().__init__(trip.detail)
        self.trip = trip


@dataclass(frozen=True)
class GateResult:
    """What became of one command.

    Attributes:
        commanded: as it came.
        gated: as it left the gate; None where it was refused.
        executed: what the robot says it will do; None where it was refused.
        trips: the rules that the command broke, empty for most.
    """

    commanded: Target
    gated: Target | None
    executed: Target | None
    trips: tuple[Trip, ...]


class Gate:
    """Checks every command against the rig's limits, then passes it on, clipped, or refuses it.

    Always refused: a wrong shape or type, numbers that aren't finite, a stale or future stamp, no
    rotation in rotation_6d, and a first target far from the measured pose. All else is clipped or
    refused as `limits.on_violation` says. Each trip is counted by name in `trips` until `reset`.

    The states are inactive -> `activate` -> active -> `stop` -> stopped -> `reset` -> inactive: after
    a stop, or a trip of the watchdog, nothing moves until somebody has acknowledged it with `reset`.
    `deactivate` leads from active straight back to inactive.

    Commands come from one thread; `stop` may come from any, and waits for nothing.

    Args:
        command_rate_hz: how often commands are meant to come; a target is reached one period later.
        kinematics: joints (J,) to tool position (3,) [m]; with it the workspace holds for joint targets too.
        joint_units: `rad` or `m` for each joint; empty: all turn.
    """

    def __init__(
        self,
        robot: Robot,
        limits: Limits,
        clock: Clock,
        command_rate_hz: float,
        kinematics: Kinematics | None = None,
        joint_units: Sequence[str] = (),
    ) -> None:
        self._robot, self._limits, self._clock = robot, limits, clock
        self._period_s = 1 / command_rate_hz
        self._references: dict[type, Any] = {
            EeTarget: EeReference(limits, self._period_s),
            JointTarget: JointReference(limits, self._period_s, kinematics, joint_units),
        }
        self._base = BaseVelocity(limits.base, self._period_s) if limits.base else None
        # Stops are counted rather than flagged: one that comes while `activate` runs can't be overwritten by it.
        self._stops, self._acknowledged = 0, 0
        self._armed: int | None = None  # the count at which `activate` armed the gate
        self._stop_reason = ""
        self._mode: type | None = None  # settled by the first target
        self._last_ns: int | None = None
        self._last_stamp_ns = 0
        self._gripper_width = 0.0
        self._trips: Counter[str] = Counter()

    @property
    def state(self) -> State:
        """inactive, active or stopped."""
        if self._armed == self._stops:
            return "active"
        return "inactive" if self._acknowledged == self._stops else "stopped"

    @property
    def stop_reason(self) -> str:
        """Why the gate stopped; the first reason stays until `reset`."""
        return self._stop_reason

    @property
    def trips(self) -> dict[str, int]:
        """How often each rule was broken since the last reset."""
        return dict(self._trips)

    def activate(self) -> None:
        """Begin to accept commands, from the measured pose.

        Raises SafetyError after a stop that nobody acknowledged, and where the robot stands outside its limits.
        """
        stops = self._stops
        if self.state == "stopped":
            raise SafetyError(f"the gate stopped ({self._stop_reason}); acknowledge it with reset() before activate().")
        try:
            state = self._measured()
        except Refusal as refusal:
            raise SafetyError(f"{refusal.trip.detail}; see that the robot is connected and running.") from None
        for reference in self._references.values():
            if reference.start(state) > 1:
                raise SafetyError(
                    f"the robot stands outside its limits (tool at {np.round(state.ee_position, 3).tolist()} m, "
                    f"joints at {np.round(state.joint_position, 3).tolist()}); bring it within them, "
                    "then activate again."
                )
        self._mode, self._last_ns, self._last_stamp_ns = None, None, 0
        if self._base:
            self._base.start()
        width = float(state.gripper_width[0])
        self._gripper_width = min(max(width, self._limits.gripper_width_min_m), self._limits.gripper_width_max_m)
        self._armed = stops

    def stop(self, reason: str = "stop") -> None:
        """Stop the robot now and refuse everything until `reset`; any thread, any time."""
        if self.state != "stopped":
            self._stop_reason = reason
            self._trips[reason] += 1
        self._stops += 1
        self._robot.stop()

    def deactivate(self) -> None:
        """End of an orderly motion: the robot holds, and `activate` may begin another without an acknowledgement."""
        self._armed = None
        self._robot.stop()

    def reset(self) -> None:
        """Acknowledge: forget trips and the stop; the robot still waits for `activate`."""
        self._acknowledged, self._armed = self._stops, None
        self._trips.clear()
        self._stop_reason = ""

    def reference(self, stamp_ns: int) -> Target | None:
        """What the robot was last told to be at, its base at rest; None before the first command."""
        return self._target(self._mode, stamp_ns, np.zeros(2)) if self._mode else None

    def command(self, target: Target) -> GateResult:
        """Check one target and, if it may pass, send it to the robot.

        Raises FirstTargetRefused for a first target that is far from the measured pose.
        """
        trips: list[Trip] = []
        executed: Target | None = None
        gated: Target | None = None
        try:
            executed, gated = self._command(target, trips)
        except Refusal as refusal:
            trips.append(refusal.trip)
        self._trips.update(trip.name for trip in trips)
        if trips and trips[-1].name == "first_target":
            raise FirstTargetRefused(trips[-1])
        return GateResult(target, gated, executed, tuple(trips))

    def _command(self, target: Target, trips: list[Trip]) -> tuple[Target, Target]:
        now = self._clock.now_ns()
        if (state_now := self.state) != "active":
            raise Refusal(state_now, f"the gate is {state_now}")
        reference = self._references.get(type(target))
        if reference is None or self._mode not in (None, type(target)):
            raise Refusal("type", f"a {type(target).__name__} where {self._mode or 'a target'} is expected")
        goal = reference.goal(target)
        width = float(array(target.gripper_width, (), "gripper_width"))
        base = self._base_goal(target)
        self._check_stamp(target.stamp_ns, now)
        state = self._measured()
        if self._mode is None and (excess := reference.first_excess(goal, state)) > 1:
            raise Refusal(
                "first_target",
                f"the first target is {excess:.3g} times farther from the measured pose than allowed; "
                "begin where the robot is.",
                excess, 1.0,
            )  # fmt: skip
        elapsed_s = self._period_s if self._last_ns is None else (now - self._last_ns) / NS_PER_S
        if elapsed_s <= 0:
            raise Refusal("rate", "a second command at the same instant")

        goal, out = reference.bounded(goal)
        trips += out
        move, out = reference.propose(goal, elapsed_s)
        trips += out
        if (excess := reference.tracking_excess(move, state)) > 1:
            trips.append(Trip("tracking", "the reference is far from the measured pose", excess, 1.0))
            move, _ = reference.propose(reference.pulled(goal, state), elapsed_s)
            # Braking may take longer than the room left: then the robot holds, unless this brings it nearer.
            if (excess := reference.tracking_excess(move, state)) > max(1.0, reference.tracking_excess(None, state)):
                raise Refusal("tracking_held", "the reference would go farther from the measured pose", excess, 1.0)
        width_inside = min(max(width, self._limits.gripper_width_min_m), self._limits.gripper_width_max_m)
        if width_inside != width:
            trips.append(Trip("gripper_width", f"{width:.4g} m is beyond {width_inside:.4g} m", width, width_inside))
        if self._base:
            base, out = self._base.propose(base, elapsed_s)
            trips += out
        if trips and self._limits.on_violation == "refuse":
            raise Refusal("refused", "the rig refuses what breaks a limit")

        reference.accept(move)
        if self._base:
            self._base.accept(base)
        self._mode, self._last_ns, self._last_stamp_ns = type(target), now, int(target.stamp_ns)
        self._gripper_width = width_inside
        gated = self._target(type(target), int(target.stamp_ns), base)
        executed = self._robot.command(seal(gated))
        if self.state != "active":
            # Stopped from another thread since the check above: that stop may have come before the command.
            self._robot.stop()
        return executed, gated

    def _base_goal(self, target: Target) -> np.ndarray:
        """The velocity (2,) wanted of the base; a Refusal where target and rig do not agree on whether there is one."""
        velocity = getattr(target, "base_velocity", None)
        if (velocity is None) != (self._base is None):
            raise Refusal("base", "the robot has a base, the target no base_velocity" if self._base else "no base here")
        return np.zeros(2) if velocity is None else array(velocity, (2,), "base_velocity")

    def _target(self, mode: type, stamp_ns: int, base: np.ndarray) -> Target:
        """The reference as a target."""
        target: Target = self._references[mode].target(stamp_ns, self._gripper_width)
        return replace(target, base_velocity=base.copy()) if self._base and isinstance(target, JointTarget) else target

    def _check_stamp(self, stamp_ns: object, now: int) -> None:
        if not isinstance(stamp_ns, int | np.integer) or isinstance(stamp_ns, bool):
            raise Refusal("shape", f"stamp_ns is a {type(stamp_ns).__name__}, not an integer")
        age_s = (now - int(stamp_ns)) / NS_PER_S
        if age_s > self._limits.command_age_max_s:
            raise Refusal("stale", f"the command is {age_s:.3g} s old", age_s, self._limits.command_age_max_s)
        if int(stamp_ns) > now + _FUTURE_NS:
            raise Refusal(
                "future", f"the command is stamped {-age_s:.3g} s in the future", -age_s, _FUTURE_NS / NS_PER_S
            )
        if self._last_ns is not None and int(stamp_ns) < self._last_stamp_ns:
            raise Refusal("order", "the command is older than the one before it")

    def _measured(self) -> RobotState:
        """The robot's state, refused where it says nothing about now."""
        state = self._robot.observe()
        values = np.concatenate([state.joint_position, state.ee_position, state.ee_orientation, state.gripper_width])
        age_ns = self._clock.now_ns() - state.stamp_ns
        if not np.isfinite(values).all() or age_ns > seconds_to_ns(self._limits.command_age_max_s):
            raise Refusal("state", f"the robot's state is {age_ns / NS_PER_S:.3g} s old or not finite")
        return state
