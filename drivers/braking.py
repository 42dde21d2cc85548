"""Coming to rest from a measured motion: what every position-controlled driver does in `stop`."""

from __future__ import annotations

import numpy as np

from robot_learning.clock import NS_PER_S, seconds_to_ns


class Braking:
    """A reference that starts at the measured position and velocity and stops with constant deceleration.

    q(t) = q0 + v0 (t - t^2 / 2T), so q ends at q0 + v0 T / 2. Never zeros, and never the old reference:
    the robot may be far from where it was told to be, and that must not become a jump.

    Args:
        position: measured (J,) [rad].
        velocity: measured (J,) [rad/s].
        start_ns: now [ns].
        duration_s: T [s].
    """

    def __init__(self, position: np.ndarray, velocity: np.ndarray, start_ns: int, duration_s: float) -> None:
        self._position, self._velocity = position.copy(), velocity.copy()
        self._start_ns, self._duration_s = start_ns, duration_s
        self.end_ns = start_ns + seconds_to_ns(duration_s)

    def at(self, now_ns: int) -> tuple[np.ndarray, np.ndarray]:
        """Position and velocity of the reference at `now_ns`; after `end_ns` it stands."""
        t = min(max((now_ns - self._start_ns) / NS_PER_S, 0.0), self._duration_s)
        position = self._position + self._velocity * (t - t * t / (2 * self._duration_s))
        return position, self._velocity * (1 - t / self._duration_s)
