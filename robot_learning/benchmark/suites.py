"""The suites, as data: which tasks, which demonstrations, which policies, how long, measured on which seeds."""

from __future__ import annotations

from dataclasses import dataclass

from robot_learning.errors import ConfigError, unknown_name
from robot_learning.sim.seeds import TRAINING_SEEDS_END


@dataclass(frozen=True)
class Experts:
    """Demonstrations by a task's scripted expert.

    Attributes:
        episodes: how many seeds, one demonstration each; those that fail are not imitated.
        seed: the first of them.
        cameras: record images, too.
    """

    episodes: int
    seed: int = 0
    cameras: bool = False


@dataclass(frozen=True)
class Imported:
    """Demonstrations from a file or folder that the user has; `--source` says where.

    Attributes:
        layout: what its keys mean, a name in `data.layouts`.
        about: what it is and who publishes it.
        mirror: whether mirror images are learned from, too.
    """

    layout: str
    about: str
    mirror: bool = False


@dataclass(frozen=True)
class Task:
    """A simulated task and its demonstrations.

    Attributes:
        name: short, for folders and tables.
        env: its name in `sim.registry`.
        level: how hard it is, where a source says so.
    """

    name: str
    env: str
    data: Experts | Imported
    level: str = ""


@dataclass(frozen=True)
class Suite:
    """What is trained and measured: each preset on each task with each seed is one cell.

    Attributes:
        presets: names of `policies.presets`; looked up when a suite starts.
        kind: what the policies observe.
        seeds: of training.
        episodes: evaluation seeds of each cell.
        steps: optimiser steps of each cell; or
        minutes: of training; the steps that fit are found by a short probe, and the schedule ends there. On a machine
            that does something else meanwhile they come out unequal.
        observations: features; empty: the default of `train`.
        options: further arguments of `train`.
        videos: rollouts of each cell that are filmed.
        compare: pairs of presets that are compared on the same evaluation seeds.
        first_seed: the first evaluation seed.
    """

    name: str
    about: str
    tasks: tuple[Task, ...]
    presets: tuple[str, ...]
    kind: str = "state"
    seeds: tuple[int, ...] = (0,)
    episodes: int = 50
    steps: int | None = None
    minutes: float | None = None
    observations: tuple[str, ...] = ()
    options: tuple[str, ...] = ()
    videos: int = 2
    compare: tuple[tuple[str, str], ...] = ()
    first_seed: int = TRAINING_SEEDS_END

    def __post_init__(self) -> None:
        if (self.steps is None) == (self.minutes is None):
            raise ConfigError(f"suite '{self.name}' needs a budget: steps or minutes, one of the two.")
        if min(self.steps or 1, self.minutes or 1, self.episodes) <= 0:
            raise ConfigError(
                f"suite '{self.name}': steps, minutes and episodes must be more than 0; got steps={self.steps}, "
                f"minutes={self.minutes}, episodes={self.episodes}."
            )


_PUSHT = Task(
    "pusht",
    "pusht",
    Imported(
        "pusht",
        "the 206 human demonstrations published with Diffusion Policy, pusht_cchi_v7_replay.zarr in "
        "https://diffusion-policy.cs.columbia.edu/data/training/pusht.zip",
        mirror=True,
    ),
)
# Levels as in Seo et al., Masked World Models for Visual Control (CoRL 2022), which sorted MetaWorld's 50 tasks.
_METAWORLD = (
    ("drawer-open", "easy"),
    ("window-open", "easy"),
    ("coffee-pull", "medium"),
    ("push-wall", "medium"),
    ("assembly", "hard"),
    ("pick-place", "hard"),
)
# Not minutes: those that a probe measured out beside other work gave cells up to 2.3 times as many steps as others.
_METAWORLD_STEPS = 1500
_STATE = (
    "diffusion_unet_state_small",
    "diffusion_transformer_state_small",
    "beso_state_small",
    "act_state_small",
    "act_jepa_state_small",
)
_IMAGE = ("diffusion_unet_image_cpu", "beso_image_small", "act_image_small", "act_jepa_image_small")
_ACT_AND_JEPA = (("act_jepa_state_small", "act_state_small"),)
_ACT_AND_JEPA_IMAGE = (("act_jepa_image_small", "act_image_small"),)


def _metaworld(cameras: bool) -> tuple[Task, ...]:
    data = Experts(25, cameras=cameras)
    return tuple(Task(name, f"metaworld/{name}-v3", data, level) for name, level in _METAWORLD)


SUITES = (
    Suite(
        "smoke",
        "whether everything works, in a minute on one core; its figures mean nothing",
        (Task("two_way", "two_way", Experts(10)),),
        ("mse_state_small", "diffusion_unet_state_small"),
        episodes=8,
        steps=100,
        options=("--warmup-steps", "20", "--batch-size", "32"),
        videos=1,
    ),
    Suite(
        "two-way",
        "left or right around an obstacle: do policies keep two modes apart",
        (Task("two_way", "two_way", Experts(200)),),
        ("mse_state_small", *_STATE),
        episodes=100,
        minutes=5,
    ),
    Suite(
        "pusht-human-state",
        "PushT from its state, 206 human demonstrations and their mirror images, half an hour on one core each",
        (_PUSHT,),
        _STATE,
        episodes=100,
        minutes=30,
        observations=("agent_position", "block_position", "block_angle"),
        compare=_ACT_AND_JEPA,
    ),
    Suite(
        "pusht-human-image",
        "PushT from images, 206 human demonstrations and their mirror images",
        (_PUSHT,),
        _IMAGE,
        kind="image",
        episodes=100,
        minutes=60,
        compare=_ACT_AND_JEPA_IMAGE,
    ),
    Suite(
        "metaworld-state",
        "six tasks of MetaWorld from the simulator's state, 25 demonstrations each",
        _metaworld(cameras=False),
        _STATE,
        steps=_METAWORLD_STEPS,
        options=("--val-fraction", "0.08"),
        compare=_ACT_AND_JEPA,
    ),
    Suite(
        "metaworld-image",
        "six tasks of MetaWorld from one camera and the robot's own state, 25 demonstrations each",
        _metaworld(cameras=True),
        _IMAGE,
        kind="image",
        steps=_METAWORLD_STEPS,
        options=("--val-fraction", "0.08"),
        compare=_ACT_AND_JEPA_IMAGE,
    ),
)


def suite(name: str) -> Suite:
    """The suite called `name`, or UnknownName with the closest match."""
    for candidate in SUITES:
        if candidate.name == name:
            return candidate
    raise unknown_name("suite", name, [s.name for s in SUITES])
