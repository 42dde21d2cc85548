"""Push a cube to a mark on the table."""

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
    place_cube,
    ramp,
    read_cube,
)

REACHED_M = 0.02
HEIGHT_M = 0.02  # of the closed fingers while they push
BEHIND_M = HALF_M + 0.035
_CONTACT_M = 0.015
_LEAD_M = 0.035
_FRICTION = 0.35  # a grippier cube jams between the fingertips and the table
CUBE_ON_TABLE_M = HALF_M + 0.005


class Push(Task):
    """Done when the cube's centre is within 2 cm of the mark, on the table."""

    text = "push the red cube to the green mark"
    max_steps = 200
    streams = {**CUBE_STREAMS, **GOAL_STREAMS}

    def objects_xml(self) -> str:
        mark = f'<geom class="shell" type="cylinder" size="{REACHED_M + 0.01} 0.0005" rgba="0.15 0.6 0.25 1"/>'
        return cube_xml(friction=_FRICTION) + f'<body name="goal" mocap="true">{mark}</body>'

    def place(self, world: World, rng: np.random.Generator) -> None:
        xy = self.draw(rng, [0.42, -0.10], [0.50, 0.10])
        place_cube(world, xy, float(self.draw(rng, -np.pi / 4, np.pi / 4)))
        angle, distance = float(self.draw(rng, -np.pi / 3, np.pi / 3)), float(self.draw(rng, 0.09, 0.15))
        world.data.mocap_pos[0] = [*(xy + distance * np.array([np.cos(angle), np.sin(angle)])), 0.0]

    def read(self, world: World) -> dict[str, np.ndarray]:
        return {**read_cube(world), "goal_position": world.data.body("goal").xpos.copy()}

    def done(self, objects: dict[str, np.ndarray], robot: RobotState) -> bool:
        cube, goal = objects["cube_position"], objects["goal_position"]
        return bool(np.hypot(*(cube[:2] - goal[:2])) < REACHED_M) and bool(cube[2] < CUBE_ON_TABLE_M)

    def expert(self, objects: dict[str, np.ndarray], robot: RobotState) -> Tool:
        cube, goal, tool = objects["cube_position"][:2], objects["goal_position"][:2], robot.ee_position
        away = goal - cube
        distance = float(np.hypot(*away))
        along = away / max(distance, 1e-9)
        across = np.array([-along[1], along[0]])
        yaw = float(np.arctan2(along[1], along[0]))
        yaw = (yaw + np.pi / 2) % np.pi - np.pi / 2  # two fingers look the same from both sides
        # Tool in the frame of the push: x along it, from the cube's centre.
        x, y = float((tool[:2] - cube) @ along), float((tool[:2] - cube) @ across)
        behind = cube - BEHIND_M * along
        aligned = x < -HALF_M and abs(y) < 0.012
        if not aligned:
            # Over the cube if need be, and down only once behind it.
            off = float(np.hypot(*(tool[:2] - behind)))
            return Tool(np.array([*behind, HEIGHT_M + 0.07 * ramp(off, 0.008, 0.04)]), yaw, 0.0)
        if tool[2] > HEIGHT_M + 0.02:
            return Tool(np.array([*behind, HEIGHT_M]), yaw, 0.0)
        # Through the centre, slower as the mark comes near; beside the line, lean back towards it.
        ahead = min(distance, _LEAD_M) - _CONTACT_M
        return Tool(np.array([*(cube + ahead * along - 0.5 * y * across), HEIGHT_M]), yaw, 0.0)
