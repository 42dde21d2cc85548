"""The tasks of the simulated Panda, one file each."""

from __future__ import annotations

from robot_learning.sim.panda_tasks.lift import Lift
from robot_learning.sim.panda_tasks.pick_place import PickPlace
from robot_learning.sim.panda_tasks.push import Push
from robot_learning.sim.tabletop import Task

TASKS: dict[str, type[Task]] = {"lift": Lift, "pick_place": PickPlace, "push": Push}
