"""Robots by the name that a rig file gives: `robot.type`."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from typing import Protocol

from robot_learning.clock import Clock
from robot_learning.drivers.interfaces import Robot, RobotState
from robot_learning.errors import unknown_name
from robot_learning.rig import Rig


class LiveRobot(Robot, Protocol):
    """A robot whose time passes by itself, as a node needs it.

    It may also have `kinematics`, with `position(q)` (3,), `forward(q)` and `inverse(position, rotation, start)` for
    the thread that commands, and `jacobian(q)` (6, J) for the one that publishes: without them there is no workspace
    for joint targets, no home for tool targets, no tool velocity and no wrench.

    Attributes:
        heard: called with each new state, in the robot's own thread; set before `connect`.
    """

    heard: Callable[[RobotState], None]


# type: module and class, which takes a rig and a clock
ROBOTS = {"mujoco_panda": ("robot_learning.drivers.mujoco.realtime", "RealTimePanda")}


def make_robot(rig: Rig, clock: Clock) -> LiveRobot:
    """The rig's robot, not yet connected; raises UnknownName where nobody drives such a robot."""
    if rig.robot.type not in ROBOTS:
        raise unknown_name("robot type", rig.robot.type, ROBOTS)
    module, name = ROBOTS[rig.robot.type]
    robot: LiveRobot = getattr(importlib.import_module(module), name)(rig, clock)
    return robot
