"""The simulated Stretch behind the same interface as a real one."""

from __future__ import annotations

from dataclasses import replace

import mujoco
import numpy as np

from robot_learning.drivers.interfaces import Gated, JointTarget, RobotState, Target, unseal
from robot_learning.drivers.mujoco.controller import CONTROL_RATE_HZ
from robot_learning.drivers.mujoco.kinematics import Kinematics
from robot_learning.drivers.mujoco.realtime import RealTimeRobot
from robot_learning.drivers.mujoco.robot import MujocoRobot
from robot_learning.drivers.mujoco.stretch import DAMPING_S, GRIPPER_MAX_M, JOINT_NAMES, scene_xml
from robot_learning.drivers.mujoco.stretch_base import Base
from robot_learning.drivers.mujoco.world import World
from robot_learning.rig import Rig


class StretchKinematics(Kinematics):
    """Of lift, arm and wrist; the base stands, and the head moves no tool.

    A pose has six degrees of freedom and these joints five: `inverse` finds the nearest.
    """

    names = JOINT_NAMES
    scene = staticmethod(scene_xml)


class MujocoStretch(MujocoRobot):
    """A `Robot` with a base that drives: the tool's pose is in the frame of the base, wherever that is.

    Where the rig says `base: false`, the base stands and its state is not told.
    """

    kinematics_type = StretchKinematics
    damping_s = DAMPING_S

    def __init__(self, rig: Rig, world: World) -> None:
        self._base, self._tells_base = Base(world, CONTROL_RATE_HZ), rig.robot.base
        self._base_frame = world.model.body("base").id
        super().__init__(rig, world)
        world.every(CONTROL_RATE_HZ, self._base.drive)

    def place(
        self, joint_position: np.ndarray, gripper_width: float = GRIPPER_MAX_M, base: np.ndarray | None = None
    ) -> None:
        """As any robot; the base at x, y [m] and heading [rad] of the world (3,), where its odometry begins."""
        self._base.place(np.zeros(3) if base is None else base)
        super().place(joint_position, gripper_width)

    def command(self, gated: Gated) -> Target:
        wanted = unseal(gated)
        executed = super().command(gated)
        if not isinstance(wanted, JointTarget) or not isinstance(executed, JointTarget) or wanted.base_velocity is None:
            return executed
        velocity = self._base.to(wanted.base_velocity, self._world.now_ns())
        return replace(executed, base_velocity=velocity)

    def _brake(self, now_ns: int) -> None:
        super()._brake(now_ns)
        self._base.stop()

    def _measure(self, now_ns: int) -> RobotState:
        data = self._world.data
        position, rotation = data.xpos[self._base_frame], data.xmat[self._base_frame].reshape(3, 3)
        tool, orientation = self._layout.tool, np.empty(4)
        mujoco.mju_mat2Quat(orientation, (rotation.T @ data.site_xmat[tool].reshape(3, 3)).ravel())
        return replace(
            super()._measure(now_ns),
            ee_position=rotation.T @ (data.site_xpos[tool] - position),
            ee_orientation=orientation if orientation[0] >= 0 else -orientation,
            base_pose=self._base.pose if self._tells_base else None,
            base_velocity=self._base.velocity if self._tells_base else None,
        )


class RealTimeStretch(RealTimeRobot):
    """The simulated Stretch in real time."""

    simulated = MujocoStretch
