"""The Panda at play: a family of tasks in one scene, one of which goes from sub-task to sub-task by chance.

`robot-learning collect --env play/free --no-cameras` records it, without labels; `completions` finds afterwards in
a recording when which sub-task was completed. Policies never see that: it makes goals for their evaluation.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from robot_learning.data.store import Episode
from robot_learning.drivers.interfaces import RobotState
from robot_learning.drivers.mujoco.panda import GRIPPER_MAX_M
from robot_learning.drivers.mujoco.world import World
from robot_learning.sim.panda import KIND as PANDA
from robot_learning.sim.play_tasks import SUB_TASKS, Objects, Playroom, SubTask, lies_in, reached
from robot_learning.sim.rig_env import RigEnv
from robot_learning.sim.tabletop import Task, Tool

SETTLED_S = 0.25  # the cube has lain still for so long when a sub-task counts as completed
STILL_M = 0.002
_REST_LOW_M, _REST_HIGH_M = (0.40, -0.15, 0.14), (0.60, 0.15, 0.36)
_REST_NEAR_M = 0.03
_PATIENCE_STEPS = 240  # then the player tries something else
_ENOUGH_STEPS = 6  # in a row for which a sub-task is done before the player leaves it


class Free(Playroom):
    """Play: sub-tasks in random order, with the tool somewhere above the table in between.

    Done after `count` of them, so that a recording is some minutes long.
    """

    text = "play with the red cube"
    count = 60
    max_steps = 10_000
    hold_steps = 1
    _sub_task: SubTask | None
    _steps: int
    _enough: int

    def place(self, world: World, rng: np.random.Generator) -> None:
        self._rng = np.random.default_rng(int(rng.integers(2**63)))
        self.put(world, self._rng, str(self._rng.choice(["left", "middle", "right", "shelf"])))
        self.completed = 0
        self._rest()

    def done(self, objects: Objects, robot: RobotState) -> bool:
        return self.completed >= self.count

    def expert(self, objects: Objects, robot: RobotState) -> Tool:
        self._steps += 1
        if self._sub_task is None:
            if (
                np.linalg.norm(robot.ee_position - self._place.position) > _REST_NEAR_M
                and self._steps < _PATIENCE_STEPS
            ):
                return self._place
            self._choose(lies_in(objects["cube_position"]))
        assert self._sub_task is not None
        self._enough = self._enough + 1 if self._sub_task.enough(objects, robot) else 0
        if self._enough >= _ENOUGH_STEPS or self._steps >= _PATIENCE_STEPS:
            self.completed += self._enough >= _ENOUGH_STEPS
            self._rest()
            return self._place
        return self._sub_task.expert(objects, robot)

    def _rest(self) -> None:
        """Go somewhere above the table; what the fingers do there is chance."""
        width = float(self._rng.choice([0.0, GRIPPER_MAX_M]))
        self._place = Tool(self.draw(self._rng, _REST_LOW_M, _REST_HIGH_M), self._rng.uniform(-0.4, 0.4), width)
        self._sub_task = None
        self._steps = self._enough = 0

    def _choose(self, where: str) -> None:
        """One of the sub-tasks that may begin where the cube is; where that is nowhere, any that may on the table."""
        known = [kind for kind in SUB_TASKS.values() if where in kind.from_]
        kinds = known or [kind for kind in SUB_TASKS.values() if "middle" in kind.from_]
        self._sub_task = kinds[self._rng.integers(len(kinds))]().begin(self._rng)
        self._steps = self._enough = 0


_TASKS: dict[str, type[Task]] = {"free": Free, **SUB_TASKS}
TASKS = tuple(_TASKS)
KIND = replace(PANDA, name="play", tasks=_TASKS)


def make(task: str, cameras: bool = True) -> RigEnv:
    """One of `TASKS` on the rig `panda_sim`."""
    return RigEnv(KIND, task, cameras)


@dataclass(frozen=True)
class Completion:
    """A sub-task that was completed in a recording.

    Attributes:
        sub_task: its name.
        episode: the recording's id.
        stamp_ns: when the cube had come to rest.
    """

    sub_task: str
    episode: str
    stamp_ns: int


def completions(episode: Episode) -> list[Completion]:
    """What was completed in a recording, in order: each time the cube comes to rest in another region."""
    streams = {name: episode.streams[name] for name in ("cube_position", "gripper_width")}
    cube, width = (stream.read(np.arange(len(stream))) for stream in streams.values())
    stamps = streams["cube_position"].stamp
    lag = round(SETTLED_S * episode.contract.stream("cube_position").rate_hz)
    still = np.zeros(len(cube), bool)
    still[lag:] = np.linalg.norm(cube[lag:] - cube[:-lag], axis=1) < STILL_M
    to = {kind.to: name for name, kind in SUB_TASKS.items()}
    found, last = [], None
    for i in np.flatnonzero(still):
        where = reached(cube[i], float(width[i, 0]))
        if where and where != last:
            if last is not None:  # where it lay at first was nobody's doing
                found.append(Completion(to[where], episode.id, int(stamps[i])))
            last = where
    return found
