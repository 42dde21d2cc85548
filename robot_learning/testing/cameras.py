"""What every camera driver must do."""

from __future__ import annotations

import numpy as np
import pytest

from robot_learning.clock import Clock, SystemClock
from robot_learning.drivers.interfaces import Camera, CameraLost
from robot_learning.rig_parts.cameras import CameraConfig


class CameraKit:
    """Inherit it and give the fixtures `camera`, not yet connected, and `config`, its part of the rig."""

    FRAMES = 10

    @pytest.fixture
    def clock(self) -> Clock:
        """The clock that the camera was made with; override it for another."""
        return SystemClock()

    def test_frames_are_as_the_rig_says_and_in_order(self, camera: Camera, config: CameraConfig, clock: Clock) -> None:
        """Sizes and types, numbers and stamps that grow, no stamp in the future."""
        camera.connect()
        frames = []
        for _ in range(self.FRAMES):
            frames.append(camera.read())
            assert frames[-1].stamp_ns <= clock.now_ns(), "a frame is stamped in the future"
        camera.disconnect()
        size = (config.height_px, config.width_px)
        for frame in frames:
            assert frame.colour.shape == (*size, 3)
            assert frame.colour.dtype == np.uint8
            if frame.depth is not None:
                assert frame.depth.shape == size
                assert frame.depth.dtype == np.uint16
        with_depth = [frame for frame in frames if frame.depth is not None]
        assert bool(with_depth) == config.depth  # a device may lose depth of a frame, never of all
        assert (np.diff([frame.sequence for frame in frames]) > 0).all()
        assert (np.diff([frame.stamp_ns for frame in frames]) > 0).all()

    def test_frames_are_the_callers_own(self, camera: Camera) -> None:
        """A later frame does not overwrite an earlier one."""
        camera.connect()
        first = camera.read()
        kept = first.colour.copy()
        for _ in range(3):
            camera.read()
        np.testing.assert_array_equal(first.colour, kept)
        camera.disconnect()

    def test_intrinsics_are_a_pinholes_in_pixels(self, camera: Camera, config: CameraConfig) -> None:
        """Focal lengths above zero, the centre within the image."""
        camera.connect()
        k = camera.intrinsics()
        camera.disconnect()
        assert k.shape == (3, 3)
        assert k[0, 0] > 0 < k[1, 1]
        assert 0 < k[0, 2] < config.width_px
        assert 0 < k[1, 2] < config.height_px
        np.testing.assert_array_equal(k[2], [0, 0, 1])

    def test_without_a_connection_it_is_lost_and_it_can_be_connected_again(self, camera: Camera) -> None:
        """As a reader needs it that tries again and again."""
        with pytest.raises(CameraLost):
            camera.read()
        camera.connect()
        camera.read()
        camera.disconnect()
        camera.disconnect()
        with pytest.raises(CameraLost):
            camera.read()
        camera.connect()
        camera.read()
        camera.disconnect()
