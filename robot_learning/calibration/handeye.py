"""Where a camera is: on the hand, from a board that stands still; or still, from a board in the hand.

First AX = XB from the board's pose in each picture (OpenCV's closed forms), then a fit of all corners of all pictures
at once (`bundle`). Both kinds are one problem: with G the tool in the base (camera on the hand) or the base in the tool
(static camera), every picture should show the board at C = X^-1 G^-1 Y, with the same X and Y throughout.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from robot_learning.calibration.board import cv2_module
from robot_learning.calibration.bundle import Bundle, Errors, Estimate, Mount, View
from robot_learning.calibration.camera import CalibrationError, board_pose, intrinsics_from
from robot_learning.calibration.poses import angle_deg, distance_mm, pose
from robot_learning.calibration.spread import Spread, spread_of
from robot_learning.rig_parts.calibration import IntrinsicsConfig

HUBER_PX = 1.5
OUTLIER_FACTOR = 5.0  # of the median of all poses' errors
OUTLIER_MIN_PX = 2.5  # nothing below it is an outlier
OUTLIERS_MAX = 0.3  # share of the poses; beyond it something is wrong with all of them
REPROJECTION_MAX = 0.006  # of the picture's width
SCALE_MAX = 0.01
ERROR_MAX_MM, ERROR_MAX_DEG = 1.5, 0.25  # standard errors that are still accepted
_SUBSETS = 30
_PARTS = 5
_WEIGHINGS = 8


@dataclass(frozen=True)
class HandEye:
    """A camera's pose and how well it is known.

    Attributes:
        camera: (4, 4) in the tool's frame where it is on the hand, in the base frame where it is static.
        board: (4, 4) in the base frame, or in the tool's.
        views: those that were used.
        rejected: names of the others, and why.
        view_px: (V,) root mean square reprojection of each.
        view_mm, view_deg: (V,) from where each picture alone sees the board to where the result puts it.
        left_out_mm, left_out_deg: (V,) change of the camera's pose without each view.
        error_mm, error_deg: standard errors of the camera's pose, by the jackknife over views (Efron 1982, ch. 3).
        scale, scale_error: the squares' true side over the stated one, as the robot's motion measures it.
    """

    mount: Mount
    camera: np.ndarray
    board: np.ndarray
    intrinsics: IntrinsicsConfig
    views: tuple[View, ...]
    rejected: tuple[str, ...]
    spread: Spread
    view_px: np.ndarray
    view_mm: np.ndarray
    view_deg: np.ndarray
    left_out_mm: np.ndarray
    left_out_deg: np.ndarray
    error_mm: float
    error_deg: float
    scale: float
    scale_error: float

    @property
    def reprojection_px(self) -> float:
        """Root mean square over all corners."""
        n = np.array([len(v.detection.ids) for v in self.views])
        return float(np.sqrt((n * self.view_px**2).sum() / n.sum()))

    def predicted_px(self) -> list[np.ndarray]:
        """Where the result puts the corners of each view, (N, 2) each."""
        bundle = Bundle(self.views, self.mount)
        errors = bundle.errors(bundle.start(self.camera, self.board, self.intrinsics))
        ends = np.cumsum([len(v.detection.ids) for v in self.views])[:-1]
        return [v.detection.pixels + e for v, e in zip(self.views, np.split(errors, ends), strict=True)]


def calibrate(views: Sequence[View], mount: Mount, intrinsics: IntrinsicsConfig | None = None) -> HandEye:
    """Where the camera is; see the module.

    Args:
        intrinsics: None: found from the same pictures first.

    Raises:
        CalibrationError: poses too few or too alike, too many outliers, a wrong board, or errors above 1.5 mm, 0.25
            degrees: the message says what to do.
    """
    spread = spread_of([v.tool for v in views])
    if missing := spread.missing():
        raise CalibrationError(f"the poses don't tell where the camera is: {missing}.")
    free = intrinsics is None
    if intrinsics is None:
        intrinsics, _ = intrinsics_from([v.detection for v in views])
    _check_size(views, intrinsics)
    views, rejected, rough = _without_outliers(views, mount, intrinsics)
    spread = spread_of([v.tool for v in views])
    if missing := spread.missing():
        raise CalibrationError(f"without {_listed(rejected)}, the poses don't tell where the camera is: {missing}.")

    best, errors = _weighed(Bundle(views, mount, free), rough, len(views))

    def fit(part: Sequence[View], at: Estimate, scale: bool = False) -> Estimate:
        bundle = Bundle(part, mount, free, scale, errors)
        return bundle.fit(replace(at, corrections=np.zeros((len(part), 6))))

    bundle = Bundle(views, mount)
    seen = [board_pose(v.detection, best.intrinsics)[0] for v in views]
    predicted = bundle.boards(best)
    left_out = [fit(views[:i] + views[i + 1 :], best) for i in range(len(views))]
    mm, deg = ([f(s.X, best.X) for s in left_out] for f in (distance_mm, angle_deg))
    scaled = fit(views, best, scale=True).scale
    # By fifths of the views: whatever is wrong with one is often wrong with its neighbours.
    fifths = [[v for i, v in enumerate(views) if i % _PARTS != k] for k in range(_PARTS)]
    result = HandEye(
        mount=mount, camera=best.X, board=best.Y, intrinsics=best.intrinsics, views=tuple(views),
        rejected=tuple(rejected), spread=spread, view_px=bundle.per_view(best),
        view_mm=np.array([distance_mm(a, b) for a, b in zip(seen, predicted, strict=True)]),
        view_deg=np.array([angle_deg(a, b) for a, b in zip(seen, predicted, strict=True)]),
        left_out_mm=np.array(mm), left_out_deg=np.array(deg), error_mm=_jackknife(mm), error_deg=_jackknife(deg),
        scale=scaled, scale_error=_jackknife([fit(part, best, scale=True).scale - scaled for part in fifths]),
    )  # fmt: skip
    _check(result)
    return result


def _weighed(bundle: Bundle, rough: Estimate, views: int) -> tuple[Estimate, Errors]:
    """The most likely estimate, with errors of the measurements that agree with it."""
    best = bundle.fit(replace(rough, corrections=np.zeros((views, 6))))
    for _ in range(_WEIGHINGS):
        bundle.assume(bundle.likely_errors(best))
        best = bundle.fit(best)
    return best, bundle.assumed


def _jackknife(changes: Sequence[float]) -> float:
    n = len(changes)
    return float(np.sqrt((n - 1) / n * np.sum(np.square(changes))))


def _check_size(views: Sequence[View], intrinsics: IntrinsicsConfig) -> None:
    for view in views:
        if view.detection.size_px != (intrinsics.width_px, intrinsics.height_px):
            width, height = view.detection.size_px
            raise CalibrationError(
                f"{view.name} is {width} x {height} px, the intrinsics are for {intrinsics.width_px} x "
                f"{intrinsics.height_px}; give those of this resolution."
            )


def _without_outliers(
    views: Sequence[View], mount: Mount, intrinsics: IntrinsicsConfig
) -> tuple[list[View], list[str], Estimate]:
    """The views to keep, a sentence on each of the others, and a rough estimate."""
    bundle = Bundle(views, mount)
    seen = [board_pose(v.detection, intrinsics)[0] for v in views]
    rough = bundle.rough(_first(bundle, seen, intrinsics), HUBER_PX)
    errors = bundle.per_view(rough)
    limit = max(OUTLIER_MIN_PX, OUTLIER_FACTOR * float(np.median(errors)))
    kept = [view for view, e in zip(views, errors, strict=True) if e <= limit]
    rejected = [
        f"{view.name}: {e:.1f} px, the median is {np.median(errors):.2f}"
        for view, e in zip(views, errors, strict=True)
        if e > limit
    ]
    if len(rejected) > OUTLIERS_MAX * len(views):
        raise CalibrationError(
            f"{len(rejected)} of {len(views)} poses don't fit the others ({_listed(rejected)}): did the board or the "
            "camera move in between, or is the recorded tool pose not the measured one?"
        )
    return kept, rejected, rough


def _first(bundle: Bundle, seen: Sequence[np.ndarray], intrinsics: IntrinsicsConfig) -> Estimate:
    """AX = XB by several methods on all views and on random small parts of them: the one that most views agree with."""
    cv2 = cv2_module()
    methods = (cv2.CALIB_HAND_EYE_PARK, cv2.CALIB_HAND_EYE_HORAUD, cv2.CALIB_HAND_EYE_TSAI)
    rng = np.random.default_rng(0)
    n = len(seen)
    parts = [np.arange(n)] * len(methods) + [rng.choice(n, min(n, 5), replace=False) for _ in range(_SUBSETS)]
    best: tuple[float, Estimate] | None = None
    for k, part in enumerate(parts):
        G, C = bundle.tools[part], [seen[i] for i in part]
        try:
            R, t = cv2.calibrateHandEye(
                [T[:3, :3] for T in G], [T[:3, 3] for T in G], [T[:3, :3] for T in C], [T[:3, 3] for T in C],
                method=methods[k] if k < len(methods) else methods[0],
            )  # fmt: skip
        except cv2.error:  # a part whose poses are too alike
            continue
        if not (np.isfinite(R).all() and np.isfinite(t).all()):
            continue
        X = pose(t, R)
        for g, c in list(zip(G, C, strict=True))[:3]:
            estimate = bundle.start(X, g @ X @ c, intrinsics)
            error = float(np.median(bundle.per_view(estimate)))
            if best is None or error < best[0]:
                best = error, estimate
    if best is None:
        raise CalibrationError("the pictures and the robot's poses fit no camera pose; are they of the same recording?")
    return best[1]


def _listed(rejected: Sequence[str]) -> str:
    shown = "; ".join(rejected[:4])
    return shown + (f" and {len(rejected) - 4} more" if len(rejected) > 4 else "")


def _check(result: HandEye) -> None:
    limit = REPROJECTION_MAX * result.intrinsics.width_px
    off, tolerance = result.scale - 1, max(SCALE_MAX, 4 * result.scale_error)
    if abs(off) > tolerance:
        side = 1e3 * result.views[0].detection.square_m
        raise CalibrationError(
            f"by the robot's motion the squares measure {side * result.scale:.2f} mm, not {side:.2f} "
            f"(+- {side * result.scale_error:.2f}): measure the printed board and give its true size; if it is right, "
            "the intrinsics or the robot's tool pose are wrong."
        )
    if result.reprojection_px > limit:
        raise CalibrationError(
            f"the fit leaves {result.reprojection_px:.1f} px (at most {limit:.1f}): the tool pose, the intrinsics or "
            "the board are not what they are said to be, or something moved while the pictures were taken."
        )
    if result.error_mm > ERROR_MAX_MM or result.error_deg > ERROR_MAX_DEG:
        raise CalibrationError(
            f"the result is known to {result.error_mm:.1f} mm and {result.error_deg:.2f} degrees only (at most "
            f"{ERROR_MAX_MM:g} mm, {ERROR_MAX_DEG:g} degrees): take more poses, turned more, with the board nearer. "
            f"So far: {result.spread.text()}."
        )
