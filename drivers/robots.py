"""Robots by the name that a rig file gives: `robot.type`."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from typing import Any, Protocol

import numpy as np

from robot_learning.clock import Clock
from robot_learning.drivers.interfaces import Robot, RobotState
from robot_learning.errors import unknown_name
from robot_learning.rig import Rig


class LiveRobot(Robot, Protocol):
    """A robot whose time passes by itself, as a node needs it.

    It may also have `kinematics`, with `position(q)` (3,), `forward(q)` and `inverse(position, rotation, start)` for
    the thread that commands, and `jacobian(q)` (6, J) for the one that publishes: without them there is no workspace
    for joint targets, no home for tool targets, no tool velocity and no wrench.

    A robot that can fail by itself has, too: `fault`, why it holds, empty while it does not; `recover()`, called once
    the operator has asked for it, which raises SafetyError with what to do where it can't; and `diagnostics()`, text
    by name.

    Attributes:
        heard: called with each new state, in the robot's own thread; set before `connect`.
    """

    heard: Callable[[RobotState], None]


class Kinematics(Protocol):
    """Where the tool is, from the joints, and back. For one thread; `twin` makes another for another."""

    def forward(self, q: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Tool position (3,) [m] and rotation (3, 3) in the base frame, at joints (J,)."""
        ...

    def position(self, q: np.ndarray) -> np.ndarray:
        """Tool position (3,) [m]."""
        ...

    def jacobian(self, q: np.ndarray) -> np.ndarray:
        """Of the tool, (6, J): linear part first, base frame."""
        ...

    def inverse(self, position: np.ndarray, rotation: np.ndarray, start: np.ndarray) -> np.ndarray:
        """Joints (J,) whose tool pose is nearest to the one asked for, searched from `start`."""
        ...

    def twin(self) -> Kinematics:
        """Another like this one."""
        ...


_PANDA = ("robot_learning.drivers.mujoco.kinematics", "Kinematics")
# type: module and class of the robot, which takes a rig and a clock; and of its kinematics, whose `of` takes a rig
ROBOTS = {
    "mujoco_panda": (("robot_learning.drivers.mujoco.realtime", "RealTimePanda"), _PANDA),
    "franka": (
        ("robot_learning.drivers.franka.robot", "FrankaRobot"),
        ("robot_learning.drivers.franka.kinematics", "FrankaKinematics"),
    ),
    "stretch": (
        ("robot_learning.drivers.stretch.robot", "StretchRobot"),
        ("robot_learning.drivers.stretch.kinematics", "Kinematics"),
    ),
    "mujoco_stretch": (
        ("robot_learning.drivers.mujoco.stretch_robot", "RealTimeStretch"),
        ("robot_learning.drivers.mujoco.stretch_robot", "StretchKinematics"),
    ),
}


def make_robot(rig: Rig, clock: Clock) -> LiveRobot:
    """The rig's robot, not yet connected; raises UnknownName where nobody drives such a robot."""
    robot: LiveRobot = _load(_entry(rig)[0])(rig, clock)
    return robot


def make_kinematics(rig: Rig) -> Kinematics:
    """The kinematics of the rig's robot; raises UnknownName where nobody drives such a robot."""
    kinematics: Kinematics = _load(_entry(rig)[1]).of(rig)
    return kinematics


def _entry(rig: Rig) -> tuple[tuple[str, str], tuple[str, str]]:
    if rig.robot.type not in ROBOTS:
        raise unknown_name("robot type", rig.robot.type, ROBOTS)
    return ROBOTS[rig.robot.type]


def _load(name: tuple[str, str]) -> Any:
    return getattr(importlib.import_module(name[0]), name[1])
