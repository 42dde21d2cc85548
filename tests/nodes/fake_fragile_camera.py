"""camera_node with a fake camera type, `fragile`: a test pattern that is gone while a file `unplugged` exists."""

import os
from pathlib import Path

from robot_learning.drivers.cameras import registry
from robot_learning.drivers.cameras.pattern import PatternCamera
from robot_learning.drivers.interfaces import CameraLost
from robot_learning.nodes.camera_node import main


class FakeFragileCamera(PatternCamera):
    def connect(self):
        self._check()
        super().connect()

    def read(self):
        self._check()
        return super().read()

    def _check(self):
        if Path(os.environ["FAKE_CAMERA_FOLDER"], "unplugged").exists():
            raise CameraLost(f"the camera '{self.name}' (serial number 0123) is not there; plug it in.")


if __name__ == "__main__":
    registry.CAMERAS["fragile"] = ("__main__", "FakeFragileCamera")
    main()
