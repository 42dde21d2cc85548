"""The part of a rig file about stretch."""

from __future__ import annotations

from robot_learning.contract import Frozen


class StretchConfig(Frozen):
    """How a Hello Robot Stretch is reached and moved; for `robot.type: stretch`."""
