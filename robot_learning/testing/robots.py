"""What every robot driver must do, whatever it drives."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace

import numpy as np
import pytest

from robot_learning.clock import NS_PER_S, Clock, SystemClock
from robot_learning.drivers.gate import Gate
from robot_learning.drivers.interfaces import EeTarget, Gated, JointTarget, RobotState, Target
from robot_learning.drivers.robots import LiveRobot
from robot_learning.drivers.targets import measured
from robot_learning.errors import SafetyError
from robot_learning.rig import Rig

_PATIENCE_S = 30.0
_REST = 0.02  # [rad/s] or [m/s]
_REST_STATES = 10


@dataclass
class Station:
    """A robot to be tested, not yet connected.

    Attributes:
        clock: the one that the robot was made with.
        step: how far one joint (index, distance) or, for tool targets, the tool (axis, distance [m]) can safely go.
        settled: how near to a target that stands still the robot comes, in that unit.
    """

    rig: Rig
    robot: LiveRobot
    clock: Clock = field(default_factory=SystemClock)
    step: tuple[int, float] = (0, 0.02)
    settled: float = 0.005


class RobotKit:
    """Inherit it and give the fixture `station`, which also disconnects the robot at the end."""

    def test_states_come_by_themselves_whole_and_in_order(self, station: Station) -> None:
        """As many numbers as joints, finite, stamps that grow and never lie in the future."""
        running = _Running(station)
        running.until(lambda: len(running.states) >= 20)
        n, states = station.rig.robot.joints, list(running.states)
        for state in states:
            shapes = {
                "joint_position": (n,), "joint_velocity": (n,), "ee_position": (3,), "ee_orientation": (4,),
                "gripper_width": (1,),
            }  # fmt: skip
            if station.rig.robot.joint_effort:
                shapes["joint_effort"] = (n,)
            if station.rig.robot.base:
                shapes |= {"base_pose": (3,), "base_velocity": (2,)}
            for name, shape in shapes.items():
                value = getattr(state, name)
                assert value is not None, f"{name} is missing"
                assert value.shape == shape, f"{name} has shape {value.shape}, not {shape}"
                assert np.isfinite(value).all(), f"{name} is not finite"
            assert abs(float(np.linalg.norm(state.ee_orientation)) - 1) < 1e-6
        assert (np.diff([state.stamp_ns for state in states]) > 0).all()
        assert max(late for late in running.ahead_ns) <= 0, "a state is stamped in the future"

    def test_what_has_not_passed_a_gate_moves_nothing(self, station: Station) -> None:
        """A bare target, and one in a forged envelope, are refused with a SafetyError."""
        running = _Running(station)
        target = running.here()
        for wrong in (target, Gated(target, object())):
            with pytest.raises(SafetyError):
                station.robot.command(wrong)  # type: ignore[arg-type]  # that is the point

    def test_it_goes_where_it_is_told_and_says_so(self, station: Station) -> None:
        """Small steps through a gate arrive."""
        running = _Running(station)
        running.activate()
        goal = running.go()
        running.hold(goal, lambda: running.away(goal) < station.settled)

    def test_a_stop_from_any_thread_brakes_and_holds_where_the_robot_then_is(self, station: Station) -> None:
        """It comes to rest, does not go back, and does not go on to its target."""
        running = _Running(station)
        running.activate()
        running.go(share=0.5)
        stopper = threading.Thread(target=running.gate.stop)
        stopper.start()
        stopper.join(5)
        assert not stopper.is_alive(), "stop() waits for something"
        running.until(running.rests)
        rest = running.place(station.robot.observe())
        time.sleep(0.3)
        assert abs(running.place(station.robot.observe()) - rest) < station.settled
        assert running.speed() < _REST

    def test_after_a_stop_it_moves_again_once_asked(self, station: Station) -> None:
        """A stop is no end."""
        running = _Running(station)
        running.activate()
        running.gate.stop()
        running.until(running.rests)
        running.gate.reset()
        running.activate()
        goal = running.go()
        running.hold(goal, lambda: running.away(goal) < station.settled)

    def test_it_can_be_connected_again(self, station: Station) -> None:
        """Disconnecting gives everything back."""
        running = _Running(station)
        station.robot.disconnect()
        running = _Running(station)
        running.until(lambda: len(running.states) >= 3)


class _Running:
    """A connected robot behind a gate."""

    def __init__(self, station: Station) -> None:
        self.station, self.robot, self.clock = station, station.robot, station.clock
        self.states: list[RobotState] = []
        self.ahead_ns: list[int] = []
        self.robot.heard = self._hear
        self.robot.connect()
        rig = station.rig
        self.gate = Gate(self.robot, rig.limits, self.clock, rig.policy.rate_hz, None, rig.robot.joint_units)
        self.until(lambda: bool(self.states))

    def _hear(self, state: RobotState) -> None:
        self.states.append(state)
        self.ahead_ns.append(state.stamp_ns - self.clock.now_ns())

    def until(self, condition: Callable[[], bool]) -> None:
        """Wait."""
        end = time.monotonic() + _PATIENCE_S
        while not condition():
            assert time.monotonic() < end, "it does not happen"
            time.sleep(0.005)

    def activate(self) -> None:
        """Arm the gate."""
        self.gate.activate()
        self._goal = self.here()

    def here(self) -> Target:
        """The target that asks the robot to stay."""
        return measured(self.station.rig.robot.command, self.robot.observe(), self.clock.now_ns())

    def go(self, share: float = 1.0) -> Target:
        """Send the station's step in small pieces, up to a share of it; the last target."""
        index, distance = self.station.step
        rate = self.station.rig.policy.rate_hz
        pieces = max(10, round(rate))
        start = self._goal
        for i in range(1, round(share * pieces) + 1):
            position = start.position.copy()
            position[index] += distance * i / pieces
            self._goal = replace(start, position=position, stamp_ns=self.clock.now_ns())
            assert self.gate.command(self._goal).executed is not None
            self.clock.sleep_until(self._goal.stamp_ns + round(NS_PER_S / rate))
        return self._goal

    def hold(self, goal: Target, condition: Callable[[], bool]) -> None:
        """Send the same target until something holds."""
        end, rate = time.monotonic() + _PATIENCE_S, self.station.rig.policy.rate_hz
        while not condition():
            assert time.monotonic() < end, f"it stays {self.away(goal):.4f} from its target"
            self.gate.command(replace(goal, stamp_ns=self.clock.now_ns()))
            self.clock.sleep_until(self.clock.now_ns() + round(NS_PER_S / rate))

    def place(self, state: RobotState) -> float:
        """Where the robot is, along the station's step."""
        index, _ = self.station.step
        tool = self.station.rig.robot.command == "ee_target"
        return float((state.ee_position if tool else state.joint_position)[index])

    def away(self, goal: Target) -> float:
        """How far it is from a target, along the station's step."""
        assert isinstance(goal, EeTarget | JointTarget)
        return abs(self.place(self.robot.observe()) - float(goal.position[self.station.step[0]]))

    def rests(self) -> bool:
        """Whether it has been slow for a while: where the computer is busy, a robot may brake in jerks."""
        last = self.states[-_REST_STATES:]
        return len(last) == _REST_STATES and all(np.abs(state.joint_velocity).max() < _REST for state in last)

    def speed(self) -> float:
        """Of the fastest joint."""
        return float(np.abs(self.robot.observe().joint_velocity).max())
