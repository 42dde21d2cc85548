"""Kinds of numbers in rig files."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

Positive = Annotated[float, Field(gt=0)]
Joints = Annotated[tuple[float, ...], Field(min_length=1)]  # as many as robot.joint_names, each in its joint_units
Vector3 = Annotated[tuple[float, ...], Field(min_length=3, max_length=3)]
