"""The part of a rig file about calibration."""

from __future__ import annotations

from robot_learning.contract import Frozen


class CalibrationConfig(Frozen):
    """What the calibration tools found, with date and residual."""
