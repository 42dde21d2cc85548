"""A test pattern in place of a camera: for trying out a rig's nodes and its network without the device."""

from __future__ import annotations

import numpy as np

from robot_learning.clock import NS_PER_S, Clock
from robot_learning.drivers.interfaces import CameraFrame, CameraLost
from robot_learning.rig_parts.cameras import CameraConfig

_BAR_PX = 16
_NEAR_MM, _FAR_MM = 300, 3000


class PatternCamera:
    """Colour stripes over which a white bar moves, a step to the right each frame; depth is a ramp, 0 under the bar.

    No two frames in a row are equal, so that a frozen stream shows, and `bar_px` tells frames apart.
    """

    def __init__(self, name: str, config: CameraConfig, clock: Clock) -> None:
        self.name, self._config, self._clock = name, config, clock
        height, width = config.height_px, config.width_px
        hue = np.arange(width) / width * 2 * np.pi
        stripes = 127.5 + 100 * np.sin(hue[:, None] + np.array([0.0, 2.1, 4.2]))
        fade = np.linspace(1.0, 0.5, height)[:, None, None]
        self._background = (stripes[None] * fade).astype(np.uint8)
        self._ramp = np.linspace(_NEAR_MM, _FAR_MM, height).astype(np.uint16)[:, None].repeat(width, axis=1)
        self._start_ns: int | None = None

    def connect(self) -> None:
        self._start_ns, self._sequence = self._clock.now_ns(), -1

    def read(self) -> CameraFrame:
        if self._start_ns is None:
            raise CameraLost(f"the camera '{self.name}' is not connected.")
        rate, now = self._config.rate_hz, self._clock.now_ns()
        # The newest frame that is due; those missed meanwhile are holes in the sequence.
        elapsed = int((now - self._start_ns) * rate // NS_PER_S)
        self._sequence = max(self._sequence + 1, elapsed)
        stamp = self._start_ns + round(self._sequence * NS_PER_S / rate)
        self._clock.sleep_until(stamp)
        left = bar_px(self._sequence, self._config.width_px)
        colour = self._background.copy()
        colour[:, left : left + _BAR_PX] = 255
        depth = None
        if self._config.depth:
            depth = self._ramp.copy()
            depth[:, left : left + _BAR_PX] = 0
        return CameraFrame(stamp, self._sequence, colour, depth)

    def disconnect(self) -> None:
        self._start_ns = None

    def intrinsics(self) -> np.ndarray:
        """The pinhole matrix (3, 3) [px] of a lens that sees 53 degrees across."""
        width, height = self._config.width_px, self._config.height_px
        return np.array([[width, 0, width / 2], [0, width, height / 2], [0, 0, 1]], dtype=np.float64)

    def distortion(self) -> np.ndarray:
        """None: (5,) zeros."""
        return np.zeros(5)


def bar_px(sequence: int, width_px: int) -> int:
    """Where the bar of a frame begins."""
    return sequence * 4 % max(1, width_px - _BAR_PX)
