"""What a rig's episodes hold: its own streams, and those of its task where the rig is simulated."""

from __future__ import annotations

from typing import TYPE_CHECKING

from robot_learning.contract import Contract, StreamSpec
from robot_learning.rig import AlignmentConfig, Rig

if TYPE_CHECKING:
    from robot_learning.sim.tabletop import Task


def extra_streams(rig: Rig, task: Task) -> tuple[tuple[StreamSpec, AlignmentConfig], ...]:
    """The streams that a task adds to a rig's, sampled with the robot's state."""
    rate = rig.robot.state_rate_hz
    return tuple(
        (
            StreamSpec(name=name, shape=s.shape, dtype="float64", unit=s.unit, rate_hz=rate, frame="base"),
            AlignmentConfig(method=s.alignment, max_age_s=max(0.05, 2 / rate)),
        )
        for name, s in task.streams.items()
    )


def station_contract(rig: Rig) -> Contract:
    """The contract of everything that a rig's nodes publish."""
    task = task_of(rig)
    return rig.contract(extra_streams(rig, task) if task else ())


def object_streams(rig: Rig) -> tuple[str, ...]:
    """The streams of a simulated rig's task; none for a real one."""
    task = task_of(rig)
    return tuple(task.streams) if task else ()


def task_text(rig: Rig) -> str:
    """What a simulated rig's task is, as one would tell a person; empty for a real one."""
    task = task_of(rig)
    return task.text if task else ""


def task_of(rig: Rig) -> Task | None:
    """A simulated rig's task; None for a real one."""
    if rig.simulation is None:
        return None
    from robot_learning.sim.kinds import kind_of

    return kind_of(rig).task(rig.simulation.task, rig.simulation.spread)
