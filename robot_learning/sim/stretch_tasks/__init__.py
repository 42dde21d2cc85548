"""The tasks of the simulated Stretch, one file each."""

from __future__ import annotations

from robot_learning.sim.stretch_tasks.pick import Pick
from robot_learning.sim.tabletop import Task

TASKS: dict[str, type[Task]] = {"pick": Pick}
