"""How late a camera's stamps are, from pictures taken while the robot moves to and fro.

Wherever the camera is, what it sees is a function of where the robot is: the same place on the way there and on the way
back gives the same picture, if both are compared at the right time. So the delay is the one for which a smooth function
of the robot's motion explains the pictures best; neither a board nor the camera's pose is needed, and because the
robot's motion is known between frames, the result is finer than one.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from itertools import chain, combinations_with_replacement

import numpy as np

from robot_learning.calibration.board import cv2_module
from robot_learning.calibration.camera import CalibrationError

RANGE_S = (-0.25, 0.5)
DURATION_MIN_S = 4.0
FRAMES_MIN = 40
MOTION_MIN = 0.03  # peak to peak, of the joints together [rad or m]
REVERSALS_MIN = 4
EXPLAINED_MIN = 0.3
ERROR_MAX_S = 0.005
_GRID_S = 0.005
_WIDTH_PX = 48
_BLUR_PX = 1.5
_COMPONENTS = 12
_BENDS = 8  # of the function of a motion along one path
_NEARLY_ALL = 0.98  # share of the motion along its main directions that is enough
_DEGREES = {2: 6, 3: 4}  # of the function of a motion along two or three directions
_PARTS = 5
_RIVAL = 0.1  # another minimum so near the best, as a share of the range, makes it ambiguous


@dataclass(frozen=True)
class Latency:
    """What :func:`camera_latency` found.

    Attributes:
        latency_s: a picture stamped t shows the robot of t - latency_s.
        error_s: standard error, by the jackknife over parts of the time.
        explained: share of the pictures' change that the motion explains.
        curve: (n, 2) each delay that was tried [s] and the share that it leaves unexplained.
    """

    latency_s: float
    error_s: float
    explained: float
    curve: np.ndarray


def thumbnails(pictures: Iterable[np.ndarray]) -> np.ndarray:
    """(N, h, w) float32: small, grey and soft, so that a pixel changes smoothly with what moves."""
    cv2 = cv2_module()
    made = []
    for picture in pictures:
        grey = cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY) if picture.ndim == 3 else picture
        height = max(8, round(_WIDTH_PX * grey.shape[0] / grey.shape[1]))
        small = cv2.resize(grey, (_WIDTH_PX, height), interpolation=cv2.INTER_AREA).astype(np.float32)
        made.append(cv2.GaussianBlur(small, (0, 0), _BLUR_PX))
    return np.stack(made)


def camera_latency(
    small: np.ndarray, stamps_s: np.ndarray, motion: np.ndarray, times_s: np.ndarray,
    range_s: tuple[float, float] = RANGE_S,
) -> Latency:  # fmt: skip
    """The delay between pictures and the robot's measured motion.

    Args:
        small: (N, h, w) of :func:`thumbnails`.
        stamps_s: (N,) the pictures' stamps.
        motion: (M, D) measured joints, say.
        times_s: (M,) their stamps.

    Raises:
        CalibrationError: too short, too little motion, pictures that don't follow it, or two delays that fit alike.
    """
    inside = (stamps_s - range_s[1] >= times_s[0]) & (stamps_s - range_s[0] <= times_s[-1])
    stamps, frames = stamps_s[inside], small[inside].reshape(int(inside.sum()), -1)
    _check_motion(stamps, motion, times_s)
    path = _main_directions(motion)
    pictures = _main_components(frames)

    def unexplained(delay: float, keep: np.ndarray | slice = slice(None)) -> float:
        basis = _basis(_interpolated(path, times_s, stamps[keep] - delay), path)
        seen = pictures[keep] - pictures[keep].mean(0)
        fit = basis @ np.linalg.lstsq(basis, seen, rcond=None)[0]
        return float(((seen - fit) ** 2).sum() / (seen**2).sum())

    delays = np.arange(range_s[0], range_s[1] + _GRID_S / 2, _GRID_S)
    costs = np.array([unexplained(d) for d in delays])
    best = int(np.argmin(costs))
    _check_curve(delays, costs, best)
    latency = _minimum(unexplained, float(delays[best]))
    part = np.arange(len(stamps)) * _PARTS // len(stamps)
    left_out = [_minimum(lambda d, k=k: unexplained(d, part != k), latency) for k in range(_PARTS)]  # type: ignore[misc]
    error = float(np.sqrt((_PARTS - 1) / _PARTS * np.sum((np.array(left_out) - latency) ** 2)))
    if error > ERROR_MAX_S:
        raise CalibrationError(
            f"the latency is {1e3 * latency:.0f} ms, but known to {1e3 * error:.0f} ms only (at most "
            f"{1e3 * ERROR_MAX_S:g}): move for longer, quicker, and with more of the picture changing."
        )
    return Latency(latency, error, 1 - unexplained(latency), np.column_stack([delays, costs]))


def _check_motion(stamps: np.ndarray, motion: np.ndarray, times: np.ndarray) -> None:
    duration = float(stamps[-1] - stamps[0]) if len(stamps) else 0.0
    if len(stamps) < FRAMES_MIN or duration < DURATION_MIN_S:
        raise CalibrationError(
            f"{len(stamps)} pictures over {duration:.1f} s are too few: at least {FRAMES_MIN} over "
            f"{DURATION_MIN_S:g} s, while the robot moves to and fro."
        )
    along = _main_directions(motion)[:, 0]
    extent = float(np.ptp(along))
    if extent < MOTION_MIN:
        raise CalibrationError(
            f"the robot moved by {extent:.3f} rad or m in all, {MOTION_MIN} are needed: move it to and fro by 10 cm, "
            "once in 2 s or so."
        )
    # A turning point counts where the motion then goes back by a fifth of its extent.
    reversals, last, direction = 0, along[0], 0
    for value in along:
        if direction >= 0 and value < last - 0.2 * extent:
            reversals, last, direction = reversals + (direction > 0), value, -1
        elif direction <= 0 and value > last + 0.2 * extent:
            reversals, last, direction = reversals + (direction < 0), value, 1
        elif direction * (value - last) > 0:
            last = value
    if reversals < REVERSALS_MIN:
        raise CalibrationError(
            f"the robot turned back {reversals} times, {REVERSALS_MIN} are needed: on the way there and back the same "
            "places must be passed, or a delay and a shift look alike."
        )


def _check_curve(delays: np.ndarray, costs: np.ndarray, best: int) -> None:
    if 1 - costs[best] < EXPLAINED_MIN:
        raise CalibrationError(
            f"the pictures hardly follow the motion ({100 * (1 - costs[best]):.0f} % explained, "
            f"{100 * EXPLAINED_MIN:g} are needed): is the robot, or what a camera on it sees, in the picture, and does "
            "nothing else move?"
        )
    if best in (0, len(delays) - 1):
        raise CalibrationError(
            f"the best delay is at the end of what was tried, {1e3 * delays[best]:.0f} ms: are both stamped by the "
            "same clock?"
        )
    span = float(costs.max() - costs[best])
    for i in range(1, len(costs) - 1):
        lowest = costs[i] <= costs[i - 1] and costs[i] <= costs[i + 1]
        if lowest and abs(i - best) * _GRID_S > 0.03 and costs[i] - costs[best] < _RIVAL * span:
            raise CalibrationError(
                f"two delays fit alike, {1e3 * delays[best]:.0f} and {1e3 * delays[i]:.0f} ms: an even motion repeats "
                "itself; move slower, or unevenly."
            )


def _main_directions(motion: np.ndarray) -> np.ndarray:
    """(M, 1 to 3) the motion along as many of its main directions as nearly all of it needs."""
    away = motion - motion.mean(0)
    _, s, axes = np.linalg.svd(away, full_matrices=False)
    share = s**2 / max(float((s**2).sum()), 1e-12)
    needed = int(np.searchsorted(np.cumsum(share), _NEARLY_ALL)) + 1
    return away @ axes[: min(3, needed)].T


def _main_components(frames: np.ndarray) -> np.ndarray:
    """(N, K) how the pictures change, along the directions in which they change most."""
    away = frames.astype(np.float64) - frames.mean(0)
    _, vectors = np.linalg.eigh(away @ away.T)
    return vectors[:, ::-1][:, :_COMPONENTS] * np.linalg.norm(away.T @ vectors[:, ::-1][:, :_COMPONENTS], axis=0)


def _interpolated(path: np.ndarray, times: np.ndarray, at: np.ndarray) -> np.ndarray:
    return np.column_stack([np.interp(at, times, column) for column in path.T])


def _basis(x: np.ndarray, path: np.ndarray) -> np.ndarray:
    """Smooth functions of a place (n, d): a spline along one path, else polynomials."""
    low, high = path.min(0), path.max(0)
    u = 2 * (x - low) / (high - low) - 1
    if u.shape[1] == 1:
        powers = u ** np.arange(4)
        bends = np.linspace(-1, 1, _BENDS + 2)[1:-1]
        return np.hstack([powers, np.maximum(u - bends, 0) ** 3])
    directions = range(u.shape[1])
    products = chain.from_iterable(
        combinations_with_replacement(directions, n) for n in range(_DEGREES[u.shape[1]] + 1)
    )
    return np.column_stack([u[:, list(p)].prod(axis=1) for p in products])


def _minimum(f, start: float) -> float:  # type: ignore[no-untyped-def]
    """By golden section around `start`."""
    ratio = (np.sqrt(5) - 1) / 2
    a, b = start - 2 * _GRID_S, start + 2 * _GRID_S
    c, d = b - ratio * (b - a), a + ratio * (b - a)
    fc, fd = f(c), f(d)
    while b - a > 1e-5:
        if fc < fd:
            b, d, fd = d, c, fc
            c = b - ratio * (b - a)
            fc = f(c)
        else:
            a, c, fc = c, d, fd
            d = a + ratio * (b - a)
            fd = f(d)
    return float((a + b) / 2)
