"""The simulated Panda behind the same interface as a real one."""

from __future__ import annotations

import threading
from dataclasses import replace

import mujoco
import numpy as np

from robot_learning.drivers.interfaces import Gated, RobotState, Target, unseal
from robot_learning.drivers.mujoco.controller import CONTROL_RATE_HZ, Controller
from robot_learning.drivers.mujoco.panda import JOINTS, TOOL_SITE
from robot_learning.drivers.mujoco.world import World
from robot_learning.rig import Rig

_N = len(JOINTS)
_CLOSE_BELOW, _OPEN_ABOVE = 0.4, 0.6  # shares of the gripper's range


class MujocoPanda:
    """A `Robot` in a :class:`World`; its state is sampled at the rig's `state_rate_hz`.

    Time is the world's: commands take effect as the world advances. `stop` only raises a flag,
    which the controller sees at its next tick, so any thread may call it.

    Attributes:
        states: the states sampled since the list was last emptied, oldest first.
    """

    def __init__(self, rig: Rig, world: World) -> None:
        self._world = world
        self._site = world.model.site(TOOL_SITE).id
        self._home = np.array(rig.robot.home_joint_position)
        self._open_close = rig.robot.gripper == "open_close"
        self._width_range = rig.limits.gripper_width_min_m, rig.limits.gripper_width_max_m
        self._gripper_width = rig.limits.gripper_width_max_m
        self._stop = threading.Event()
        world.every(CONTROL_RATE_HZ, self._heed_stop)
        self._controller = Controller(
            world, rig.limits, self._home, 1 / rig.policy.rate_hz, rig.watchdog.deceleration_time_s
        )
        world.every(rig.robot.state_rate_hz, self._sample)
        self.kinematics = self._controller.kinematics
        self.states: list[RobotState] = []

    def connect(self) -> None:
        """Start the world with the arm at home."""
        self.place(self._home)
        self._world.start()

    def place(self, joint_position: np.ndarray, gripper_width: float = 0.08) -> None:
        """Put the arm at rest at joints (7,) [rad], the gripper at its width [m]; to be followed by `World.start`."""
        data = self._world.data
        data.qpos[:_N] = joint_position
        data.qpos[_N : _N + 2] = gripper_width / 2
        data.qvel[: _N + 2] = 0
        self._gripper_width = gripper_width
        self._stop.clear()
        self._controller.start()
        self.states.clear()

    def observe(self) -> RobotState:
        return self._newest

    def command(self, gated: Gated) -> Target:
        target = unseal(gated)
        if self._open_close:
            target = replace(target, gripper_width=self._open_or_closed(target.gripper_width))
        return self._controller.to(target, self._world.now_ns())

    def _open_or_closed(self, width: float) -> float:
        closed, opened = self._width_range
        share = (width - closed) / (opened - closed)
        if share < _CLOSE_BELOW:
            self._gripper_width = closed
        elif share > _OPEN_ABOVE:
            self._gripper_width = opened
        return self._gripper_width

    def stop(self) -> None:
        self._stop.set()

    def disconnect(self) -> None:
        self.stop()

    def _heed_stop(self, now_ns: int) -> None:
        if self._stop.is_set():
            self._stop.clear()
            self._controller.brake(now_ns)

    def _sample(self, now_ns: int) -> None:
        data = self._world.data
        orientation = np.empty(4)
        desired_position, desired_velocity = self._controller.reference(now_ns)
        mujoco.mju_mat2Quat(orientation, data.site_xmat[self._site])
        self._newest = RobotState(
            stamp_ns=now_ns,
            joint_position=data.qpos[:_N].copy(),
            joint_velocity=data.qvel[:_N].copy(),
            joint_effort=data.actuator_force[:_N].copy(),
            ee_position=data.site_xpos[self._site].copy(),
            ee_orientation=orientation if orientation[0] >= 0 else -orientation,
            gripper_width=np.array([data.qpos[_N] + data.qpos[_N + 1]]),
            desired_position=desired_position,
            desired_velocity=desired_velocity,
        )
        self.states.append(self._newest)
