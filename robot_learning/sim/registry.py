"""Names of simulated tasks, each to the function that makes it; the libraries behind them load on use."""

from __future__ import annotations

import importlib
from types import ModuleType

from robot_learning.errors import UserError, unknown_name
from robot_learning.rig import load_rig
from robot_learning.sim.base import SimEnv

# Family to module; each has TASKS and make(task, cameras). A family named like its only task has the one name.
_FAMILIES = {
    "panda": "robot_learning.sim.panda",
    "play": "robot_learning.sim.play",
    "stretch": "robot_learning.sim.stretch",
    "robosuite": "robot_learning.sim.robosuite",
    "metaworld": "robot_learning.sim.metaworld",
    "pusht": "robot_learning.sim.pusht",
    "two_way": "robot_learning.sim.two_way",
}
_RIG = "rig/"  # before the name or path of a simulated rig: its own task, with its own limits and cameras
_RIG_MODULE = "robot_learning.sim.rig_env"
# Repeated here so that names() needs no MuJoCo; tests compare.
_TASKS = {
    "panda": ("lift", "pick_place", "push"),
    "play": ("free", "push_left", "push_right", "put_up", "put_down"),
    "stretch": ("pick",),
}


def names() -> list[str]:
    """All names that `make` knows."""
    return [name for family in _FAMILIES for name in _names_of(family)]


def make(name: str, *, cameras: bool = True, seed: int | None = None) -> SimEnv:
    """Make the environment called `name`, e.g. `panda/lift`; `rig/<name or path>` is a simulated rig's own task.

    Args:
        cameras: without them nothing is rendered, which is many times faster; the contract stays the same.
        seed: if given, the environment is reset with it, so that later resets without a seed follow from it.

    Raises:
        UnknownName: no such task.
        UserError: its library is not installed.
    """
    require(name)
    family, _, task = name.partition("/")
    try:
        if name.startswith(_RIG):
            env: SimEnv = importlib.import_module(_RIG_MODULE).make_rig(task, cameras)
        else:
            env = _module(family).make(task or family, cameras)
    except ModuleNotFoundError as error:
        if (error.name or "").startswith("robot_learning"):
            raise
        raise UserError(
            f"{name} needs the library '{error.name}', which is not installed; run pip install 'robot_learning[sim]'."
        ) from None
    if seed is not None:
        env.reset(seed=seed)
    return env


def require(name: str) -> None:
    """Raise UnknownName unless `make` knows `name`, ConfigError for a bad rig; loads no simulator."""
    if name.startswith(_RIG):
        load_rig(name.removeprefix(_RIG))
        return
    if name not in (known := names()):
        raise unknown_name("simulated task", name, known)


def _names_of(family: str) -> list[str]:
    tasks = _TASKS.get(family) or _module(family).TASKS
    return [task if task == family else f"{family}/{task}" for task in tasks]


def _module(family: str) -> ModuleType:
    return importlib.import_module(_FAMILIES[family])
