"""What a task at a table adds to an arm: objects, their streams, success, and an expert's next move."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from robot_learning.contract import Alignment
from robot_learning.drivers.interfaces import RobotState
from robot_learning.drivers.mujoco.world import World
from robot_learning.rotation import quaternion_to_matrix

CUBE_M = 0.04  # edge
HALF_M = CUBE_M / 2


class Tool(NamedTuple):
    """Where an expert wants the tool: position (3,) [m], yaw of the fingers [rad], opening [m]."""

    position: np.ndarray
    yaw: float
    gripper_width: float


class ObjectStream(NamedTuple):
    """One stream of a task's own, sampled with the robot's state."""

    shape: tuple[int, ...]
    unit: str
    alignment: Alignment


class Task:
    """One task. Subclasses say what is on the table, when it is done, and how it is done.

    Attributes:
        text: the task as one would tell a person.
        max_steps: at the policy's rate.
        hold_steps: steps in a row for which `done` must hold.
        streams: what it records beyond the rig.
        spread: share of the region that objects and tool begin in, about its centre.
    """

    text: str
    spread = 1.0
    max_steps = 120
    hold_steps = 3
    streams: dict[str, ObjectStream]

    def draw(self, rng: np.random.Generator, low: ArrayLike, high: ArrayLike) -> np.ndarray:
        """Somewhere in the box from `low` to `high`, shrunk to `spread` about its centre."""
        a, b = np.asarray(low, dtype=np.float64), np.asarray(high, dtype=np.float64)
        drawn = np.asarray(rng.uniform(a, b))
        return drawn if self.spread == 1.0 else (a + b) / 2 + self.spread * (drawn - (a + b) / 2)

    def objects_xml(self) -> str:
        """MJCF of what is on the table."""
        raise NotImplementedError

    def place(self, world: World, rng: np.random.Generator) -> None:
        """Put the objects somewhere new."""
        raise NotImplementedError

    def read(self, world: World) -> dict[str, np.ndarray]:
        """The newest values of `streams`."""
        raise NotImplementedError

    def done(self, objects: dict[str, np.ndarray], robot: RobotState) -> bool:
        """Whether the task's condition holds at this instant."""
        raise NotImplementedError

    def expert(self, objects: dict[str, np.ndarray], robot: RobotState) -> Tool:
        """Where the tool should go from here: a function of the state alone, so that it can be imitated."""
        raise NotImplementedError


CUBE_STREAMS = {
    "cube_position": ObjectStream((3,), "m", "linear"),
    "cube_orientation": ObjectStream((4,), "quaternion_wxyz", "slerp"),
}
GOAL_STREAMS = {"goal_position": ObjectStream((3,), "m", "previous")}


def cube_xml(friction: float | None = None) -> str:
    """A free red cube of `CUBE_M`; `friction`, where given, holds against whatever it touches."""
    own = "" if friction is None else f'priority="1" friction="{friction} 0.005 0.0001"'
    size = f"{HALF_M} {HALF_M} {HALF_M}"
    geom = f'<geom name="cube" class="object" type="box" size="{size}" mass="0.08" rgba="0.80 0.18 0.14 1" {own}/>'
    return f'<body name="cube"><freejoint name="cube"/>{geom}</body>'


def place_cube(world: World, xy: np.ndarray, yaw: float, table_m: float = 0.0) -> None:
    """Stand the cube on the table, whose surface is at `table_m`, at `xy` [m], turned by `yaw` [rad]."""
    joint = world.data.joint("cube")
    joint.qpos[:] = [*xy, table_m + HALF_M, math.cos(yaw / 2), 0, 0, math.sin(yaw / 2)]
    joint.qvel[:] = 0


def read_cube(world: World) -> dict[str, np.ndarray]:
    """The cube's pose as streams; its quaternion's scalar part is not negative."""
    body = world.data.body("cube")
    q = body.xquat
    return {"cube_position": body.xpos.copy(), "cube_orientation": -q if q[0] < 0 else q.copy()}


def yaw_of(quaternion: np.ndarray) -> float:
    """The turn about the vertical [rad] of an orientation (4,)."""
    m = quaternion_to_matrix(quaternion)
    return math.atan2(m[1, 0], m[0, 0])


def nearest_quarter(yaw: float, reference: float = 0.0) -> float:
    """`yaw` turned by quarters to within an eighth of a turn of `reference`: a cube looks the same [rad]."""
    quarter = math.pi / 2
    return reference + (yaw - reference + quarter / 2) % quarter - quarter / 2


def ramp(x: float, low: float, high: float) -> float:
    """0 below `low`, 1 above `high`, smooth between (Hermite's cubic)."""
    t = min(max((x - low) / (high - low), 0.0), 1.0)
    return t * t * (3 - 2 * t)


def grasp(cube: np.ndarray, cube_yaw: float, robot: RobotState, hover_m: float = 0.08, open_m: float = 0.08) -> Tool:
    """Reach for the cube along a funnel: high while beside it, down as the tool comes over it, then close."""
    beside = float(np.hypot(*(robot.ee_position[:2] - cube[:2])))
    height = hover_m * ramp(beside, 0.006, 0.05)
    over = beside < 0.008 and robot.ee_position[2] - cube[2] < 0.010
    return Tool(cube + np.array([0.0, 0.0, height]), nearest_quarter(cube_yaw), 0.0 if over else open_m)


def is_held(cube: np.ndarray, robot: RobotState, within_m: float = 0.02) -> bool:
    """Whether the cube, its centre `within_m` of the tool's, is between fingers that have closed on it."""
    near = float(np.linalg.norm(robot.ee_position - cube)) < within_m
    return near and float(robot.gripper_width[0]) < CUBE_M + 0.002
