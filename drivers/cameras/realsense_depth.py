"""What is done to depth: filters, alignment with the colour image, millimetres."""

from __future__ import annotations

from typing import Any

import numpy as np

from robot_learning.drivers.cameras.realsense_device import library
from robot_learning.rig_parts.cameras import FiltersConfig

_HOLES = {"left": 0, "farthest": 1, "nearest": 2}  # rs2_hole_filling modes


class DepthChain:
    """Filters in librealsense's recommended order, then alignment.

    Spatial and temporal filter work on disparity, where noise is the same near and far
    (https://dev.realsenseai.com/docs/post-processing-filters).

    Args:
        align: to the colour image.
        bend: what librealsense's alignment leaves out, as `realsense_lens.bend` makes it; None: nothing.
    """

    def __init__(self, filters: FiltersConfig, align: bool, bend: np.ndarray | None = None) -> None:
        rs = library()
        option = rs.option
        self._blocks: list[Any] = []
        if filters.near_m is not None or filters.far_m is not None:
            threshold = self._add(rs.threshold_filter())
            threshold.set_option(option.min_distance, filters.near_m or 0.0)
            threshold.set_option(option.max_distance, filters.far_m or 16.0)
        smooth = filters.spatial or filters.temporal
        if smooth:
            self._add(rs.disparity_transform(True))
        if filters.spatial:
            spatial = self._add(rs.spatial_filter())
            spatial.set_option(option.filter_magnitude, filters.spatial.magnitude)
            spatial.set_option(option.filter_smooth_alpha, filters.spatial.alpha)
            spatial.set_option(option.filter_smooth_delta, filters.spatial.delta)
        if filters.temporal:
            temporal = self._add(rs.temporal_filter())
            temporal.set_option(option.filter_smooth_alpha, filters.temporal.alpha)
            temporal.set_option(option.filter_smooth_delta, filters.temporal.delta)
            temporal.set_option(option.holes_fill, filters.temporal.persistence)
        if smooth:
            self._add(rs.disparity_transform(False))
        if filters.hole_filling:
            self._add(rs.hole_filling_filter(_HOLES[filters.hole_filling]))
        if align:
            self._add(rs.align(rs.stream.color))
        self._bend = bend
        self._scale: tuple[float, np.ndarray] | None = None

    def __call__(self, frameset: Any) -> np.ndarray:
        """Depth (H, W) uint16 [mm] of a frameset with colour and depth; 0 where nothing returned."""
        for block in self._blocks:
            frameset = block.process(frameset).as_frameset()
        depth = frameset.get_depth_frame()
        found = self.millimetres(np.asanyarray(depth.get_data()), depth.get_units())
        return found if self._bend is None else np.append(found, np.uint16(0))[self._bend]

    def millimetres(self, raw: np.ndarray, unit_m: float) -> np.ndarray:
        """Depth [mm] of raw values in a device's unit; 0 where there is none, or too much for 16 bits (65.5 m)."""
        if self._scale is None or self._scale[0] != unit_m:
            exact = np.rint(np.arange(2**16) * (round(unit_m, 9) * 1e3))  # the unit comes as a 32-bit float
            self._scale = unit_m, np.where(exact < 2**16, exact, 0).astype(np.uint16)
        return self._scale[1][raw]

    def _add(self, block: Any) -> Any:
        self._blocks.append(block)
        return block
