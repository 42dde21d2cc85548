"""A robot that another maker's driver controls: its state put together from streams, its targets handed on. No ROS."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import replace
from typing import Protocol

import numpy as np

from robot_learning.clock import NS_PER_S, Clock, seconds_to_ns
from robot_learning.data.sample import Sample
from robot_learning.drivers.braking import Braking
from robot_learning.drivers.interfaces import EeTarget, Gated, JointTarget, RobotState, Target, unseal
from robot_learning.drivers.robots import Kinematics
from robot_learning.errors import ConfigError, SafetyError
from robot_learning.rig import Rig
from robot_learning.rotation import matrix_to_quaternion, matrix_to_rotation_6d, quaternion_to_matrix

_BRAKING_RATE_HZ = 100
NEEDED = ("joint_position", "joint_velocity", "gripper_width")
_PARTS = (*NEEDED, "joint_effort", "ee_position", "ee_orientation", "base_pose", "base_velocity")


class Wires(Protocol):
    """How targets reach the other driver."""

    def send(self, target: Target) -> None:
        """Publish one; from any thread."""
        ...


class BridgedRobot:
    """Takes gated targets and hands them on; brakes by itself, since the other driver knows nothing of the gate.

    Between two targets, and after the last, the other driver does what it does: it must hold its last target.

    Args:
        kinematics: for the tool's pose where no stream gives it.

    Attributes:
        heard: called with each new state.
        streams: which streams it must be given, through :meth:`take`.

    Raises:
        ConfigError: the rig's topics lack something that a state needs.
    """

    def __init__(self, rig: Rig, clock: Clock, wires: Wires, kinematics: Kinematics | None) -> None:
        self._rig, self._clock, self._wires = rig, clock, wires
        self.kinematics = kinematics
        if kinematics is not None:
            self.jacobian = kinematics.twin().jacobian
            self._forward = kinematics.twin().forward
        self.heard: Callable[[RobotState], None] = lambda state: None
        self.streams = [name for name in _PARTS if name in rig.topics]
        needed = [*NEEDED, *(["base_pose", "base_velocity"] if rig.robot.base else [])]
        if kinematics is None:
            needed += ["ee_position", "ee_orientation"]
        if rig.robot.joint_effort:
            needed.append("joint_effort")
        if missing := [name for name in needed if name not in rig.topics]:
            raise ConfigError(
                f"the rig {rig.name} takes its robot's state from topics, and names none for {', '.join(missing)}; "
                "add them to 'topics', or set bridge.kinematics for the tool's pose."
            )
        self._newest: dict[str, Sample] = {}
        self._state: RobotState | None = None
        self._lock = threading.Lock()  # of what is sent: a braking reference never follows a newer target
        self._stops = 0
        self._width: float | None = None  # as commanded last
        self._ending = threading.Event()

    def connect(self) -> None:
        """Nothing is opened: the state comes by itself."""

    def take(self, sample: Sample) -> None:
        """One sample of `streams`."""
        self._newest[sample.stream] = sample
        if sample.stream == "joint_position" and len(self._newest) == len(self.streams):
            self._state = self._put_together()
            self.heard(self._state)

    def observe(self) -> RobotState:
        if self._state is None:
            missing = [name for name in self.streams if name not in self._newest]
            raise SafetyError(
                f"the robot's state has not come: nothing on the topics of {', '.join(missing) or 'joint_position'}; "
                "see that the robot's own driver runs."
            )
        return self._state

    def command(self, gated: Gated) -> Target:
        target = unseal(gated)
        with self._lock:
            self._width = target.gripper_width
            self._stops += 1  # ends a braking motion under way
            self._wires.send(target)
        return target

    def stop(self) -> None:
        """Begin to brake, in a thread of its own: it waits for nothing."""
        if self._state is None:
            return
        self._stops += 1
        threading.Thread(target=self._brake, args=(self._stops, self._state), name="braking", daemon=True).start()

    def disconnect(self) -> None:
        """Brake and wait until it is done."""
        self.stop()
        self._ending.wait(self._rig.watchdog.deceleration_time_s + 0.1)

    def _brake(self, stop: int, state: RobotState) -> None:
        """Send references from the measured motion to rest."""
        duration_s, start = self._rig.watchdog.deceleration_time_s, self._clock.now_ns()
        if self._rig.robot.command == "ee_target":
            velocity = self.jacobian(state.joint_position) @ state.joint_velocity if self.kinematics else np.zeros(6)
            linear = Braking(state.ee_position, velocity[:3], start, duration_s)
        joints = Braking(state.joint_position, state.joint_velocity, start, duration_s)
        base = np.zeros(2) if state.base_velocity is None else state.base_velocity
        rotation = matrix_to_rotation_6d(quaternion_to_matrix(state.ee_orientation))
        width = float(state.gripper_width[0]) if self._width is None else self._width  # what is held stays held
        now = start
        while now <= joints.end_ns:
            now = self._clock.now_ns()
            share = max(0.0, 1 - (now - start) / NS_PER_S / duration_s)
            if self._rig.robot.command == "ee_target":
                target: Target = EeTarget(now, linear.at(now)[0], rotation, width)
            else:
                speed = share * base if self._rig.robot.base else None
                target = JointTarget(now, joints.at(now)[0], width, speed)
            with self._lock:
                if stop != self._stops:
                    return
                self._wires.send(target)
            self._clock.sleep_until(now + seconds_to_ns(1 / _BRAKING_RATE_HZ))
        self._ending.set()

    def _put_together(self) -> RobotState:
        """Stamped as its oldest part."""
        values = {name: sample.data for name, sample in self._newest.items()}
        state = RobotState(
            stamp_ns=min(sample.stamp_ns for sample in self._newest.values()),
            joint_position=values["joint_position"], joint_velocity=values["joint_velocity"],
            joint_effort=values.get("joint_effort"), ee_position=values.get("ee_position", np.zeros(3)),
            ee_orientation=values.get("ee_orientation", np.zeros(4)), gripper_width=values["gripper_width"],
            base_pose=values.get("base_pose"), base_velocity=values.get("base_velocity"),
        )  # fmt: skip
        if "ee_position" in values:
            return state
        position, rotation = self._forward(state.joint_position)
        return replace(state, ee_position=position, ee_orientation=matrix_to_quaternion(rotation))
