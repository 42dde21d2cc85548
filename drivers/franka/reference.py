"""What the impedance controller is told at each millisecond: between targets, near the arm, and on the way to rest."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from robot_learning.rotation import matrix_to_rotation_vector, rotation_vector_to_matrix

# Targets jitter by some milliseconds: a segment lasts a little longer than their period, so that the reference does not
# come to rest between two of them. The price is a lag of this share of one period.
STRETCH = 1.1


@dataclass
class Reference:
    """Where the tool should be and how it should move now, in the base frame.

    Attributes:
        position: (3,) [m].
        rotation: (3, 3).
        velocity: (3,) [m/s].
        angular_velocity: (3,) [rad/s].
    """

    position: np.ndarray
    rotation: np.ndarray
    velocity: np.ndarray
    angular_velocity: np.ndarray


class ToolPath:
    """From where the reference is to the newest target, at constant speed, within one period of the targets.

    Args:
        position, rotation: where it begins, at rest.
        period_s: from one target to the next.
    """

    def __init__(self, position: np.ndarray, rotation: np.ndarray, period_s: float) -> None:
        self._seconds = period_s * STRETCH
        self._still = np.zeros(3)
        self._begin, self._step, self._begin_rotation, self._turn = position, self._still, rotation, self._still
        self._start_s = -1e9

    def to(self, position: np.ndarray, rotation: np.ndarray, now_s: float) -> None:
        """A new target."""
        now = self.at(now_s)
        self._begin, self._begin_rotation, self._start_s = now.position, now.rotation, now_s
        self._step = position - now.position
        self._turn = matrix_to_rotation_vector(rotation @ now.rotation.T)

    def at(self, now_s: float) -> Reference:
        """The reference at an instant."""
        share = (now_s - self._start_s) / self._seconds
        if share >= 1:
            rotation = rotation_vector_to_matrix(self._turn) @ self._begin_rotation
            return Reference(self._begin + self._step, rotation, self._still, self._still)
        return Reference(
            self._begin + share * self._step,
            rotation_vector_to_matrix(share * self._turn) @ self._begin_rotation,
            self._step / self._seconds,
            self._turn / self._seconds,
        )


class JointPath:
    """The same for joints (7,) [rad]."""

    def __init__(self, position: np.ndarray, period_s: float) -> None:
        self._seconds = period_s * STRETCH
        self._still = np.zeros_like(position)
        self._begin, self._step, self._start_s = position, self._still, -1e9

    def to(self, position: np.ndarray, now_s: float) -> None:
        """A new target."""
        begin, _ = self.at(now_s)
        self._begin, self._step, self._start_s = begin, position - begin, now_s

    def at(self, now_s: float) -> tuple[np.ndarray, np.ndarray]:
        """Positions and velocities at an instant."""
        share = (now_s - self._start_s) / self._seconds
        if share >= 1:
            return self._begin + self._step, self._still
        return self._begin + share * self._step, self._step / self._seconds


class Coming:
    """To rest with constant deceleration from what was measured: what a stop does, as in `drivers/braking.py`.

    Args:
        position, rotation, velocity, angular_velocity: measured.
        start_s: now.
        duration_s: how long it takes.
    """

    def __init__(self, measured: Reference, start_s: float, duration_s: float) -> None:
        self._measured, self._start_s, self._duration_s = measured, start_s, duration_s

    def at(self, now_s: float) -> Reference:
        """The reference at an instant."""
        m, share = self._measured, min(max((now_s - self._start_s) / self._duration_s, 0.0), 1.0)
        moved_s = self._duration_s * (share - share * share / 2)  # of the measured velocity
        return Reference(
            m.position + m.velocity * moved_s,
            rotation_vector_to_matrix(m.angular_velocity * moved_s) @ m.rotation,
            m.velocity * (1 - share),
            m.angular_velocity * (1 - share),
        )


def near(
    reference: np.ndarray, velocity: np.ndarray, measured: np.ndarray, negative: np.ndarray, positive: np.ndarray
) -> tuple[np.ndarray, np.ndarray, bool]:
    """A reference and its velocity, no farther from what was measured than the clips; whether that changed it.

    An axis that is clipped has no velocity: the controller's damping would push with it, and then clip times stiffness
    would not bound the force.
    """
    error = reference - measured
    inside = np.clip(error, -negative, positive)
    clipped = inside != error
    if not clipped.any():
        return reference, velocity, False
    return np.where(clipped, measured + inside, reference), np.where(clipped, 0.0, velocity), True


@dataclass(frozen=True)
class Clips:
    """How far a tool reference may be from the measured pose; (3,) each [m, rad], as positive numbers."""

    negative_m: np.ndarray
    positive_m: np.ndarray
    negative_rad: np.ndarray
    positive_rad: np.ndarray

    def near(self, reference: Reference, position: np.ndarray, rotation: np.ndarray) -> tuple[Reference, bool]:
        """The reference, held near a measured pose; whether that changed it."""
        p, v, far = near(reference.position, reference.velocity, position, self.negative_m, self.positive_m)
        turn = matrix_to_rotation_vector(reference.rotation @ rotation.T)
        zero = np.zeros(3)
        r, w, turned = near(turn, reference.angular_velocity, zero, self.negative_rad, self.positive_rad)
        if not (far or turned):
            return reference, False
        R = rotation_vector_to_matrix(r) @ rotation if turned else reference.rotation
        return Reference(p, R, v, w), True
