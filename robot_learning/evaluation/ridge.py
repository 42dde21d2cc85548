"""Ridge regression in closed form, float64, its strength chosen on windows that it was not fitted to."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

LAMBDAS = tuple(10.0 ** np.arange(-8, 4))  # for inputs of unit variance, and a squared error that is a mean
CONSTANT = 1e-9  # an input whose deviation is below it is left out


@dataclass(frozen=True)
class Ridge:
    """y = mean_y + (x - mean_x) W.

    Attributes:
        W: (d, D); mean_x: (d,); mean_y: (D,).
        strength: lambda.
    """

    W: np.ndarray
    mean_x: np.ndarray
    mean_y: np.ndarray
    strength: float

    def __call__(self, X: np.ndarray) -> np.ndarray:
        """(N, d) to (N, D)."""
        return self.mean_y + (X - self.mean_x) @ self.W


def fit(X: np.ndarray, Y: np.ndarray, strengths: Sequence[float]) -> list[Ridge]:
    """For each lambda the minimum of mean |y - W^T x|^2 + lambda |W|^2, where x has zero mean and unit variance.

    Args:
        X: (N, d), Y: (N, D).
    """
    X, Y = np.asarray(X, np.float64), np.asarray(Y, np.float64)
    mean_x, deviation, mean_y = X.mean(0), X.std(0), Y.mean(0)
    scale = np.where(deviation > CONSTANT, 1 / np.maximum(deviation, CONSTANT), 0.0)
    x = (X - mean_x) * scale
    values, V = np.linalg.eigh(x.T @ x / len(x))
    values = np.clip(values, 0, None)[:, None]
    P = V.T @ (x.T @ (Y - mean_y) / len(x))
    return [Ridge(scale[:, None] * (V @ (P / (values + s))), mean_x, mean_y, s) for s in strengths]


def fit_best(X: np.ndarray, Y: np.ndarray, apart: np.ndarray, strengths: Sequence[float] = LAMBDAS) -> Ridge:
    """The ridge of all rows, with the lambda that is best on the rows `apart`, (N,) bool, if fitted to the others."""
    if not apart.any() or apart.all():
        raise ValueError("some rows are to choose by, and some to fit to")
    tried = fit(X[~apart], Y[~apart], strengths)
    errors = [np.square(ridge(X[apart]) - Y[apart]).sum() for ridge in tried]
    return fit(X, Y, [tried[int(np.argmin(errors))].strength])[0]
