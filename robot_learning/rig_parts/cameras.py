"""The part of a rig file about one camera."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from robot_learning.contract import Frozen
from robot_learning.rig_parts.numbers import Positive


class CameraConfig(Frozen):
    """One camera; its colour stream has the camera's name, its depth stream `<name>_depth`."""

    type: str
    width_px: int = Field(gt=0)
    height_px: int = Field(gt=0)
    rate_hz: Positive
    depth: bool = False
    codec: Literal["jpeg", "lossless"] = "jpeg"
    jpeg_quality: int = Field(default=92, ge=50, le=100)
