"""What the base is told over time: the velocity asked for, and rest where nobody asks any more."""

from __future__ import annotations

import numpy as np

from robot_learning.clock import NS_PER_S, seconds_to_ns
from robot_learning.rig_parts.limits import BaseLimits

_SLACK = 1.2  # the gate keeps to the limit itself; its instants and ours differ a little


class BaseDrive:
    """The base's velocity, which ends by itself.

    Stretch's wheels follow a velocity at once (`use_vel_traj: 0` in its parameters), so the way to rest is a ramp of
    ours, within the rig's accelerations; and after a time-out, of which the gate knows nothing, the way back, too.

    Args:
        timeout_s: the last velocity holds for so long.
        period_s: between two velocities.

    Attributes:
        velocity: (forward [m/s], turning left [rad/s]) to be told now.
        timeouts: how often nobody said anything for too long while it drove.
    """

    def __init__(self, limits: BaseLimits | None, timeout_s: float, period_s: float) -> None:
        most = (limits.acceleration_max_m_s2, limits.angular_acceleration_max_rad_s2) if limits else (1.0, 1.0)
        self._deceleration, self._period_s = np.array(most), period_s
        self._timeout_ns = seconds_to_ns(timeout_s)
        self.velocity = (0.0, 0.0)
        self.timeouts = 0
        self._driven_ns = self._told_ns = 0
        self._resting = True

    def drive(self, velocity: np.ndarray, now_ns: int) -> None:
        """A velocity (2,) that passed the gate."""
        elapsed_s = min(max((now_ns - self._told_ns) / NS_PER_S, self._period_s), 2 * self._period_s)
        step = _SLACK * self._deceleration * elapsed_s
        forward, turn = np.clip(velocity, self.velocity - step, self.velocity + step)
        self.velocity = (float(forward), float(turn))
        self._driven_ns = self._told_ns = now_ns
        self._resting = False

    def rest(self, now_ns: int) -> None:
        """Begin to come to rest."""
        if not self._resting:
            self._resting, self._told_ns = True, now_ns

    def due(self, now_ns: int) -> bool:
        """Go on with the way to rest, if there is one; True where the base must be told."""
        if not self._resting and now_ns - self._driven_ns > self._timeout_ns:
            self.timeouts += any(self.velocity)
            self._resting, self._told_ns = True, self._driven_ns + self._timeout_ns
        if not self._resting or not any(self.velocity):
            return False
        # Both parts shrink alike, so that a curve stays the same curve.
        velocity = np.array(self.velocity)
        slowest = np.max(np.abs(velocity) / self._deceleration)
        share = max(0.0, 1 - (now_ns - self._told_ns) / NS_PER_S / slowest)
        self._told_ns = now_ns
        self.velocity = (float(velocity[0] * share), float(velocity[1] * share))
        return True
