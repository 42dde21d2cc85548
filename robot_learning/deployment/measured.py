"""The robot's state put together from the topics it comes in."""

from __future__ import annotations

from typing import Any

import numpy as np

from robot_learning.drivers.interfaces import RobotState


class Measured:
    """The newest of each part; complete once every part has come."""

    def __init__(self) -> None:
        self._parts: dict[str, tuple[int, dict[str, Any]]] = {}

    def clear(self) -> None:
        """Forget everything."""
        self._parts.clear()

    def joints(self, stamp_ns: int, position: np.ndarray, velocity: np.ndarray, effort: np.ndarray | None) -> None:
        """Each (J,), in the joints' units; effort None where it is not measured."""
        parts = {"joint_position": position, "joint_velocity": velocity, "joint_effort": effort}
        self._parts["joints"] = stamp_ns, parts

    def pose(self, stamp_ns: int, position: np.ndarray, orientation: np.ndarray) -> None:
        """Tool position (3,) [m] and orientation (4,), scalar first, in the base frame."""
        self._parts["pose"] = stamp_ns, {"ee_position": position, "ee_orientation": orientation}

    def gripper(self, stamp_ns: int, width: np.ndarray) -> None:
        """(1,) [m]."""
        self._parts["gripper"] = stamp_ns, {"gripper_width": width}

    @property
    def missing(self) -> list[str]:
        """Parts that have not come yet."""
        return [name for name in ("joints", "pose", "gripper") if name not in self._parts]

    @property
    def stamp_ns(self) -> int:
        """When the oldest part was measured [ns]; 0 while one is missing."""
        return 0 if self.missing else min(stamp for stamp, _ in self._parts.values())

    @property
    def state(self) -> RobotState | None:
        """All of it, stamped as its oldest part; None while a part is missing."""
        if self.missing:
            return None
        values = {name: value for _, part in self._parts.values() for name, value in part.items()}
        return RobotState(stamp_ns=self.stamp_ns, **values)
