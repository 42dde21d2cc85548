"""The simulated Panda: its record, and its tasks as environments."""

from __future__ import annotations

from robot_learning.drivers.mujoco.kinematics import Kinematics
from robot_learning.drivers.mujoco.panda import scene_xml
from robot_learning.drivers.mujoco.realtime import RealTimePanda
from robot_learning.rig import Rig
from robot_learning.sim.kinds import Kind
from robot_learning.sim.panda_expert import PandaExpert
from robot_learning.sim.panda_start import place_start
from robot_learning.sim.panda_tasks import TASKS as _TASKS
from robot_learning.sim.rig_env import RigEnv

KIND = Kind(
    name="panda",
    rig="panda_sim",
    scene=scene_xml,
    live=RealTimePanda,
    tasks=_TASKS,
    place=place_start,
    expert=lambda rig, task: PandaExpert(rig, task, Kinematics.of(rig)),
)
TASKS = tuple(_TASKS)


class PandaEnv(RigEnv):
    """One of `TASKS`, on `panda_sim` or another rig with a simulated Panda."""

    def __init__(self, task: str, cameras: bool = True, rig: Rig | None = None) -> None:
        super().__init__(KIND, task, cameras, rig)


def make(task: str, cameras: bool = True) -> PandaEnv:
    """One of `TASKS` on the rig `panda_sim`."""
    return PandaEnv(task, cameras)
