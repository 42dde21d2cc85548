"""Pick a cube from a table that the base stands beside."""

from __future__ import annotations

import math

import numpy as np

from robot_learning.drivers.interfaces import RobotState
from robot_learning.drivers.mujoco.stretch import GRIPPER_MAX_M, TABLE_M
from robot_learning.drivers.mujoco.world import World
from robot_learning.rotation import matrix_to_quaternion
from robot_learning.sim.tabletop import (
    CUBE_M,
    CUBE_STREAMS,
    HALF_M,
    ObjectStream,
    Task,
    Tool,
    cube_xml,
    grasp,
    is_held,
    nearest_quarter,
    place_cube,
    yaw_of,
)

CLEARANCE_M = 0.06
_HOVER_M = 0.07
_CARRY_M = TABLE_M + 0.16


class Pick(Task):
    """Done when the cube's centre is 6 cm above where it stood, and the fingers hold it, however askew.

    Positions are in the frame of the base, which moves: where a head camera would see things. The arm reaches out to
    the side, so the base must drive until the cube is abreast of the arm, and turn until it stands parallel to the
    table.
    """

    text = "pick up the red cube from the table"
    max_steps = 200
    streams = {**CUBE_STREAMS, "table_heading": ObjectStream((1,), "rad", "linear")}

    def objects_xml(self) -> str:
        return cube_xml()

    def place(self, world: World, rng: np.random.Generator) -> None:
        xy = self.draw(rng, [-0.10, -0.52], [0.10, -0.38])
        place_cube(world, xy, float(self.draw(rng, -np.pi / 4, np.pi / 4)), TABLE_M)

    def read(self, world: World) -> dict[str, np.ndarray]:
        base, cube = world.data.body("base"), world.data.body("cube")
        frame = base.xmat.reshape(3, 3)
        return {
            "cube_position": frame.T @ (cube.xpos - base.xpos),
            "cube_orientation": matrix_to_quaternion(frame.T @ cube.xmat.reshape(3, 3)),
            "table_heading": np.array([math.atan2(-frame[1, 0], frame[0, 0])]),
        }

    def done(self, objects: dict[str, np.ndarray], robot: RobotState) -> bool:
        cube = objects["cube_position"]
        return bool(cube[2] - TABLE_M - HALF_M > CLEARANCE_M) and is_held(cube, robot, within_m=CUBE_M)

    def expert(self, objects: dict[str, np.ndarray], robot: RobotState) -> Tool:
        cube, yaw = objects["cube_position"], yaw_of(objects["cube_orientation"])
        if is_held(cube, robot):
            return Tool(np.array([robot.ee_position[0], robot.ee_position[1], _CARRY_M]), nearest_quarter(yaw), 0.0)
        return grasp(cube, yaw, robot, _HOVER_M, GRIPPER_MAX_M)
