"""Kinds of simulated robots, one record each: what differs from one to the next, and nothing else."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

from robot_learning.drivers.interfaces import RobotState, Target
from robot_learning.drivers.mujoco.realtime import RealTimeRobot
from robot_learning.drivers.mujoco.robot import MujocoRobot
from robot_learning.drivers.mujoco.world import World
from robot_learning.errors import ConfigError, unknown_name
from robot_learning.rig import Rig
from robot_learning.sim.tabletop import Task

# `robot.type` of a rig file: module whose KIND is the record
_KINDS = {
    "mujoco_panda": "robot_learning.sim.panda",
    "mujoco_stretch": "robot_learning.sim.stretch",
}


class TaskExpert(Protocol):
    """A scripted demonstrator that knows nothing of where the state comes from: an environment or topics."""

    def reset(self) -> None:
        """Begin a new episode."""
        ...

    def act(
        self, state: RobotState, objects: dict[str, np.ndarray], reference: Target | None, rng: np.random.Generator
    ) -> np.ndarray:
        """The next action of the rig (Da,), one period after the last.

        Args:
            objects: newest values of the task's own streams.
            reference: where the robot was last told to be; None at first.
            rng: where its variation comes from.
        """
        ...


@dataclass(frozen=True)
class Kind:
    """One kind of simulated robot.

    Attributes:
        name: of its family of tasks: `<name>/<task>`.
        rig: the rig file that the family uses.
        scene: MJCF of robot, surroundings and a task's objects.
        live: the robot in real time.
        tasks: by name.
        place: puts robot and objects where an episode begins, by a generator alone; `World.start` follows.
        expert: demonstrates a task on a rig.
    """

    name: str
    rig: str
    scene: Callable[[str], str]
    live: type[RealTimeRobot]
    tasks: Mapping[str, type[Task]]
    place: Callable[[Rig, Task, World, Any, np.random.Generator], None]
    expert: Callable[[Rig, Any], TaskExpert]

    def robot(self, rig: Rig, world: World) -> MujocoRobot:
        """The robot in a world."""
        return self.live.simulated(rig, world)

    def task(self, name: str, spread: float) -> Task:
        """One of the tasks; UnknownName for another."""
        if name not in self.tasks:
            raise unknown_name(f"{self.name} task", name, self.tasks)
        task = self.tasks[name]()
        task.spread = spread
        return task


def kind_of(rig: Rig) -> Kind:
    """The kind of a rig's robot; ConfigError where it is no simulated one."""
    if rig.robot.type not in _KINDS:
        raise ConfigError(
            f"the rig {rig.name} is not simulated (robot.type: {rig.robot.type}); simulated robots are "
            f"{' and '.join(_KINDS)}."
        )
    kind: Kind = importlib.import_module(_KINDS[rig.robot.type]).KIND
    return kind
