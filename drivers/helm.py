"""The helm: everything between a target that arrives and the gate: who commands, what was held, motions of its own."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import Any

import numpy as np

from robot_learning.clock import Clock
from robot_learning.drivers.commanders import Commander, Commanders
from robot_learning.drivers.gate import FirstTargetRefused, Gate, GateResult
from robot_learning.drivers.interfaces import EeTarget, JointTarget, Robot, Target
from robot_learning.drivers.motions import EeMotion, JointMotion, Motion
from robot_learning.drivers.reference import Trip
from robot_learning.drivers.targets import flatten, measured
from robot_learning.drivers.watchdog import Watchdog
from robot_learning.errors import SafetyError
from robot_learning.rig import Rig
from robot_learning.rotation import matrix_to_rotation_6d

_AT_REST = 0.05  # [rad/s], or [m/s] of what slides or drives
_UNTIMED = ("future", "order", "shape")  # trips after which a target's own stamp says nothing


@dataclass(frozen=True)
class Outcome:
    """What became of one target.

    Attributes:
        gated: as it left the gate; what the robot was told before, where it was refused.
        executed: what the robot says it will do; likewise.
        trips: the rules that it broke.
        recordable: whether the three belong on record: numbers that are finite, stamps that only grow.
    """

    commanded: Target
    gated: Target
    executed: Target
    trips: tuple[Trip, ...]
    refused: bool
    recordable: bool


class Helm:
    """Steers a robot for whoever commands it, one at a time.

    The gate arms with the first target that comes, so that a rig that nobody commands just stands. From then on
    silence is a fault: the watchdog brakes, and nothing moves until :meth:`recover`. All methods but
    :meth:`stop` and :meth:`poll` belong to one thread.

    Attributes:
        gate, watchdog: polled and stopped from any thread.
        motion: what the helm itself is doing; None: nothing.
        newest_trip: the last broken rule.
    """

    def __init__(self, robot: Robot, rig: Rig, clock: Clock) -> None:
        self._robot, self._rig, self._clock = robot, rig, clock
        self._kinematics: Any = getattr(robot, "kinematics", None)
        self.gate = Gate(
            robot,
            rig.limits,
            clock,
            rig.policy.rate_hz,
            self._kinematics.position if self._kinematics else None,
            rig.robot.joint_units,
        )
        self.watchdog = Watchdog(self.gate, rig.watchdog, clock)
        self.commanders = Commanders(clock)
        self.motion: Motion | None = None
        self.newest_trip: Trip | None = None
        self._unusable: Counter[str] = Counter()
        self._last_stamp_ns = 0

    @property
    def trips(self) -> dict[str, int]:
        """How often each rule was broken since the last acknowledgement."""
        return dict(Counter(self.gate.trips) + self._unusable)

    def command(self, target: Target, commander: Commander) -> Outcome:
        """One target from outside; ends a motion of the helm's own."""
        self.check_alone(commander)
        self.motion = None
        return self._pass(target)

    def check_alone(self, commander: Commander) -> None:
        """Stop the robot where somebody else commands, too."""
        rival = self.commanders.hear(commander)
        if rival is not None and self.gate.state != "stopped":
            names = " and ".join(sorted((str(rival), str(commander))))
            self.stop(f"two commanders: {names}")

    def refuse(self, name: str, detail: str) -> Trip:
        """A message that is no target at all: count it."""
        trip = Trip(name, detail)
        self._unusable[name] += 1
        self.newest_trip = trip
        return trip

    def tick(self) -> Outcome | None:
        """The next target of the helm's own motion, if it makes one; at the policy's rate."""
        if self.motion is None:
            return None
        if self.gate.state == "stopped":
            self.motion = None
            return None
        target = self.motion.at(self._clock.now_ns())
        if target is None:
            self.rest()
            return None
        outcome = self._pass(target)
        if outcome.refused:
            self.rest()
        return outcome

    def begin(self, motion: Motion) -> None:
        """Make a motion; the newest replaces."""
        self.motion = motion

    def home(self) -> float:
        """Begin to move home and return how long it takes [s].

        Raises SafetyError while stopped, commanded, or where the robot has no kinematics and takes tool targets.
        """
        if self.gate.state == "stopped":
            raise SafetyError(f"the robot is stopped ({self.gate.stop_reason}); call ~/recover first.")
        if (busy := self.commanders.newest()) is not None:
            raise SafetyError(f"{busy} commands the robot; end that first.")
        now = self._clock.now_ns()
        start = self.held(now)
        joints = np.array(self._rig.robot.home_joint_position)
        motion: EeMotion | JointMotion
        if isinstance(start, JointTarget):
            motion = JointMotion("home", self._rig.limits, start, joints, now)
        elif self._kinematics is None:
            raise SafetyError(f"a {self._rig.robot.type} has no kinematics to find its home pose with.")
        else:
            position, rotation = self._kinematics.forward(joints)
            goal = EeTarget(now, position, matrix_to_rotation_6d(rotation), start.gripper_width)
            motion = EeMotion("home", self._rig.limits, start, goal, now)
        self.begin(motion)
        return motion.duration_s

    def stop(self, reason: str) -> None:
        """Decelerate and hold; any thread."""
        self.gate.stop(reason)

    def poll(self) -> bool:
        """The watchdog's turn, and the robot's own; any thread. True where one has just stopped the robot."""
        if (fault := self._fault()) and self.gate.state != "stopped":
            self.gate.stop(f"robot: {fault}")
            return True
        return self.watchdog.poll()

    def _fault(self) -> str:
        """Why the robot holds by itself; empty: it does not."""
        return str(getattr(self._robot, "fault", ""))

    def rest(self) -> None:
        """End of an orderly motion: hold, and take the next first target from wherever the robot is."""
        self.motion = None
        self.gate.deactivate()

    def recover(self) -> str:
        """Acknowledge a stop; raises SafetyError while the robot still moves, or can't be brought back."""
        if self.gate.state != "stopped":
            return "there was nothing to recover from"
        if self._fault():
            self._robot.recover()  # type: ignore[attr-defined]  # a robot that has faults has this
            if fault := self._fault():
                raise SafetyError(f"the robot still holds by itself: {fault}.")
        state = self._robot.observe()
        speeds = np.abs(np.append(state.joint_velocity, [] if state.base_velocity is None else state.base_velocity))
        if speeds.max() > _AT_REST:
            raise SafetyError(f"the robot still moves at {speeds.max():.2f} rad/s or m/s; wait until it stands.")
        reason = self.gate.stop_reason
        self.acknowledge()
        return f"recovered from: {reason}"

    def acknowledge(self) -> None:
        """Forget stops and trips, whatever the robot does."""
        self.motion = None
        self.gate.reset()
        self._unusable.clear()
        self.newest_trip = None

    def time_jumped(self) -> None:
        """Stamps from before say nothing about now."""
        self.commanders.forget()
        self._last_stamp_ns = 0
        if self.gate.state == "active":
            self.stop("time was set")

    def _pass(self, target: Target) -> Outcome:
        """Through the gate; armed first where it was not."""
        try:
            if self.gate.state == "inactive":
                self.gate.activate()
            result = self.gate.command(target)
        except FirstTargetRefused as refused:
            result = GateResult(target, None, None, (refused.trip,))
            self.gate.deactivate()  # the next one is a first target again, and silence no fault
        except SafetyError as error:
            result = GateResult(target, None, None, (self.refuse("activation", str(error)),))
        if result.trips:
            self.newest_trip = result.trips[-1]
        if result.gated is not None and result.executed is not None:
            self.watchdog.feed()
            return self._outcome(target, result.gated, result.executed, result.trips, False)
        held = self.held(target.stamp_ns)
        return self._outcome(target, held, held, result.trips, True)

    def _outcome(
        self, target: Target, gated: Target, executed: Target, trips: tuple[Trip, ...], refused: bool
    ) -> Outcome:
        usable = not any(trip.name in _UNTIMED for trip in trips) and bool(np.isfinite(flatten(target)).all())
        recordable = usable and target.stamp_ns > self._last_stamp_ns
        if recordable:
            self._last_stamp_ns = target.stamp_ns
        return Outcome(target, gated, executed, trips, refused, recordable)

    def held(self, stamp_ns: int) -> Target:
        """What the robot was last told, or where it is."""
        told = self.gate.reference(stamp_ns) if self.gate.state == "active" else None
        return told or measured(self._rig.robot.command, self._robot.observe(), stamp_ns)
