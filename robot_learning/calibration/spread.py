"""Whether poses differ enough to tell where a camera is, and what is missing where they do not.

Hand-eye calibration needs turns about two axes that are not parallel; its error falls with their angles and with the
angle between the axes (Tsai and Lenz, IEEE Trans. Robotics and Automation 1989, sec. III).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from robot_learning.calibration.poses import turns

POSES_MIN = 8
POSES_GOOD = 15
TURN_MIN_DEG = 20.0  # between the two poses farthest apart
SECOND_MIN_DEG = 5.0  # standard deviation of the turns about the second axis
_NAMES = ("x", "y", "z")


@dataclass(frozen=True)
class Spread:
    """How far poses are apart.

    Attributes:
        poses: how many.
        turn_deg: the largest turn between two of them.
        axes_deg: (3,) standard deviations of the turns along their principal axes, the largest first.
        weak_axis: the axis of the tool about which they turn least of those two that are needed.
        shift_m: diagonal of the box around the tool's positions.
    """

    poses: int
    turn_deg: float
    axes_deg: tuple[float, float, float]
    weak_axis: str
    shift_m: float

    def text(self) -> str:
        """For the operator, in one line."""
        first, second, third = self.axes_deg
        return (
            f"{self.poses} poses, turned by up to {self.turn_deg:.0f} degrees "
            f"({first:.0f}, {second:.0f}, {third:.0f} about three axes), {100 * self.shift_m:.0f} cm apart"
        )

    def missing(self) -> str:
        """What must be added before a result can be trusted; empty: nothing."""
        needs = []
        if self.poses < POSES_MIN:
            needs.append(
                f"{self.poses} poses are too few: at least {POSES_MIN}, better {POSES_GOOD}; take "
                f"{POSES_MIN - self.poses} more"
            )
        if self.poses >= 2 and self.turn_deg < TURN_MIN_DEG:
            needs.append(
                f"the tool turned by {self.turn_deg:.1f} degrees at most, {TURN_MIN_DEG:g} are needed: tilt it by 15 "
                "degrees or more to each side"
            )
        elif self.poses >= 2 and self.axes_deg[1] < SECOND_MIN_DEG:
            needs.append(
                f"the tool turned about nearly one axis only ({self.axes_deg[1]:.1f} degrees about the second, "
                f"{SECOND_MIN_DEG:g} are needed): add poses turned about the tool's {self.weak_axis} axis by 15 "
                "degrees or more to each side"
            )
        return "; ".join(needs)


def spread_of(tools: Sequence[np.ndarray]) -> Spread:
    """Of tool poses (4, 4)."""
    if len(tools) < 2:
        return Spread(len(tools), 0.0, (0.0, 0.0, 0.0), "x", 0.0)
    T = np.stack(tools)
    away = np.degrees(turns(T[:, :3, :3]))
    relative = np.einsum("aji,bjk->abik", T[:, :3, :3], T[:, :3, :3])
    cosine = (np.trace(relative, axis1=2, axis2=3) - 1) / 2
    _, s, axes = np.linalg.svd(away - away.mean(0), full_matrices=True)
    deviations = np.zeros(3)
    deviations[: len(s)] = s / np.sqrt(len(T))
    weak = _NAMES[int(np.argmax(np.abs(axes[1])))] if deviations[0] > 1e-6 else "x"
    box = T[:, :3, 3].max(0) - T[:, :3, 3].min(0)
    turn = float(np.degrees(np.arccos(np.clip(cosine.min(), -1, 1))))
    first, second, third = deviations.tolist()
    return Spread(len(T), turn, (first, second, third), weak, float(np.linalg.norm(box)))
