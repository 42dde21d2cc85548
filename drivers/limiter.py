"""Speed and acceleration limits on a reference that follows a goal, without overshoot.

One command moves the reference by `step = velocity * dt`. `dt` is the time since the last command,
but never more than one period: the robot takes a period to travel a step, so a longer silence earns
no longer step. In the silence beyond a period the reference is taken to have braked.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from robot_learning.rotation import (
    matrix_to_rotation_6d,
    matrix_to_rotation_vector,
    rotation_6d_to_matrix,
    rotation_vector_to_matrix,
)

_REACHED = 1e-9  # [m or rad] below what any robot resolves
_SLACK = 1 + 1e-9
_BISECTIONS = 30


@dataclass(frozen=True)
class MotionLimit:
    """What a velocity vector must keep to.

    Attributes:
        speed: greatest size of the velocity, () or (J,).
        acceleration: greatest size of its change per second, () or (J,).
        size: of a vector: its length, kept as (1,), or each component's own, (J,).
    """

    speed: float | np.ndarray
    acceleration: float | np.ndarray
    size: Callable[[np.ndarray], np.ndarray]

    @classmethod
    def of_vector(cls, speed: float, acceleration: float) -> MotionLimit:
        """Limits on the length of a vector, whatever its direction."""
        return cls(speed, acceleration, lambda x: np.array([math.sqrt(x @ x)]))

    @classmethod
    def of_components(cls, speed: np.ndarray, acceleration: np.ndarray) -> MotionLimit:
        """Each component has its own limits."""
        return cls(speed, acceleration, np.abs)

    def shorten(self, x: np.ndarray, longest: float | np.ndarray) -> np.ndarray:
        """`x`, no longer than `longest`, in its own direction."""
        return x * np.minimum(1.0, longest / np.maximum(self.size(x), 1e-300))

    def brake(self, velocity: np.ndarray, dt: float) -> np.ndarray:
        """The velocity after braking as hard as allowed for `dt` [s]."""
        return velocity - self.shorten(velocity, self.acceleration * dt)

    def stopping(self, velocity: np.ndarray) -> np.ndarray:
        """The displacement until braking brings `velocity` to rest: v |v| / 2a."""
        return velocity * self.size(velocity) / (2 * self.acceleration)


@dataclass(frozen=True)
class Step:
    """One move of the reference: by how far, how fast, what the goal violated, whether it is reached."""

    displacement: np.ndarray
    velocity: np.ndarray
    violations: tuple[str, ...]
    reached: bool


def limit_step(
    limit: MotionLimit,
    velocity: np.ndarray,
    to_goal: np.ndarray,
    to_low: np.ndarray,
    to_high: np.ndarray,
    dt: float,
    follows: bool,
    goal_moved: bool,
) -> Step:
    """The next step of a reference at the origin, with `velocity`, towards `to_goal`.

    Keeps speed and acceleration, and at all times room to stop within [to_low, to_high]: then
    braking is always an answer, so limits and bounds never contradict each other.

    A goal within limits is taken as it is. One that was not is approached at the greatest s with
    s dt + s^2 / 2a <= distance, from which the reference can stop at the goal whatever the
    intervals to come; a moving goal is joined once stopping takes one interval.

    Args:
        follows: whether the last step reached its goal.
        goal_moved: whether this goal differs from the last.
    """

    def has_room(v: np.ndarray) -> np.ndarray:
        stop = v * dt + limit.stopping(v)
        inside = (stop >= to_low - _REACHED) & (stop <= to_high + _REACHED)
        return inside if limit.size(v).shape == v.shape else np.full(1, inside.all())

    direct = to_goal / dt
    tests = {
        "velocity": limit.size(direct) <= limit.speed * _SLACK,
        "acceleration": limit.size(direct - velocity) <= limit.acceleration * dt * _SLACK + 1e-12,
        "braking": has_room(direct),
    }
    violations = tuple(name for name, passed in tests.items() if not np.all(passed))
    joins = follows or (goal_moved and bool(np.all(limit.size(direct) <= limit.acceleration * dt)))
    if not violations and joins:
        return Step(to_goal, direct, (), True)

    distance = limit.size(to_goal)
    a = limit.acceleration
    s = np.minimum(limit.speed, a * (np.sqrt(dt * dt + 2 * distance / a) - dt))
    wanted = to_goal * (s / np.maximum(distance, 1e-300))
    candidate = velocity + limit.shorten(wanted - velocity, a * dt)
    if not np.all(has_room(candidate)):
        safe = limit.brake(velocity, dt)
        low, high = np.zeros_like(distance), np.ones_like(distance)
        for _ in range(_BISECTIONS):
            middle = (low + high) / 2
            fits = has_room(safe + middle * (candidate - safe))
            low, high = np.where(fits, middle, low), np.where(fits, high, middle)
        candidate = safe + low * (candidate - safe)
    displacement = np.clip(candidate * dt, np.minimum(to_low, 0), np.maximum(to_high, 0))
    reached = bool(np.all(np.abs(displacement - to_goal) < _REACHED))
    return Step(displacement, candidate, violations or ("acceleration",), reached)


class VectorLimiter:
    """A limited reference in a vector space: the tool's position (3,) [m] or the joints (J,) [rad]."""

    def __init__(self, limit: MotionLimit, low: np.ndarray, high: np.ndarray, period_s: float) -> None:
        self._limit, self._low, self._high, self._period_s = limit, low, high, period_s
        self.start(np.clip(np.zeros_like(low), low, high))

    def start(self, position: np.ndarray) -> None:
        """Begin at rest."""
        self.position = position
        self.velocity = np.zeros_like(position)
        self._goal, self._follows = position, True

    def propose(self, goal: np.ndarray, elapsed_s: float) -> Step:
        """The step towards `goal` if it is commanded now, `elapsed_s` after the last one."""
        dt = min(elapsed_s, self._period_s)
        velocity = self._limit.brake(self.velocity, elapsed_s - dt)
        moved = not np.array_equal(goal, self._goal)
        p = self.position
        return limit_step(self._limit, velocity, goal - p, self._low - p, self._high - p, dt, self._follows, moved)

    def accept(self, step: Step, goal: np.ndarray) -> None:
        """Move the reference by a proposed step."""
        self.position = goal if step.reached else np.clip(self.position + step.displacement, self._low, self._high)
        self.velocity, self._goal, self._follows = step.velocity, goal, step.reached


