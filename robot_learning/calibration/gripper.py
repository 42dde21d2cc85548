"""From a step of the commanded width to the first motion of the fingers."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from robot_learning.calibration.camera import CalibrationError

STEP_MIN = 0.1  # share of the commanded range, within STEP_WITHIN_S, that is a step
STEP_WITHIN_S = 0.06
MOTION_MIN_M = 0.005
MOTIONS_MIN = 3
DELAY_MAX_S = 1.0
SPREAD_MAX_S = 0.05
_BETWEEN = (0.15, 0.6)  # share of a motion that is nearly even, whose line is drawn back to its beginning


@dataclass(frozen=True)
class GripperMotion:
    """One motion: when it was commanded, how much later it began, how fast it went; + opens."""

    at_s: float
    delay_s: float
    speed_m_s: float


@dataclass(frozen=True)
class Gripper:
    """What :func:`gripper_delay` found: medians, and the standard deviation about them."""

    open_delay_s: float | None
    close_delay_s: float | None
    spread_s: float
    speed_m_s: float
    motions: tuple[GripperMotion, ...] = field(repr=False)


def gripper_delay(command_s: np.ndarray, commanded: np.ndarray, at_s: np.ndarray, width: np.ndarray) -> Gripper:
    """Of a gripper that was told to open and close some times.

    Args:
        command_s, commanded: (N,) when, and the width that was told [m].
        at_s, width: (M,) and the measured width [m].

    Raises:
        CalibrationError: too few steps or motions, or delays that differ too much.
    """
    steps = _steps(command_s, commanded)
    motions = []
    for i, (begin, sign) in enumerate(steps):
        end = min(begin + DELAY_MAX_S + 1.0, steps[i + 1][0] if i + 1 < len(steps) else np.inf)
        inside = (at_s >= begin - 0.1) & (at_s <= end)
        if (motion := _motion(at_s[inside], sign * width[inside], begin)) is not None:
            motions.append(GripperMotion(begin, motion[0], sign * motion[1]))
    if len(motions) < MOTIONS_MIN:
        raise CalibrationError(
            f"{len(steps)} steps were commanded and {len(motions)} motions of at least {1e3 * MOTION_MIN_M:g} mm seen, "
            f"{MOTIONS_MIN} are needed: open and close the gripper some times, with a second between."
        )
    opening, closing = ([m.delay_s for m in motions if (m.speed_m_s > 0) == up] for up in (True, False))
    away = [d - np.median(part) for part in (opening, closing) for d in part]
    spread = float(np.sqrt(np.sum(np.square(away)) / max(1, len(motions) - bool(opening) - bool(closing))))
    if spread > SPREAD_MAX_S:
        raise CalibrationError(
            f"the delays of {len(motions)} motions differ by {1e3 * spread:.0f} ms (standard deviation, at most "
            f"{1e3 * SPREAD_MAX_S:g}): did the fingers meet something, or was the gripper still busy? Leave a second "
            "between the commands."
        )
    return Gripper(
        float(np.median(opening)) if opening else None,
        float(np.median(closing)) if closing else None,
        spread,
        float(np.median([abs(m.speed_m_s) for m in motions])),
        tuple(motions),
    )


def _steps(times: np.ndarray, commanded: np.ndarray) -> list[tuple[float, int]]:
    """When the command changed at once, and whether it rose or fell."""
    extent = float(np.ptp(commanded)) if len(commanded) else 0.0
    if extent < MOTION_MIN_M:
        raise CalibrationError(
            f"the commanded width changed by {1e3 * extent:.1f} mm, {1e3 * MOTION_MIN_M:g} are needed: open and close "
            "the gripper while it records."
        )
    found: list[tuple[float, int]] = []
    for i in range(1, len(commanded)):
        change = commanded[i] - commanded[i - 1]
        sign = 1 if change > 0 else -1
        quick = times[i] - times[i - 1] <= STEP_WITHIN_S or abs(change) > 0.5 * extent
        again = found and found[-1][1] == sign and times[i] - found[-1][0] < STEP_WITHIN_S
        if abs(change) >= STEP_MIN * extent and quick and not again:
            found.append((float(times[i]), sign))
    return found


def _motion(times: np.ndarray, width: np.ndarray, begin: float) -> tuple[float, float] | None:
    """Delay [s] and speed [m/s] of a rising width; None where it hardly rose."""
    before = times <= begin
    if not before.any() or before.all():
        return None
    start = float(np.median(width[before]))
    end = float(width[-3:].mean())
    if end - start < MOTION_MIN_M:
        return None
    low, high = (start + share * (end - start) for share in _BETWEEN)
    first = int(np.argmax(width > high))
    last = first - int(np.argmax(width[:first][::-1] < low)) if first else 0
    rise = slice(max(0, last - 1), first + 1)
    if len(times[rise]) < 2:
        return None
    slope, offset = np.polyfit(times[rise], width[rise], 1)
    if slope <= 0:
        return None
    return float((start - offset) / slope - begin), float(slope)
