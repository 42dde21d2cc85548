"""The part of a rig file about franka."""

from __future__ import annotations

from robot_learning.contract import Frozen


class FrankaConfig(Frozen):
    """How a Franka arm is reached and controlled; for `robot.type: franka`."""
