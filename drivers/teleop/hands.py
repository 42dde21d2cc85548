"""What input devices have in common: what they read, and what that means."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol, runtime_checkable

import numpy as np

from robot_learning.errors import UserError


class DeviceLost(UserError):
    """The device is gone: unplugged, or its terminal closed."""


@dataclass(frozen=True)
class Reading:
    """A device at one instant, by its own names (`rig_parts/teleop_inputs.py`).

    Attributes:
        axes: each in [-1, 1], triggers in [0, 1]; those not named are at rest.
        held: buttons that are down.
        pressed: buttons that went down since the last reading, oldest first.
        touched: whether the device's own dead-man is held, where it has one: a motion key, a touched screen.
    """

    axes: Mapping[str, float] = field(default_factory=dict)
    held: frozenset[str] = frozenset()
    pressed: tuple[str, ...] = ()
    touched: bool = False


@dataclass(frozen=True)
class Hands:
    """What an operator's hands ask for at one instant.

    Attributes:
        motions: share of the full speed in [-1, 1], dead zone and response curve applied; those not named are at
            rest. Names are those of `teleop_inputs.MOTIONS` and of the rig's joints.
        dead_man: whether the dead-man switch is held.
        words: what was asked for since the last reading, of `teleop_inputs.WORDS`, oldest first.
        closed: how far the gripper is to be closed, 0 to 1, where it follows a trigger.
    """

    motions: Mapping[str, float] = field(default_factory=dict)
    dead_man: bool = False
    words: tuple[str, ...] = ()
    closed: float | None = None

    def of(self, names: Collection[str]) -> np.ndarray:
        """The motions of these names, (len(names),)."""
        return np.array([self.motions.get(name, 0.0) for name in names], dtype=float)


class Device(Protocol):
    """An input device. It knows nothing of the robot."""

    def open(self) -> Collection[str]:
        """Begin, and return the buttons that there are; raises UserError with what to do where there is no device."""
        ...

    def read(self, now_ns: int) -> Reading:
        """The device as it is at `now_ns`; never waits. Raises DeviceLost once it is gone."""
        ...

    def close(self) -> None:
        """Give the device back; any number of times."""
        ...


@runtime_checkable
class Screen(Protocol):
    """A device that shows its operator what goes on."""

    def address(self) -> str:
        """How to get there."""
        ...

    def show(self, told: Mapping[str, Any]) -> None:
        """What is true now: `mode`, `robot`, `recording`, `note`, `speed`; replaces what was shown under that name."""
        ...


def shape(axes: np.ndarray, dead_zone: float, response: float) -> np.ndarray:
    """Axes in [-1, 1] as a person feels them: still within the dead zone, finer near rest.

    Continuous: just outside the dead zone the output begins at zero.

    Args:
        dead_zone: share of the travel that counts as rest, in [0, 1).
        response: exponent of the curve; 1 is straight.
    """
    travel = np.clip((np.abs(axes) - dead_zone) / (1 - dead_zone), 0.0, 1.0)
    return np.sign(axes) * travel**response