class RotationLimiter:
    """A limited reference rotation (3, 3); velocities are angular, in the base frame [rad/s]."""

    def __init__(self, limit: MotionLimit, period_s: float) -> None:
        self._limit, self._period_s = limit, period_s
        self._bound = np.full(3, np.inf)
        self.start(np.eye(3))

    def start(self, rotation: np.ndarray) -> None:
        """Begin at rest."""
        self.rotation = rotation
        self.velocity = np.zeros(3)
        self._goal, self._follows = rotation, True

    def propose(self, goal: np.ndarray, elapsed_s: float) -> Step:
        """The step towards the rotation `goal` (3, 3); its displacement is a rotation vector."""
        dt = min(elapsed_s, self._period_s)
        velocity = self._limit.brake(self.velocity, elapsed_s - dt)
        moved = not np.array_equal(goal, self._goal)
        to_goal = matrix_to_rotation_vector(goal @ self.rotation.T)
        return limit_step(self._limit, velocity, to_goal, -self._bound, self._bound, dt, self._follows, moved)

    def accept(self, step: Step, goal: np.ndarray) -> None:
        """Turn the reference by a proposed step."""
        self.rotation = goal if step.reached else turn(self.rotation, step.displacement)
        self.velocity, self._goal, self._follows = step.velocity, goal, step.reached


def turn(rotation: np.ndarray, by: np.ndarray) -> np.ndarray:
    """`rotation` (3, 3) turned by the rotation vector `by` (3,) of the base frame, orthonormal again."""
    return rotation_6d_to_matrix(matrix_to_rotation_6d(rotation_vector_to_matrix(by) @ rotation))
