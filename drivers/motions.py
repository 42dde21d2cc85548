"""Motions that a robot's node makes by itself: targets as a function of time, sent through the gate like any other."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from typing import Protocol

import numpy as np

from robot_learning.clock import NS_PER_S, seconds_to_ns
from robot_learning.drivers.interfaces import EeTarget, JointTarget, Target
from robot_learning.rig_parts.limits import Limits
from robot_learning.rotation import (
    matrix_to_rotation_6d,
    matrix_to_rotation_vector,
    rotation_6d_to_matrix,
    rotation_vector_to_matrix,
)

_SHARE = 0.4  # of the rig's speed and acceleration limits
# Of s(t) = 10 t^3 - 15 t^4 + 6 t^5, from 0 to 1 in unit time.
_PEAK_SPEED, _PEAK_ACCELERATION = 1.875, 10 / math.sqrt(3)


class Motion(Protocol):
    """A motion under way.

    Attributes:
        name: what it is, as status lines say it.
    """

    name: str

    def at(self, now_ns: int) -> Target | None:
        """The target for now; None once the motion is over."""
        ...


class _Smooth:
    """From rest to rest, jerk-free at both ends (Flash and Hogan 1985), and at its goal for `settle_s` more."""

    def __init__(self, start_ns: int, duration_s: float, settle_s: float = 0.2) -> None:
        self._start_ns, self.duration_s = start_ns, max(duration_s, 1e-3)
        self._end_ns = start_ns + seconds_to_ns(self.duration_s + settle_s)

    def share(self, now_ns: int) -> float | None:
        if now_ns > self._end_ns:
            return None
        t = min(max((now_ns - self._start_ns) / NS_PER_S / self.duration_s, 0.0), 1.0)
        return t**3 * (10 - 15 * t + 6 * t * t)


def _duration(distance: float, speed: float, acceleration: float) -> float:
    """How long a smooth motion over `distance` takes within a share of the limits [s]."""
    return max(
        _PEAK_SPEED * distance / (_SHARE * speed), math.sqrt(_PEAK_ACCELERATION * distance / (_SHARE * acceleration))
    )


class EeMotion:
    """The tool along a straight line to a pose."""

    def __init__(self, name: str, limits: Limits, start: EeTarget, goal: EeTarget, start_ns: int) -> None:
        self.name = name
        self._start, self._goal = start, goal
        self._rotation = rotation_6d_to_matrix(start.rotation_6d)
        self._away = goal.position - start.position
        self._turn = matrix_to_rotation_vector(rotation_6d_to_matrix(goal.rotation_6d) @ self._rotation.T)
        metres, radians = float(np.linalg.norm(self._away)), float(np.linalg.norm(self._turn))
        self._smooth = _Smooth(
            start_ns,
            max(
                _duration(metres, limits.ee_speed_max_m_s, limits.ee_acceleration_max_m_s2),
                _duration(radians, limits.ee_angular_speed_max_rad_s, limits.ee_angular_acceleration_max_rad_s2),
            ),
        )
        self.duration_s = self._smooth.duration_s

    def at(self, now_ns: int) -> EeTarget | None:
        share = self._smooth.share(now_ns)
        if share is None:
            return None
        rotation = rotation_vector_to_matrix(share * self._turn) @ self._rotation
        position = self._start.position + share * self._away
        return EeTarget(now_ns, position, matrix_to_rotation_6d(rotation), self._start.gripper_width)


class JointMotion:
    """All joints straight to a configuration."""

    def __init__(self, name: str, limits: Limits, start: JointTarget, goal: np.ndarray, start_ns: int) -> None:
        self.name = name
        self._start, self._away = start, goal - start.position
        bounds = zip(np.abs(self._away), limits.joint_velocity_max, limits.joint_acceleration_max, strict=True)
        self._smooth = _Smooth(start_ns, max(_duration(float(d), v, a) for d, v, a in bounds))
        self.duration_s = self._smooth.duration_s

    def at(self, now_ns: int) -> JointTarget | None:
        share = self._smooth.share(now_ns)
        if share is None:
            return None
        return replace(self._start, stamp_ns=now_ns, position=self._start.position + share * self._away)


class Trajectory:
    """Joints over time, linear between points.

    Args:
        start: where the joints are told to be now.
        points: (P, J), each joint in its unit.
        times_s: (P,) since `start_ns`, increasing.
    """

    name = "trajectory"

    def __init__(self, start: JointTarget, points: np.ndarray, times_s: Sequence[float], start_ns: int) -> None:
        self._start, self._start_ns = start, start_ns
        if times_s[0] > 0:
            times_s, points = [0.0, *times_s], np.vstack([start.position, points])
        self._times, self._points = np.asarray(times_s, dtype=np.float64), points
        self.duration_s = float(self._times[-1])
        self._over = False

    def at(self, now_ns: int) -> JointTarget | None:
        if self._over:
            return None
        t = (now_ns - self._start_ns) / NS_PER_S
        self._over = t >= self.duration_s  # the last point is sent, and then no more
        position = np.array([np.interp(t, self._times, column) for column in self._points.T])
        return replace(self._start, stamp_ns=now_ns, position=position)
