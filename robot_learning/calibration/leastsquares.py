"""Nonlinear least squares by Levenberg and Marquardt, in numpy, on whatever can be changed by small steps."""

from __future__ import annotations

from collections.abc import Callable
from typing import Generic, NamedTuple, TypeVar

import numpy as np

State = TypeVar("State")
_STEP = 1e-6
_TOLERANCE = 1e-10


class Solution(NamedTuple, Generic[State]):
    """What :func:`solve` found.

    Attributes:
        residuals: (M,) there, without weights.
        covariance: (n, n) of the parameters' step, scaled by the residuals' variance.
    """

    state: State
    residuals: np.ndarray
    covariance: np.ndarray


def solve(
    state: State,
    size: int,
    change: Callable[[State, np.ndarray], State],
    residuals: Callable[[State], np.ndarray],
    huber: float | None = None,
    iterations: int = 50,
) -> Solution[State]:
    """Minimise the sum of squared residuals, or Huber's loss.

    Args:
        size: n, of a step; its components should have like magnitudes.
        change: the state changed by a step (n,).
        residuals: (M,) of a state.
        huber: residuals above it count linearly; None: all are squared.
    """
    damping = 1e-4
    r = residuals(state)
    w = _weights(r, huber)
    cost = _cost(r, huber)
    for _ in range(iterations):
        J = _jacobian(state, size, change, residuals)
        H, g = J.T @ (w[:, None] * J), J.T @ (w * r)
        while damping < 1e8:
            step = -np.linalg.solve(H + damping * np.diag(np.diag(H) + 1e-12), g)
            tried = change(state, step)
            r_tried = residuals(tried)
            if np.isfinite(r_tried).all() and (cost_tried := _cost(r_tried, huber)) < cost:
                break
            damping *= 10
        else:
            break
        gain = cost - cost_tried
        state, r, cost, damping = tried, r_tried, cost_tried, max(damping / 10, 1e-12)
        w = _weights(r, huber)
        if gain < _TOLERANCE * cost:
            break
    J = _jacobian(state, size, change, residuals)
    variance = float(r @ r) / max(1, len(r) - size)
    return Solution(state, r, variance * np.linalg.pinv(J.T @ J))


def _jacobian(
    state: State, size: int, change: Callable[[State, np.ndarray], State], residuals: Callable[[State], np.ndarray]
) -> np.ndarray:
    steps = _STEP * np.eye(size)
    columns = [(residuals(change(state, s)) - residuals(change(state, -s))) / (2 * _STEP) for s in steps]
    return np.stack(columns, axis=1)


def _weights(r: np.ndarray, huber: float | None) -> np.ndarray:
    return np.ones_like(r) if huber is None else np.minimum(1.0, huber / np.maximum(np.abs(r), 1e-12))


def _cost(r: np.ndarray, huber: float | None) -> float:
    if huber is None:
        return 0.5 * float(r @ r)
    a = np.abs(r)
    return float(np.where(a <= huber, 0.5 * a * a, huber * (a - 0.5 * huber)).sum())
