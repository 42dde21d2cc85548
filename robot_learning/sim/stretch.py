"""The simulated Stretch: its record, and its tasks as environments."""

from __future__ import annotations

from robot_learning.drivers.mujoco.stretch import scene_xml
from robot_learning.drivers.mujoco.stretch_robot import RealTimeStretch
from robot_learning.sim.kinds import Kind
from robot_learning.sim.rig_env import RigEnv
from robot_learning.sim.stretch_expert import StretchExpert
from robot_learning.sim.stretch_start import place_start
from robot_learning.sim.stretch_tasks import TASKS as _TASKS

KIND = Kind(
    name="stretch",
    rig="stretch_sim",
    scene=scene_xml,
    live=RealTimeStretch,
    tasks=_TASKS,
    place=place_start,
    expert=StretchExpert,
)
TASKS = tuple(_TASKS)


def make(task: str, cameras: bool = True) -> RigEnv:
    """One of `TASKS` on the rig `stretch_sim`."""
    return RigEnv(KIND, task, cameras)
