"""What cameras through OpenCV have in common: the module itself, one capture, a lens that nobody has measured."""

from __future__ import annotations

from typing import Any

import numpy as np

from robot_learning.clock import Clock
from robot_learning.drivers.interfaces import Lens
from robot_learning.errors import ConfigError
from robot_learning.rig_parts.cameras import CameraConfig

INSTALL = "pip install opencv-python-headless"


def opencv() -> Any:
    """The module cv2; ConfigError with how to get it where it does not load."""
    try:
        import cv2
    except ImportError as error:
        raise ConfigError(f"uvc and video cameras need OpenCV ({error}): {INSTALL}.") from None
    return cv2


class OpenCvCamera:
    """A capture of OpenCV's behind a lens that is guessed. Subclasses give `connect` and `read`."""

    def __init__(self, name: str, config: CameraConfig, clock: Clock) -> None:
        self.name, self._config, self._clock = name, config, clock
        self._capture: Any = None

    def disconnect(self) -> None:
        """Release what is open."""
        capture, self._capture = self._capture, None
        if capture is not None:
            capture.release()

    def intrinsics(self) -> np.ndarray:
        """Unknown without a calibration: a guess (3, 3) [px]."""
        return guessed_matrix(self._config)

    def distortion(self) -> np.ndarray:
        """Unknown without a calibration: (5,) zeros."""
        return np.zeros(5)

    def lenses(self) -> dict[str, Lens]:
        """The guess."""
        size = self._config.width_px, self._config.height_px
        return {"color": Lens(self.intrinsics(), self.distortion(), *size, np.eye(4))}


def guessed_matrix(config: CameraConfig) -> np.ndarray:
    """The pinhole matrix (3, 3) [px] of a lens that sees 60 degrees across, as many webcams do."""
    f = config.width_px / 2 / np.tan(np.deg2rad(30))
    return np.array([[f, 0, config.width_px / 2], [0, f, config.height_px / 2], [0, 0, 1]], dtype=np.float64)
