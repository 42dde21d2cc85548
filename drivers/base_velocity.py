"""What a gate does with the velocity of a mobile base."""

from __future__ import annotations

import numpy as np

from robot_learning.drivers.reference import Trip
from robot_learning.rig_parts.limits import BaseLimits

_NAMES = ("speed", "turning")


class BaseVelocity:
    """The base's velocity (2,) [m/s, rad/s], within speed and acceleration of each part.

    Args:
        period_s: between two commands; a longer silence earns no larger change. In the silence beyond a period the
            base is taken to have braked.
    """

    def __init__(self, limits: BaseLimits, period_s: float) -> None:
        self._most = np.array([limits.speed_max_m_s, limits.angular_speed_max_rad_s])
        self._change = np.array([limits.acceleration_max_m_s2, limits.angular_acceleration_max_rad_s2])
        self._period_s = period_s
        self.start()

    def start(self) -> None:
        """Begin at rest."""
        self.velocity = np.zeros(2)

    def propose(self, wanted: np.ndarray, elapsed_s: float) -> tuple[np.ndarray, list[Trip]]:
        """The velocity (2,) nearest to the one wanted, and the limits that hold it back."""
        inside = np.clip(wanted, -self._most, self._most)
        trips = [
            Trip(f"base_{name}", f"the base's {name} was limited", float(value), float(limit))
            for name, value, limit in zip(_NAMES, wanted, inside, strict=True)
            if value != limit
        ]
        step = self._change * min(elapsed_s, self._period_s)
        braked = self._change * max(0.0, elapsed_s - self._period_s)
        velocity = np.sign(self.velocity) * np.maximum(np.abs(self.velocity) - braked, 0.0)
        reached = np.clip(inside, velocity - step, velocity + step)
        trips += [
            Trip(f"base_{name}_acceleration", f"the base's change of {name} was limited", float(value), float(limit))
            for name, value, limit in zip(_NAMES, inside, reached, strict=True)
            if value != limit
        ]
        return reached, trips

    def accept(self, velocity: np.ndarray) -> None:
        """This is what the base was told."""
        self.velocity = velocity
