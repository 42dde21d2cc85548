"""Play with a cube: four sub-tasks in one scene, each a task of its own, and all of them in random order.

The cube is pushed into the left or the right zone, put up on a shelf, or put down in the middle. Their conditions
are told apart by where the cube lies, so that completions can be found in a recording that has no labels.
"""

from __future__ import annotations

import numpy as np

from robot_learning.drivers.interfaces import RobotState
from robot_learning.drivers.mujoco.world import World
from robot_learning.sim.panda_tasks.push import CUBE_ON_TABLE_M, Push
from robot_learning.sim.tabletop import (
    CUBE_STREAMS,
    HALF_M,
    Task,
    Tool,
    cube_xml,
    grasp,
    is_held,
    nearest_quarter,
    place_cube,
    ramp,
    read_cube,
    yaw_of,
)

ZONE_X_M = (0.40, 0.52)  # of every zone on the table
ZONES_Y_M = {"left": (0.12, 0.24), "middle": (-0.06, 0.06), "right": (-0.24, -0.12)}
SHELF_M = np.array([0.66, 0.0])
SHELF_HALF_M, SHELF_TOP_M = 0.06, 0.04
_EDGE_M = 0.03  # targets keep this away from a zone's edge
_NEAR_M = 0.025  # of its aim, where a push ends; the zone begins earlier
_CARRY_M = 0.10  # of the tool over the surface that it carries to
_OPEN_M = 0.06
_FRICTION = 0.35  # as in the task push

Objects = dict[str, np.ndarray]


def lies_in(cube: np.ndarray) -> str:
    """The region of a cube at `cube` (3,) [m]: a zone, `shelf`, or empty for elsewhere or in the air."""
    x, y, z = cube
    if max(abs(x - SHELF_M[0]), abs(y - SHELF_M[1])) < SHELF_HALF_M:
        return "shelf" if abs(z - SHELF_TOP_M - HALF_M) < 0.005 else ""
    if z > CUBE_ON_TABLE_M or not ZONE_X_M[0] - 0.02 < x < ZONE_X_M[1] + 0.02:
        return ""
    return next((name for name, (low, high) in ZONES_Y_M.items() if low < y < high), "")


def reached(cube: np.ndarray, gripper_width: float) -> str:
    """The region that the cube was brought to; where it was carried to, the fingers must have let go."""
    where = lies_in(cube)
    return where if where in ("left", "right") or gripper_width > _OPEN_M else ""


class Playroom(Task):
    """A cube on a table with two marked zones and a shelf."""

    max_steps = 160
    hold_steps = 4
    streams = CUBE_STREAMS

    def objects_xml(self) -> str:
        shelf = _box("shelf", "fixed", [*SHELF_M, SHELF_TOP_M / 2], [SHELF_HALF_M, SHELF_HALF_M, SHELF_TOP_M / 2])
        marks = ""
        for name in ("left", "right"):
            (x0, x1), (y0, y1) = ZONE_X_M, ZONES_Y_M[name]
            centre, size = [(x0 + x1) / 2, (y0 + y1) / 2, 0.0], [(x1 - x0) / 2, (y1 - y0) / 2, 0.0005]
            marks += _box(f"zone_{name}", "shell", centre, size, "0.15 0.6 0.25 1")
        return cube_xml(friction=_FRICTION) + shelf + marks

    def read(self, world: World) -> dict[str, np.ndarray]:
        return read_cube(world)

    def put(self, world: World, rng: np.random.Generator, where: str) -> None:
        """Lay the cube somewhere in a region."""
        height = SHELF_TOP_M if where == "shelf" else 0.0
        place_cube(world, self.target(rng, where), float(self.draw(rng, -np.pi / 4, np.pi / 4)), height)

    def target(self, rng: np.random.Generator, where: str) -> np.ndarray:
        """A place in a region (2,) [m], clear of its edge."""
        if where == "shelf":
            return self.draw(rng, SHELF_M - 0.015, SHELF_M + 0.015)
        low, high = ZONES_Y_M[where]
        return self.draw(rng, [ZONE_X_M[0] + _EDGE_M, low + _EDGE_M], [ZONE_X_M[1] - _EDGE_M, high - _EDGE_M])


