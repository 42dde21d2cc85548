"""Robots by the name that a rig file gives: `robot.type`."""

from __future__ import annotations

import importlib
from typing import Any

from robot_learning.clock import Clock
from robot_learning.errors import unknown_name
from robot_learning.rig import Rig

# type: module and class, which takes a rig and a clock
ROBOTS = {"mujoco_panda": ("robot_learning.drivers.mujoco.realtime", "RealTimePanda")}


def make_robot(rig: Rig, clock: Clock) -> Any:
    """The rig's robot, not yet connected; raises UnknownName where nobody drives such a robot."""
    if rig.robot.type not in ROBOTS:
        raise unknown_name("robot type", rig.robot.type, ROBOTS)
    module, name = ROBOTS[rig.robot.type]
    return getattr(importlib.import_module(module), name)(rig, clock)
