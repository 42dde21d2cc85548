"""The kit for cameras, on those that need no device."""

import numpy as np
import pytest

from robot_learning.clock import SystemClock
from robot_learning.drivers.cameras.registry import make_camera
from robot_learning.rig_parts.cameras import CameraConfig
from robot_learning.testing import CameraKit


class TestPattern(CameraKit):
    @pytest.fixture
    def config(self):
        return CameraConfig(type="pattern", width_px=64, height_px=48, rate_hz=60, depth=True)

    @pytest.fixture
    def camera(self, config):
        return make_camera("front", config, SystemClock())


class TestVideo(CameraKit):
    @pytest.fixture
    def config(self, tmp_path):
        imageio = pytest.importorskip("imageio")
        path = tmp_path / "video.mp4"
        with imageio.get_writer(path, fps=30, macro_block_size=16) as writer:
            for i in range(60):
                writer.append_data(np.full((48, 64, 3), 2 * i, np.uint8))
        return CameraConfig(type="video", file=str(path), width_px=64, height_px=48, rate_hz=30)

    @pytest.fixture
    def camera(self, config):
        return make_camera("front", config, SystemClock())
