"""Put a cube into a bin."""

from __future__ import annotations

import numpy as np

from robot_learning.drivers.interfaces import RobotState
from robot_learning.drivers.mujoco.world import World
from robot_learning.sim.tabletop import (
    CUBE_STREAMS,
    GOAL_STREAMS,
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

BIN_HALF_M = 0.075  # inner half width
WALL_M = 0.05  # height
CARRY_M = 0.15  # tool height over the bin


def bin_xml() -> str:
    """An open box that a reset moves (a mocap body: the physics can't)."""
    t, h, w = 0.004, WALL_M / 2, BIN_HALF_M
    rgba = "0.20 0.35 0.60 1"
    walls = "".join(
        f'<geom class="fixed" type="box" pos="{x} {y} {h}" size="{sx} {sy} {h}" rgba="{rgba}"/>'
        for x, y, sx, sy in ((w + t, 0, t, w + 2 * t), (-w - t, 0, t, w + 2 * t), (0, w + t, w, t), (0, -w - t, w, t))
    )
    floor = f'<geom class="fixed" type="box" pos="0 0 0.001" size="{w} {w} 0.001" rgba="{rgba}"/>'
    return f'<body name="goal" mocap="true">{floor}{walls}</body>'


class PickPlace(Task):
    """Done when the cube lies in the bin and the fingers have let go."""

    text = "put the red cube into the blue bin"
    max_steps = 200
    streams = {**CUBE_STREAMS, **GOAL_STREAMS}

    def objects_xml(self) -> str:
        return cube_xml() + bin_xml()

    def place(self, world: World, rng: np.random.Generator) -> None:
        xy = self.draw(rng, [0.42, -0.02], [0.58, 0.16])
        place_cube(world, xy, float(self.draw(rng, -np.pi / 4, np.pi / 4)))
        world.data.mocap_pos[0] = [*self.draw(rng, [0.44, -0.28], [0.58, -0.20]), 0.0]

    def read(self, world: World) -> dict[str, np.ndarray]:
        return {**read_cube(world), "goal_position": world.data.body("goal").xpos.copy()}

    def done(self, objects: dict[str, np.ndarray], robot: RobotState) -> bool:
        cube, goal = objects["cube_position"], objects["goal_position"]
        inside = bool(np.abs(cube[:2] - goal[:2]).max() < BIN_HALF_M - HALF_M / 2) and bool(cube[2] < WALL_M)
        return inside and float(robot.gripper_width[0]) > 0.06

    def expert(self, objects: dict[str, np.ndarray], robot: RobotState) -> Tool:
        cube, goal, yaw = objects["cube_position"], objects["goal_position"], yaw_of(objects["cube_orientation"])
        tool = robot.ee_position
        beside = float(np.hypot(*(tool[:2] - goal[:2])))
        above_bin = np.array([goal[0], goal[1], CARRY_M])
        if np.abs(cube[:2] - goal[:2]).max() < BIN_HALF_M and (cube[2] < 0.1 and not is_held(cube, robot)):
            return Tool(above_bin, 0.0, 0.08)  # it falls, or lies within: stay clear
        if is_held(cube, robot):
            if beside < 0.015:
                return Tool(above_bin - [0, 0, 0.06], 0.0, 0.08 if tool[2] < CARRY_M - 0.03 else 0.0)
            # Straight up first; sideways as the cube clears the wall.
            clear = ramp(float(tool[2]), 0.06, CARRY_M - 0.03)
            xy = tool[:2] + clear * (goal[:2] - tool[:2])
            return Tool(np.array([*xy, CARRY_M]), (1 - clear) * nearest_quarter(yaw), 0.0)
        return grasp(cube, yaw, robot)
