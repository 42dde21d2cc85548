"""What input devices have in common."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Protocol

import numpy as np

from robot_learning.errors import UserError

# What a device may ask for beside motion. Those of the recorder go to it as they are.
RECORDER_WORDS = ("start", "success", "failure", "discard", "mark")
SERVICE_WORDS = {  # word: the service that it calls
    "stop": "robot/stop",
    "recover": "robot/recover",
    "act": "policy/start",
    "pause": "policy/pause",
    "resume": "policy/resume",
    "take_over": "policy/take_over",
    "hand_back": "policy/hand_back",
}
MOTION_WORDS = ("gripper", "mode", "joint_up", "joint_down", "faster", "slower")


class DeviceLost(UserError):
    """The device is gone: unplugged, or its terminal closed."""


@dataclass(frozen=True)
class Hands:
    """What an operator's hands do at one instant.

    Attributes:
        axes: (6,) each in [-1, 1]: along x, y, z and about x, y, z of the robot's base frame.
        dead_man: whether the dead-man switch is held.
        words: what was pressed since the last reading, of the words above, oldest first.
    """

    axes: np.ndarray = field(default_factory=lambda: np.zeros(6))
    dead_man: bool = False
    words: tuple[str, ...] = ()


class Device(Protocol):
    """An input device. It knows nothing of the robot.

    Attributes:
        help: what does what, for the operator.
    """

    help: str

    def open(self) -> None:
        """Begin; raises UserError where there is no such device, and what to do."""
        ...

    def read(self, now_ns: int) -> Hands:
        """The hands as they are at `now_ns`; never waits. Raises DeviceLost once the device is gone."""
        ...

    def close(self) -> None:
        """Give the device back; any number of times."""
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
