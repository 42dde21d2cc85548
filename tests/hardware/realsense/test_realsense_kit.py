"""The kit that every camera driver must pass, on the RealSense driver playing a recording."""

import pytest

from robot_learning.clock import SystemClock
from robot_learning.drivers.cameras.registry import make_camera
from robot_learning.drivers.cameras.synthetic import Synthetic, record
from robot_learning.rig_parts.cameras import CameraConfig
from robot_learning.testing import CameraKit


@pytest.fixture(scope="module")
def recording(tmp_path_factory):
    path = tmp_path_factory.mktemp("kit") / "kit.db3"
    return record(path, 3.0, Synthetic(width_px=320, height_px=240, rate_hz=30))


class TestKit(CameraKit):
    @pytest.fixture
    def config(self, recording):
        return CameraConfig(
            type="realsense", file=str(recording), loop=True, width_px=320, height_px=240, rate_hz=30, depth=True
        )

    @pytest.fixture
    def camera(self, config):
        return make_camera("front", config, SystemClock())
