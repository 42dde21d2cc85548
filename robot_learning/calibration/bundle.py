"""All corners of all pictures at once: the camera, the board, and how far each of the robot's poses was off.

With pixels as the only error, an error of the robot's pose would turn the camera: a shift of the board and a turn of
the camera look alike. So each view gets a correction of the tool's pose, at the price of what robots are off by; this
is the maximum likelihood of both kinds of errors. As in bundle adjustment, the corrections are eliminated from each
step (Triggs et al., 2000, sec. 6.1).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal, NamedTuple

import numpy as np

from robot_learning.calibration.camera import project
from robot_learning.calibration.detect import Detection
from robot_learning.calibration.leastsquares import solve
from robot_learning.calibration.poses import inverse, moved
from robot_learning.rig_parts.calibration import IntrinsicsConfig
from robot_learning.rotation import rotation_vector_to_matrix

Mount = Literal["hand", "static"]
_STEP = 1e-6
_ITERATIONS = 30
_TOLERANCE = 1e-8
_BEHIND_M = 1e-3


@dataclass(frozen=True)
class View:
    """One picture and where the tool was.

    Attributes:
        name: what to call it in messages.
        tool: (4, 4) the tool in the robot's base frame.
    """

    name: str
    tool: np.ndarray
    detection: Detection


class Errors(NamedTuple):
    """Standard deviations of what is measured, for each axis: corners [px], the robot's turns [rad] and shifts [m]."""

    pixel: float = 0.2
    turn: float = 1.5e-3
    shift: float = 0.5e-3


_LEAST, _MOST = Errors(0.03, 1e-4, 5e-5), Errors(2.0, 2e-2, 5e-3)


@dataclass(frozen=True)
class Estimate:
    """What is fitted.

    Attributes:
        X: (4, 4) the camera in the tool's frame (hand) or the base frame (static).
        Y: (4, 4) the board in the base frame or the tool's.
        corrections: (V, 6) turn [rad] and shift [m] of each tool pose.
        scale: of the board.
    """

    X: np.ndarray
    Y: np.ndarray
    intrinsics: IntrinsicsConfig
    corrections: np.ndarray
    scale: float = 1.0


