"""From a command to its motion: a pure delay and a first-order lag, told apart."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from robot_learning.calibration.camera import CalibrationError

DURATION_MIN_S = 3.0
COMMANDS_MIN = 20
MOTION_MIN = 0.01  # peak to peak of a joint [rad] or axis [m] that counts
RESIDUAL_MAX = 0.2
ERROR_MAX_S = 0.005
DELAY_MAX_S, LAG_MAX_S = 0.5, 0.4
_PARTS = 5
_CELLS = 12
_ZOOMS = 5


@dataclass(frozen=True)
class Actuator:
    """What :func:`actuator_delay` found; see `ActuatorDelay` of the rig file.

    Attributes:
        joints: name to delay and lag [s], of those that moved.
        residual: root mean square, over that of the motion.
        times_s, measured, modelled: of the joint that moved most.
    """

    delay_s: float
    lag_s: float
    delay_error_s: float
    lag_error_s: float
    residual: float
    joints: dict[str, tuple[float, float]]
    times_s: np.ndarray = field(repr=False)
    measured: np.ndarray = field(repr=False)
    modelled: np.ndarray = field(repr=False)
    commanded: np.ndarray = field(repr=False)


def followed(command_s: np.ndarray, commands: np.ndarray, at_s: np.ndarray, delay_s: float, lag_s: float) -> np.ndarray:
    """(M, D) where something is at times (M,) that follows commands (N, D), each held until the next one."""
    return _between(command_s, commands, _when_heard(command_s, commands, lag_s), at_s, delay_s, lag_s)


def _when_heard(command_s: np.ndarray, commands: np.ndarray, lag_s: float) -> np.ndarray:
    """(N, D) where it is when each command begins to act; the delay shifts all of them alike."""
    places = np.empty_like(commands)
    places[0] = commands[0]
    if lag_s <= 0:
        places[1:] = commands[:-1]
        return places
    for i, fade in enumerate(np.exp(-np.diff(command_s) / lag_s)):
        places[i + 1] = commands[i] + (places[i] - commands[i]) * fade
    return places


def _between(
    command_s: np.ndarray, commands: np.ndarray, places: np.ndarray, at_s: np.ndarray, delay_s: float, lag_s: float
) -> np.ndarray:
    which = np.clip(np.searchsorted(command_s, at_s - delay_s, side="right") - 1, 0, len(command_s) - 1)
    since = np.maximum(at_s - delay_s - command_s[which], 0.0)
    fade = np.exp(-since / lag_s) if lag_s > 0 else np.zeros(len(at_s))
    return commands[which] + (places[which] - commands[which]) * fade[:, None]


def actuator_delay(
    command_s: np.ndarray, commands: np.ndarray, at_s: np.ndarray, measured: np.ndarray, names: Sequence[str]
) -> Actuator:
    """Delay and lag of joints, or of the tool's axes.

    Each joint has an offset of its own, as gravity gives it; its gain is 1.

    Args:
        command_s, commands: (N,) when each was sent, (N, D) what.
        at_s, measured: (M,) and (M, D) the motion.
        names: of the D joints or axes.

    Raises:
        CalibrationError: too short, too little motion, motion that doesn't follow, or delay and lag that the data can't
            tell apart: then the message has their sum.
    """
    inside = (at_s >= command_s[0]) & (at_s <= command_s[-1]) if len(command_s) else np.zeros(len(at_s), bool)
    at_s, measured = at_s[inside], measured[inside]
    duration = float(at_s[-1] - at_s[0]) if len(at_s) > 1 else 0.0
    if len(command_s) < COMMANDS_MIN or duration < DURATION_MIN_S:
        raise CalibrationError(
            f"{len(command_s)} commands over {duration:.1f} s are too few: at least {COMMANDS_MIN} over "
            f"{DURATION_MIN_S:g} s, with quick motions."
        )
    extents = np.ptp(measured, axis=0)
    moved = np.flatnonzero((extents >= MOTION_MIN) & (np.ptp(commands, axis=0) >= MOTION_MIN))
    if not len(moved):
        told = ", ".join(f"{n}: {e:.4f}" for n, e in zip(names, extents, strict=True))
        raise CalibrationError(
            f"nothing moved by {MOTION_MIN} rad or m as commanded ({told}): move the robot to and fro while it records."
        )
    problem = _Problem(command_s, commands[:, moved], at_s, measured[:, moved])
    delay, lag = problem.best()
    residual = problem.residual(delay, lag)
    if residual > RESIDUAL_MAX:
        raise CalibrationError(
            f"the motion does not follow the commands: {100 * residual:.0f} % of it is left (at most "
            f"{100 * RESIDUAL_MAX:g} %); were the commands refused, limited, or another controller's?"
        )
    part = np.arange(len(at_s)) * _PARTS // len(at_s)
    left_out = np.array([problem.best(part != k, (delay, lag)) for k in range(_PARTS)])
    errors = np.sqrt((_PARTS - 1) / _PARTS * ((left_out - [delay, lag]) ** 2).sum(0))
    if errors.max() > ERROR_MAX_S:
        total = float(np.sqrt((_PARTS - 1) / _PARTS * ((left_out.sum(1) - delay - lag) ** 2).sum()))
        raise CalibrationError(
            f"delay and lag can't be told apart: {1e3 * delay:.0f} +- {1e3 * errors[0]:.0f} ms and {1e3 * lag:.0f} +- "
            f"{1e3 * errors[1]:.0f} ms (at most {1e3 * ERROR_MAX_S:g}); their sum is {1e3 * (delay + lag):.0f} +- "
            f"{1e3 * total:.0f} ms. Record steps or quick motions, for longer."
        )
    joints = {
        names[i]: _Problem(command_s, commands[:, [i]], at_s, measured[:, [i]]).best(start=(delay, lag)) for i in moved
    }
    most = int(np.argmax(extents[moved]))
    return Actuator(
        delay, lag, float(errors[0]), float(errors[1]), residual, joints, at_s,
        measured[:, moved[most]], problem.modelled(delay, lag)[:, most],
        followed(command_s, commands[:, [moved[most]]], at_s, 0.0, 0.0)[:, 0],
    )  # fmt: skip


class _Problem:
    """The motion left unexplained, by delay and lag; each joint weighted by its extent."""

    def __init__(self, command_s: np.ndarray, commands: np.ndarray, at_s: np.ndarray, measured: np.ndarray) -> None:
        self._command_s, self._commands, self._at_s, self._measured = command_s, commands, at_s, measured
        self._weights = 1 / np.ptp(measured, axis=0)
        self._places: dict[float, np.ndarray] = {}  # by lag

    def modelled(self, delay: float, lag: float) -> np.ndarray:
        """(M, D) with each joint's offset."""
        model = self._followed(delay, lag)
        return model + (self._measured - model).mean(0)

    def _followed(self, delay: float, lag: float) -> np.ndarray:
        if lag not in self._places:
            self._places[lag] = _when_heard(self._command_s, self._commands, lag)
        return _between(self._command_s, self._commands, self._places[lag], self._at_s, delay, lag)

    def cost(self, delay: float, lag: float, keep: np.ndarray | slice = slice(None)) -> float:
        r = (self._measured - self._followed(delay, lag))[keep] * self._weights
        return float(((r - r.mean(0)) ** 2).sum())

    def residual(self, delay: float, lag: float) -> float:
        """Root mean square, over that of the motion."""
        motion = self._measured * self._weights
        return float(np.sqrt(self.cost(delay, lag) / ((motion - motion.mean(0)) ** 2).sum()))

    def best(
        self, keep: np.ndarray | slice = slice(None), start: tuple[float, float] | None = None
    ) -> tuple[float, float]:
        """By a grid that zooms in on its best cell: the cost is not smooth where commands are steps."""
        width = np.array([DELAY_MAX_S, LAG_MAX_S])
        low = np.zeros(2)
        zooms = _ZOOMS
        if start is not None:
            width, zooms = width / 8, _ZOOMS - 1
            low = np.maximum(0.0, np.array(start) - width / 2)
        for _ in range(zooms):
            grid = [(d, t) for d in low[0] + width[0] * _STEPS for t in low[1] + width[1] * _STEPS]
            best = min(grid, key=lambda p: self.cost(p[0], p[1], keep))
            width = width * 3 / _CELLS
            low = np.maximum(0.0, np.array(best) - width / 2)
        return float(best[0]), float(best[1])


_STEPS = np.linspace(0, 1, _CELLS + 1)
