"""Where an episode of a Panda task begins."""

from __future__ import annotations

import math

import numpy as np

from robot_learning.drivers.mujoco.panda import GRIPPER_MAX_M
from robot_learning.drivers.mujoco.robot import MujocoPanda
from robot_learning.drivers.mujoco.world import World
from robot_learning.rig import Rig
from robot_learning.sim.tabletop import Task

# The tool anywhere in this box, the gripper open or closed. From one narrow start a policy never learns what to do
# after a grasp that missed: closed, near the table, beside the cube.
_START_LOW_M, _START_HIGH_M = (0.40, -0.15, 0.12), (0.60, 0.15, 0.40)
_START_TURN_RAD = 0.4


def place_start(rig: Rig, task: Task, world: World, robot: MujocoPanda, rng: np.random.Generator) -> None:
    """Place arm and objects anew; to be followed by `World.start`. Equal generators give equal starts."""
    world.clear()
    robot.place(_start_joints(rig, task, robot, rng), float(rng.choice([0.0, GRIPPER_MAX_M])))
    task.place(world, rng)


def _start_joints(rig: Rig, task: Task, robot: MujocoPanda, rng: np.random.Generator) -> np.ndarray:
    """Joints (7,) [rad] that hold the tool somewhere above the table, fingers down."""
    position = task.draw(rng, _START_LOW_M, _START_HIGH_M)
    turn = float(task.draw(rng, -_START_TURN_RAD, _START_TURN_RAD))
    c, s = math.cos(turn), math.sin(turn)
    down = np.array([[c, s, 0.0], [s, -c, 0.0], [0.0, 0.0, -1.0]])
    return robot.kinematics.inverse(position, down, np.array(rig.robot.home_joint_position))