class Bundle:
    """The corners of some views.

    Args:
        free_intrinsics: fit them, too.
        free_scale: fit the board's scale, too.
        errors: what is assumed of the measurements; None: what is usual.
    """

    def __init__(
        self, views: Sequence[View], mount: Mount, free_intrinsics: bool = False, free_scale: bool = False,
        errors: Errors | None = None,
    ) -> None:  # fmt: skip
        self._free_intrinsics, self._free_scale = free_intrinsics, free_scale
        self.tools = np.stack([v.tool if mount == "hand" else inverse(v.tool) for v in views])
        self._from_tools = inverse(self.tools)
        counts = [len(v.detection.ids) for v in views]
        self._slices = [slice(e - n, e) for n, e in zip(counts, np.cumsum(counts), strict=True)]
        self._which = np.repeat(np.arange(len(views)), counts)
        self._points = np.concatenate([v.detection.points for v in views])
        self._pixels = np.concatenate([v.detection.pixels for v in views])
        self.assume(errors or Errors())

    def assume(self, errors: Errors) -> None:
        """From now on."""
        self.assumed = errors
        self._prior = 1 / np.array([errors.turn] * 3 + [errors.shift] * 3) ** 2

    def likely_errors(self, s: Estimate) -> Errors:
        """What the residuals of an estimate say of the measurements' errors: one step of expectation maximisation."""
        r, _, B = self._system(s)
        unknown = self._size + 6 * len(self._slices)
        pixel = self.assumed.pixel * np.sqrt((r**2).sum() / max(1, r.size - unknown))
        spread = np.array(
            [
                np.diag(np.linalg.inv(b.T @ b + np.diag(self._prior)))
                for b in (B[part].reshape(-1, 6) for part in self._slices)
            ]
        )
        squares = (s.corrections**2 + spread).mean(0)
        found = Errors(float(pixel), float(np.sqrt(squares[:3].mean())), float(np.sqrt(squares[3:].mean())))
        return Errors(*(min(max(v, low), high) for v, low, high in zip(found, _LEAST, _MOST, strict=True)))

    def start(self, X: np.ndarray, Y: np.ndarray, intrinsics: IntrinsicsConfig) -> Estimate:
        """An estimate that takes the robot's poses as they are."""
        return Estimate(X, Y, intrinsics, np.zeros((len(self.tools), 6)))

    def boards(self, s: Estimate, corrected: bool = False) -> np.ndarray:
        """(V, 4, 4) the board in the optical frame."""
        tools = _corrections(s.corrections) @ self._from_tools if corrected else self._from_tools
        return inverse(s.X) @ tools @ s.Y

    def errors(self, s: Estimate, corrected: bool = False) -> np.ndarray:
        """(M, 2) of all corners [px]."""
        C = self.boards(s, corrected)[self._which]
        seen = (C[:, :3, :3] @ (s.scale * self._points)[..., None])[..., 0] + C[:, :3, 3]
        seen[:, 2] = np.maximum(seen[:, 2], _BEHIND_M)  # while the fit is far off
        return project(s.intrinsics, seen) - self._pixels

    def per_view(self, s: Estimate, corrected: bool = False) -> np.ndarray:
        """(V,) root mean square [px]."""
        squares = (self.errors(s, corrected) ** 2).sum(1)
        return np.sqrt([squares[part].mean() for part in self._slices])

    def rough(self, start: Estimate, huber_px: float) -> Estimate:
        """Pixels only, by Huber's loss: not as good, but what one wrong pose does to it is limited."""

        def change(s: Estimate, step: np.ndarray) -> Estimate:
            return replace(s, X=moved(s.X, step[:6]), Y=moved(s.Y, step[6:]))

        return solve(start, 12, change, lambda s: self.errors(s).ravel(), huber_px).state

    def fit(self, start: Estimate) -> Estimate:
        """The most likely estimate near `start`."""
        s, damping = start, 1e-4
        cost = self._cost(s)
        for _ in range(_ITERATIONS):
            system = self._system(s)
            while damping < 1e8:
                tried = self._step(s, *system, damping)
                cost_tried = self._cost(tried)
                if np.isfinite(cost_tried) and cost_tried < cost:
                    break
                damping *= 10
            else:
                break
            gain, s, cost, damping = cost - cost_tried, tried, cost_tried, max(damping / 10, 1e-12)
            if gain < _TOLERANCE * cost:
                break
        return s

    @property
    def _size(self) -> int:
        return 12 + 8 * self._free_intrinsics + self._free_scale

    def _change(self, s: Estimate, step: np.ndarray) -> Estimate:
        """Changed in what all views share; intrinsics in shares of the focal length."""
        X, Y, intrinsics, scale = moved(s.X, step[:6]), moved(s.Y, step[6:12]), s.intrinsics, s.scale
        if self._free_intrinsics:
            c, d = s.intrinsics, step[12:20]
            lens = np.add(c.distortion, (*d[4:8], 0.0))
            intrinsics = c.model_copy(
                update={
                    "fx": c.fx * (1 + d[0]), "fy": c.fy * (1 + d[1]),
                    "cx": c.cx + c.fx * d[2], "cy": c.cy + c.fy * d[3],
                    "distortion": tuple(lens),
                }
            )  # fmt: skip
        if self._free_scale:
            scale += step[-1]
        return replace(s, X=X, Y=Y, intrinsics=intrinsics, scale=scale)

    def _cost(self, s: Estimate) -> float:
        pixels = (self.errors(s, corrected=True) ** 2).sum() / self.assumed.pixel**2
        return 0.5 * float(pixels + (s.corrections**2 * self._prior).sum())

    def _system(self, s: Estimate) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Residuals (M, 2) and their derivatives, (M, 2, n) by the shared and (M, 2, 6) by each view's own."""
        shared = [
            (self.errors(self._change(s, d), True) - self.errors(self._change(s, -d), True)) / (2 * _STEP)
            for d in _STEP * np.eye(self._size)
        ]
        own = [
            (
                self.errors(replace(s, corrections=s.corrections + d), True)
                - self.errors(replace(s, corrections=s.corrections - d), True)
            )
            / (2 * _STEP)
            for d in _STEP * np.eye(6)
        ]
        pixel = self.assumed.pixel
        return self.errors(s, True) / pixel, np.stack(shared, -1) / pixel, np.stack(own, -1) / pixel

    def _step(self, s: Estimate, r: np.ndarray, A: np.ndarray, B: np.ndarray, damping: float) -> Estimate:
        n = self._size
        flat = A.reshape(-1, n)
        S = flat.T @ flat
        S += damping * np.diag(np.diag(S) + 1e-9)
        g = flat.T @ r.reshape(-1)
        kept = []
        for i, part in enumerate(self._slices):
            a, b, e = A[part].reshape(-1, n), B[part].reshape(-1, 6), r[part].reshape(-1)
            H = b.T @ b + (1 + damping) * np.diag(self._prior)
            h = b.T @ e + self._prior * s.corrections[i]
            W = a.T @ b
            solved = np.linalg.solve(H, np.column_stack([W.T, h]))
            S -= W @ solved[:, :n]
            g -= W @ solved[:, n]
            kept.append(solved)
        step = -np.linalg.solve(S, g)
        own = np.array([-(k[:, n] + k[:, :n] @ step) for k in kept])
        return replace(self._change(s, step), corrections=s.corrections + own)


def _corrections(c: np.ndarray) -> np.ndarray:
    """(V, 4, 4) of (V, 6)."""
    made = np.tile(np.eye(4), (len(c), 1, 1))
    made[:, :3, :3] = [rotation_vector_to_matrix(v) for v in c[:, :3]]
    made[:, :3, 3] = c[:, 3:]
    return made
