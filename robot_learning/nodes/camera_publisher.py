"""A camera's frames as realsense-ros names them."""

from __future__ import annotations

from typing import Any

import numpy as np
import simplejpeg
from rclpy.impl.implementation_singleton import rclpy_implementation
from rclpy.publisher import Publisher

from robot_learning.drivers.interfaces import CameraFrame
from robot_learning.nodes import messages
from robot_learning.nodes.base import StationNode
from robot_learning.nodes.monitor import Monitor
from robot_learning.nodes.state_publisher import stamp
from robot_learning.rig_parts.cameras import CameraConfig


class CameraPublisher:
    """One camera of a node. What nobody listens to is neither made nor published.

    Args:
        prefix: of the declared topic names, such as `~/` or `{camera}/`.
        matrix: intrinsics (3, 3) [px].
        on_demand: frames come only while somebody listens, so that none are missed otherwise.
    """

    def __init__(
        self, node: StationNode, prefix: str, name: str, config: CameraConfig, matrix: np.ndarray,
        on_demand: bool = False,
    ) -> None:  # fmt: skip
        def advertise(topic: str) -> Any:
            return node.advertise(prefix + topic, camera=name)

        self._node, self._config, self._frame = node, config, f"{name}_optical"
        self._image = advertise("color/image_raw")
        self._compressed = advertise("color/image_raw/compressed")
        self._infos = [advertise("color/camera_info")]
        self._depth = None
        if config.depth:
            self._depth = advertise("aligned_depth_to_color/image_raw")
            self._infos.append(advertise("aligned_depth_to_color/camera_info"))
        self._about = messages.camera_info(0, self._frame, config.width_px, config.height_px, matrix)
        monitor = _OnDemand(name, config.rate_hz, self) if on_demand else Monitor(name, config.rate_hz)
        self._monitor = node.monitors[name] = monitor
        self._last: int | None = None

    def wants_colour(self) -> bool:
        """Whether somebody listens to the colour image."""
        return _heard(self._image) or _heard(self._compressed)

    def wants_depth(self) -> bool:
        """Whether somebody listens to the depth image."""
        return self._depth is not None and _heard(self._depth)

    def forget(self) -> None:
        """What was not published until now is no loss."""
        self._last = None

    def publish(self, frame: CameraFrame) -> None:
        """Publish a frame, and count what the camera dropped before it."""
        at = frame.stamp_ns
        missing = 0 if self._last is None else max(0, frame.sequence - self._last - 1)
        self._last = frame.sequence
        self._monitor.saw(at, self._node.clock.now_ns(), missing)
        if _heard(self._image):
            self._image.publish(messages.image(at, self._frame, frame.colour))
        if _heard(self._compressed):
            jpeg = simplejpeg.encode_jpeg(frame.colour, self._config.jpeg_quality, "RGB", "444")
            self._compressed.publish(messages.compressed(at, self._frame, jpeg))
        if self._depth is not None and frame.depth is not None and self.wants_depth():
            self._depth.publish(messages.image(at, self._frame, frame.depth))
        stamp(self._about, at)
        for info in self._infos:
            if _heard(info):
                info.publish(self._about)


def _heard(publisher: Publisher) -> bool:
    """Whether somebody listens; nobody does once ROS has ended, which a camera's own thread may learn last."""
    try:
        return bool(publisher.get_subscription_count())
    except (rclpy_implementation.RCLError, rclpy_implementation.InvalidHandle):
        return False


class _OnDemand(Monitor):
    """Complains only while somebody listens."""

    def __init__(self, name: str, rate_hz: float, camera: CameraPublisher) -> None:
        super().__init__(name, rate_hz)
        self._camera = camera

    def complaint(self, now_ns: int) -> str:
        wanted = self._camera.wants_colour() or self._camera.wants_depth()
        return super().complaint(now_ns) if wanted else ""
