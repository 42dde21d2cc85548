"""The part of a rig file about the rehearsal: a small motion of a script in a person's place."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from robot_learning.contract import Frozen
from robot_learning.rig_parts.numbers import Positive


class RehearsalConfig(Frozen):
    """The tool goes once around a circle that begins where it is; the gripper closes half-way and opens again.

    It tries out a rig's whole chain, from target to sealed episode, without a person. Without this section no script
    moves a robot that is not simulated.

    Attributes:
        radius_m: of the circle, which stands upright before the robot: its other side is 2 radii above the start.
        duration_s: of one round.
        gripper: whether the gripper moves, too.
    """

    radius_m: Annotated[float, Field(gt=0, le=0.1)] = 0.03
    duration_s: Positive = 6.0
    gripper: bool = True
