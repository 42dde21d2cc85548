"""Where an episode of a Stretch task begins."""

from __future__ import annotations

import numpy as np

from robot_learning.drivers.mujoco.stretch import GRIPPER_MAX_M
from robot_learning.drivers.mujoco.stretch_robot import MujocoStretch
from robot_learning.drivers.mujoco.world import World
from robot_learning.rig import Rig
from robot_learning.sim.tabletop import Task

# The base beside the table, more or less parallel to it; the fingers down, high or low, the gripper open or closed.
_BASE_LOW, _BASE_HIGH = (-0.10, -0.02, -0.12), (0.10, 0.02, 0.12)  # x, y [m], heading [rad] in the world
# lift, arm [m], wrist yaw, pitch, roll, head pan, tilt [rad]
_JOINTS_LOW = (0.83, 0.14, -0.15, -1.56, -0.4, -1.9, -1.15)
_JOINTS_HIGH = (1.03, 0.40, 0.15, -1.42, 0.4, -1.2, -0.80)


def place_start(rig: Rig, task: Task, world: World, robot: MujocoStretch, rng: np.random.Generator) -> None:
    """Place robot and objects anew; to be followed by `World.start`. Equal generators give equal starts."""
    world.clear()
    base, joints = task.draw(rng, _BASE_LOW, _BASE_HIGH), task.draw(rng, _JOINTS_LOW, _JOINTS_HIGH)
    joints = np.clip(joints, rig.limits.joint_position_min, rig.limits.joint_position_max)
    robot.place(joints, float(rng.choice([0.0, GRIPPER_MAX_M])), base)
    task.place(world, rng)