class SubTask(Playroom):
    """One thing to do with the cube, from any other place where it makes sense.

    Attributes:
        to: the region that the cube is to lie in.
        from_: those that it may begin in.
        aim: where in `to` this time (2,) [m].
    """

    to: str
    from_: tuple[str, ...]
    aim: np.ndarray

    def begin(self, rng: np.random.Generator) -> SubTask:
        """Choose where in the region; returns itself."""
        self.aim = self.target(rng, self.to)
        return self

    def place(self, world: World, rng: np.random.Generator) -> None:
        self.put(world, rng, self.from_[rng.integers(len(self.from_))])
        self.begin(rng)

    def done(self, objects: Objects, robot: RobotState) -> bool:
        return reached(objects["cube_position"], float(robot.gripper_width[0])) == self.to

    def enough(self, objects: Objects, robot: RobotState) -> bool:
        """Whether a player leaves it at that."""
        return self.done(objects, robot)


class PushLeft(SubTask):
    """Done when the cube is in the left zone."""

    text, to, from_ = "push the red cube into the left zone", "left", ("middle", "right")

    def enough(self, objects: Objects, robot: RobotState) -> bool:
        near = np.hypot(*(objects["cube_position"][:2] - self.aim)) < _NEAR_M
        return bool(near) and self.done(objects, robot)

    def expert(self, objects: Objects, robot: RobotState) -> Tool:
        return Push.expert(self, objects | {"goal_position": np.array([*self.aim, 0.0])}, robot)  # type: ignore[arg-type]


class PushRight(PushLeft):
    """Done when the cube is in the right zone."""

    text, to, from_ = "push the red cube into the right zone", "right", ("middle", "left")


class PutUp(SubTask):
    """Done when the cube lies on the shelf and the fingers have let go."""

    text, to = "put the red cube onto the shelf", "shelf"
    from_: tuple[str, ...] = ("left", "middle", "right")
    _surface_m = SHELF_TOP_M

    def expert(self, objects: Objects, robot: RobotState) -> Tool:
        cube, yaw, tool = objects["cube_position"], yaw_of(objects["cube_orientation"]), robot.ee_position
        high = self._surface_m + _CARRY_M
        over = np.array([*self.aim, high])
        if self.done(objects, robot):
            return Tool(over, nearest_quarter(yaw), 0.08)
        if not is_held(cube, robot):
            return grasp(cube, yaw, robot)
        if np.hypot(*(tool[:2] - self.aim)) < 0.015:
            low = self._surface_m + HALF_M
            return Tool(np.array([*self.aim, low]), nearest_quarter(yaw), 0.08 if tool[2] < low + 0.006 else 0.0)
        # Straight up first; sideways as the cube clears the shelf.
        clear = ramp(float(tool[2]), SHELF_TOP_M + HALF_M + 0.015, SHELF_TOP_M + 0.07)
        xy = tool[:2] + clear * (self.aim - tool[:2])
        return Tool(np.array([*xy, SHELF_TOP_M + _CARRY_M]), nearest_quarter(yaw), 0.0)


class PutDown(PutUp):
    """Done when the cube lies in the middle of the table and the fingers have let go."""

    text, to = "put the red cube down in the middle", "middle"
    from_ = ("shelf",)
    _surface_m = 0.0


def _box(name: str, kind: str, centre: list, half: list, rgba: str = "0.20 0.35 0.60 1") -> str:
    place, size = " ".join(f"{x:g}" for x in centre), " ".join(f"{x:g}" for x in half)
    return f'<body name="{name}" pos="{place}"><geom class="{kind}" type="box" size="{size}" rgba="{rgba}"/></body>'


SUB_TASKS: dict[str, type[SubTask]] = {
    "push_left": PushLeft,
    "push_right": PushRight,
    "put_up": PutUp,
    "put_down": PutDown,
}
