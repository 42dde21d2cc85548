"""Lift a cube off the table."""

from __future__ import annotations

import numpy as np

from robot_learning.drivers.interfaces import RobotState
from robot_learning.drivers.mujoco.world import World
from robot_learning.sim.tabletop import (
    CUBE_M,
    CUBE_STREAMS,
    HALF_M,
    Task,
    Tool,
    cube_xml,
    grasp,
    is_held,
    nearest_quarter,
    place_cube,
    read_cube,
    yaw_of,
)

CLEARANCE_M = 0.06


class Lift(Task):
    """Done when the cube's centre is 6 cm above where it stood, and the fingers hold it, however askew."""

    text = "lift the red cube"
    streams = CUBE_STREAMS

    def objects_xml(self) -> str:
        return cube_xml()

    def place(self, world: World, rng: np.random.Generator) -> None:
        xy = self.draw(rng, [0.44, -0.12], [0.58, 0.12])
        place_cube(world, xy, float(self.draw(rng, -np.pi / 4, np.pi / 4)))

    def read(self, world: World) -> dict[str, np.ndarray]:
        return read_cube(world)

    def done(self, objects: dict[str, np.ndarray], robot: RobotState) -> bool:
        cube = objects["cube_position"]
        return bool(cube[2] - HALF_M > CLEARANCE_M) and is_held(cube, robot, within_m=CUBE_M)

    def expert(self, objects: dict[str, np.ndarray], robot: RobotState) -> Tool:
        cube, yaw = objects["cube_position"], yaw_of(objects["cube_orientation"])
        if is_held(cube, robot):
            return Tool(np.array([robot.ee_position[0], robot.ee_position[1], 0.16]), nearest_quarter(yaw), 0.0)
        return grasp(cube, yaw, robot)
