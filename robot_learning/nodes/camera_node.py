"""One camera of a rig."""

from __future__ import annotations

import numpy as np
from diagnostic_msgs.msg import DiagnosticStatus

from robot_learning.drivers.cameras.reader import CameraReader
from robot_learning.drivers.cameras.registry import make_camera
from robot_learning.drivers.interfaces import CameraFrame, DeviceCamera, Lens
from robot_learning.errors import unknown_name
from robot_learning.nodes import declarations as declared
from robot_learning.nodes import messages
from robot_learning.nodes.base import StationNode, run
from robot_learning.nodes.camera_publisher import CameraPublisher
from robot_learning.nodes.outbox import Notices, Outbox

_QUEUED = 4  # frames; more would only be late


class CameraNode(StationNode):
    """Any camera; one thread reads it, another publishes."""

    declaration = declared.CAMERA
    _reader: CameraReader | None = None

    def configure(self) -> None:
        name = self.param("camera") or self.get_name()
        if name not in self.rig.cameras:
            raise unknown_name(f"camera of the rig {self.rig.name}", name, self.rig.cameras)
        config = self.rig.cameras[name]
        camera = make_camera(name, config, self.clock)
        camera.connect()
        self._device, self._config = camera, config
        self._camera = CameraPublisher(self, "~/", name, config, self._lenses())
        self._about = self.advertise("~/device")
        self._frames: Outbox[CameraFrame] = Outbox("frames", self._publish, _QUEUED)
        self._troubles: Notices[str] = Notices(self, self._tell_trouble)
        self._reader = CameraReader(camera, self._frames.put, self._troubles.put)
        self._reader.begin()

    def activate(self) -> None:
        self._camera.forget()

    def close(self) -> None:
        if self._reader is not None:
            self._reader.end()
            self._frames.close()

    def _lenses(self) -> dict[str, Lens]:
        camera, config = self._device, self._config
        if isinstance(camera, DeviceCamera):
            return camera.lenses()
        lens = Lens(camera.intrinsics(), camera.distortion(), config.width_px, config.height_px, np.eye(4))
        return {"color": lens}

    def _publish(self, frame: CameraFrame) -> None:
        if self.active:
            self._camera.publish(frame)

    def _tell_trouble(self, text: str) -> None:
        if text:
            self.fault("camera", text)
        else:
            self.clear_fault("camera")
            self._camera.describe(self._lenses())
            self.get_logger().info("the camera is back")

    def diagnose(self) -> list[DiagnosticStatus]:
        if self._reader is None:
            return []
        dropped, reconnections = self._frames.dropped, self._reader.reconnections
        text = f"{dropped} frames were dropped before they could be published" if dropped else "ok"
        values = {"dropped": dropped, "reconnections": reconnections}
        level = messages.WARN if dropped else messages.OK
        lines = [messages.status(f"{self.get_name()}: queue", level, text, values)]
        if isinstance(self._device, DeviceCamera):
            about = self._device.diagnostics()
            warning = about.pop("warning", "")
            level = messages.WARN if warning else messages.OK
            lines.append(messages.status(f"{self.get_name()}: device", level, warning or "ok", about))
            self._about.publish(lines[-1])
        return lines


def main(arguments: list[str] | None = None) -> None:
    """The executable `camera_node`."""
    run(CameraNode, arguments)


if __name__ == "__main__":
    main()
