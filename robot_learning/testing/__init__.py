"""Conformance kits: a driver of ours or of yours is right once the kit for its kind passes. They need pytest.

A test class inherits a kit and gives the fixture that it asks for:

    class TestMyArm(RobotKit):
        @pytest.fixture
        def station(self):
            rig = load_rig("my_rig.yaml")
            robot = MyArm(rig, SystemClock())
            yield Station(rig, robot)
            robot.disconnect()
"""

from robot_learning.testing.cameras import CameraKit
from robot_learning.testing.robots import RobotKit, Station

__all__ = ["CameraKit", "RobotKit", "Station"]
