"""Simulated robots behind the same interface as real ones; the Panda is the plain case."""

from __future__ import annotations

import threading
from dataclasses import replace

import mujoco
import numpy as np

from robot_learning.drivers.grip import Grip
from robot_learning.drivers.interfaces import Gated, RobotState, Target, unseal
from robot_learning.drivers.mujoco.controller import CONTROL_RATE_HZ, Controller
from robot_learning.drivers.mujoco.kinematics import Kinematics
from robot_learning.drivers.mujoco.layout import Layout
from robot_learning.drivers.mujoco.panda import DAMPING_S
from robot_learning.drivers.mujoco.world import World
from robot_learning.rig import Rig


class MujocoRobot:
    """A `Robot` in a :class:`World`; its state is sampled at the rig's `state_rate_hz`.

    Time is the world's: commands take effect as the world advances. `stop` only raises a flag,
    which the controller sees at its next tick, so any thread may call it.

    Attributes:
        kinematics_type: also names the joints and their scene.
        damping_s: kv / kp of the joint drives.
        states: the states sampled since the list was last emptied, oldest first.
    """

    kinematics_type: type[Kinematics] = Kinematics
    damping_s: float

    def __init__(self, rig: Rig, world: World) -> None:
        self._world = world
        self._layout = Layout.of(world.model, self.kinematics_type.names)
        self._home = np.array(rig.robot.home_joint_position)
        self._grip = Grip(rig, rig.limits.gripper_width_max_m)
        self._has_effort = rig.robot.joint_effort
        self._stop = threading.Event()
        world.every(CONTROL_RATE_HZ, self._heed_stop)
        self.kinematics = self.kinematics_type.of(rig)
        self._controller = Controller(
            world,
            self._layout,
            self.kinematics,
            rig.limits,
            self.damping_s,
            1 / rig.policy.rate_hz,
            rig.watchdog.deceleration_time_s,
        )
        world.every(rig.robot.state_rate_hz, self._sample)
        self.states: list[RobotState] = []

    def connect(self) -> None:
        """Start the world with the arm at home."""
        self.place(self._home)
        self._world.start()

    def place(self, joint_position: np.ndarray, gripper_width: float = 0.08) -> None:
        """Put the arm at rest at joints (J,), the gripper at its width [m]; to be followed by `World.start`."""
        data, layout = self._world.data, self._layout
        data.qpos[layout.q] = joint_position
        data.qpos[layout.fingers_q] = gripper_width / 2
        data.qvel[layout.v] = 0
        data.qvel[layout.fingers_v] = 0
        self._grip.width = gripper_width
        self._stop.clear()
        self._controller.start()
        self.states.clear()

    def observe(self) -> RobotState:
        return self._newest

    def command(self, gated: Gated) -> Target:
        target = unseal(gated)
        target = replace(target, gripper_width=self._grip.to(target.gripper_width))
        return self._controller.to(target, self._world.now_ns())

    def stop(self) -> None:
        self._stop.set()

    def disconnect(self) -> None:
        self.stop()

    def _heed_stop(self, now_ns: int) -> None:
        if self._stop.is_set():
            self._stop.clear()
            self._brake(now_ns)

    def _brake(self, now_ns: int) -> None:
        self._controller.brake(now_ns)

    def _sample(self, now_ns: int) -> None:
        self._newest = self._measure(now_ns)
        self.states.append(self._newest)

    def _measure(self, now_ns: int) -> RobotState:
        data, layout = self._world.data, self._layout
        orientation = np.empty(4)
        desired_position, desired_velocity = self._controller.reference(now_ns)
        mujoco.mju_mat2Quat(orientation, data.site_xmat[layout.tool])
        return RobotState(
            stamp_ns=now_ns,
            joint_position=data.qpos[layout.q].copy(),
            joint_velocity=data.qvel[layout.v].copy(),
            joint_effort=data.actuator_force[layout.drives].copy() if self._has_effort else None,
            ee_position=data.site_xpos[layout.tool].copy(),
            ee_orientation=orientation if orientation[0] >= 0 else -orientation,
            gripper_width=np.array([layout.opening(data)]),
            desired_position=desired_position,
            desired_velocity=desired_velocity,
        )


class MujocoPanda(MujocoRobot):
    """The simulated Panda."""

    damping_s = DAMPING_S
