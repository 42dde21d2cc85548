"""Prints joints and the tool's pose, as libfranka's own model has it, at random joints; given: the robot's address."""

import sys

import franky
import numpy as np

from robot_learning.drivers.franka.limits import ARMS
from robot_learning.rig_parts.franka import FrankaConfig

config = FrankaConfig(model="fr3", address=sys.argv[1])
robot = franky.Robot(config.address, realtime_config=franky.RealtimeConfig.Ignore)
w, x, y, z = config.flange_to_tool_quaternion_wxyz
tool = franky.Affine(np.array(config.flange_to_tool_position_m), np.array([x, y, z, w]))
random = np.random.default_rng(0)
for _ in range(50):
    q = random.uniform(ARMS["fr3"].joint_position_min, ARMS["fr3"].joint_position_max)
    pose = robot.model.pose(franky.Frame.EndEffector, q, tool, franky.Affine()).matrix
    print(*q, *pose[:3, 3], *pose[:3, :3].ravel())
