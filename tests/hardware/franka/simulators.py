"""A station with the real driver against a simulated Franka: what the tests of this folder share."""

from __future__ import annotations

import re
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import pytest
import yaml

from robot_learning.clock import SystemClock
from robot_learning.drivers.commanders import Commander
from robot_learning.drivers.franka.simulator import Name, Simulator
from robot_learning.drivers.helm import Helm
from robot_learning.drivers.interfaces import EeTarget, JointTarget, RobotState
from robot_learning.errors import DeploymentError, SafetyError
from robot_learning.rig import Rig, parse_rig, rig_path
from robot_learning.rotation import matrix_to_rotation_6d, quaternion_to_matrix

WHO = Commander("/test", "robot/target", b"test")
TOO_BUSY = "communication_constraints_violation"


@contextmanager
def simulated(name: Name) -> Iterator[Simulator]:
    """A simulator of its own; the test is skipped, with what to do, where its environment is missing."""
    pytest.importorskip("franky", reason="franky-control is missing; make hardware installs it")
    try:
        simulator = Simulator(name, wait_s=250)
    except DeploymentError as error:
        if "environment" in str(error):
            pytest.skip(str(error))
        raise
    with simulator:
        yield simulator


def make_rig(**changes: dict[str, Any]) -> Rig:
    """The rig of the FR3 in franka-sim, without cameras; `changes` are merged into its sections."""
    content = yaml.safe_load(rig_path("sim_fr3_franka_sim").read_text())
    content["cameras"] = {}
    alignment = content["policy"]["alignment"]
    content["policy"]["alignment"] = {key: how for key, how in alignment.items() if not key.startswith("front")}
    for section, values in changes.items():
        content[section] |= values
    return parse_rig(content, "test")


class Station:
    """The driver behind a helm that is polled as robot_node does."""

    def __init__(self, rig: Rig) -> None:
        from robot_learning.drivers.franka.robot import FrankaRobot

        self.rig, self.clock = rig, SystemClock()
        self.robot = FrankaRobot(rig, self.clock)
        self.states: list[RobotState] = []
        self.robot.heard = self.states.append
        self.helm = Helm(self.robot, rig, self.clock)
        self._ending = threading.Event()

    def __enter__(self) -> Station:
        self.robot.connect()
        threading.Thread(target=self._poll, daemon=True).start()
        return self

    def __exit__(self, *error: object) -> None:
        self._ending.set()
        self.robot.disconnect()

    def _poll(self) -> None:
        while not self._ending.wait(0.02):
            self.helm.poll()

    def measured(self) -> tuple[np.ndarray, np.ndarray]:
        """The tool's position and rotation."""
        state = self.robot.observe()
        return state.ee_position, quaternion_to_matrix(state.ee_orientation)

    def lead(self, target: Callable[[float], Any], seconds: float) -> bool:
        """Targets at the policy's rate for so long; False where the gate stopped."""
        began = time.monotonic()
        while (passed := time.monotonic() - began) < seconds:
            self.helm.command(target(passed), WHO)
            if self.helm.gate.state == "stopped":
                return False
            time.sleep(1 / self.rig.policy.rate_hz)
        return True

    def circle(self, seconds: float, radius_m: float = 0.04, period_s: float = 4.0) -> np.ndarray | None:
        """Around a circle in the plane, from here; distances from it (n,) [m] after the first turn, None if stopped."""
        start, rotation = self.measured()
        center = start - [radius_m, 0, 0]

        def target(t: float) -> EeTarget:
            # The angle grows from rest over the first second.
            angle = 2 * np.pi / period_s * (t * t / 2 if t < 1 else t - 0.5)
            at = center + radius_m * np.array([np.cos(angle), np.sin(angle), 0])
            return EeTarget(self.clock.now_ns(), at, matrix_to_rotation_6d(rotation), 0.08)

        self.states.clear()
        if not self.lead(target, seconds):
            return None
        after = self.states[0].stamp_ns + round(1e9 * period_s)
        away = np.array([s.ee_position for s in self.states if s.stamp_ns > after]).reshape(-1, 3) - center
        return np.hypot(np.hypot(away[:, 0], away[:, 1]) - radius_m, away[:, 2])

    def joints(self, offset: np.ndarray, seconds: float, ramp_s: float = 1.0) -> bool:
        """Joints to an offset (7,) from here and stay; False where the gate stopped."""
        start = self.robot.observe().joint_position

        def target(t: float) -> JointTarget:
            share = min(t / ramp_s, 1.0)
            return JointTarget(self.clock.now_ns(), start + offset * share * share * (3 - 2 * share), 0.08)

        return self.lead(target, seconds)

    def unless_busy(self, attempt: Callable[[], Any], attempts: int = 3) -> Any:
        """What an attempt gives; again where this machine was too busy for 1 kHz, which is not what is tested here."""
        for _ in range(attempts):
            if result := attempt():
                return result
            until(lambda: self.robot.fault, "the fault that stopped the gate")
            assert TOO_BUSY in self.robot.fault, self.robot.fault
            self.recover()
        pytest.skip(f"this machine is too busy for 1 kHz: {attempts} times {TOO_BUSY}")

    def recover(self) -> None:
        """As the operator does, once the arm stands."""
        end = time.monotonic() + 20
        while True:
            try:
                self.helm.recover()
                return
            except SafetyError as error:
                if not re.search("still moves|comes to rest", str(error)) or time.monotonic() > end:
                    raise
            time.sleep(0.1)


def until(condition: Callable[[], Any], what: str, seconds: float = 20.0) -> None:
    """Wait for a condition."""
    end = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > end:
            pytest.fail(f"waited {seconds} s for {what}")
        time.sleep(0.01)
