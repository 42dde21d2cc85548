"""A camera's frames as realsense-ros names them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import simplejpeg
from rclpy.impl.implementation_singleton import rclpy_implementation
from rclpy.publisher import Publisher

from robot_learning.drivers.interfaces import CameraFrame, Lens
from robot_learning.nodes import messages
from robot_learning.nodes.base import StationNode
from robot_learning.nodes.monitor import Monitor
from robot_learning.nodes.state_publisher import stamp
from robot_learning.rig_parts.cameras import CameraConfig


class CameraPublisher:
    """One camera of a node. What nobody listens to is neither made nor published.

    Args:
        prefix: of the declared topic names, such as `~/` or `{camera}/`.
        lenses: by image: `color`, and perhaps `depth`, `infra1`, `infra2`; or the intrinsics (3, 3) [px] of a colour
            image without distortion.
        on_demand: frames come only while somebody listens, so that none are missed otherwise.
    """

    def __init__(
        self, node: StationNode, prefix: str, name: str, config: CameraConfig, lenses: np.ndarray | Mapping[str, Lens],
        on_demand: bool = False,
    ) -> None:  # fmt: skip
        def advertise(topic: str) -> Any:
            return node.advertise(prefix + topic, camera=name)

        def picture(folder: str, image: str = "image_raw", lens: str = "color") -> _Picture:
            frame = f"{name}_optical" if lens == "color" else f"{name}_{lens}_optical"
            return _Picture(advertise(f"{folder}/{image}"), advertise(f"{folder}/camera_info"), lens, frame)

        self._node, self._config = node, config
        self._colour = picture("color")
        self._compressed = advertise("color/image_raw/compressed")
        self._depth = None
        if config.depth and config.align:
            self._depth = picture("aligned_depth_to_color")
        elif config.depth:
            self._depth = picture("depth", "image_rect_raw", "depth")
        self._infrared = []
        if config.infrared:
            self._infrared = [picture(lens, "image_rect_raw", lens) for lens in ("infra1", "infra2")]
        self.describe(lenses)
        monitor = _OnDemand(name, config.rate_hz, self) if on_demand else Monitor(name, config.rate_hz)
        self._monitor = node.monitors[name] = monitor
        self._last: int | None = None

    def describe(self, lenses: np.ndarray | Mapping[str, Lens]) -> None:
        """Take the lenses; again where another device was connected."""
        if isinstance(lenses, np.ndarray):
            size = self._config.width_px, self._config.height_px
            lenses = {"color": Lens(lenses, np.zeros(5), *size, np.eye(4))}
        for picture in (self._colour, self._depth, *self._infrared):
            if picture is not None:
                picture.describe(lenses)

    def wants_colour(self) -> bool:
        """Whether somebody listens to the colour image."""
        return _heard(self._colour.image) or _heard(self._compressed)

    def wants_depth(self) -> bool:
        """Whether somebody listens to the depth image."""
        return self._depth is not None and _heard(self._depth.image)

    def forget(self) -> None:
        """What was not published until now is no loss."""
        self._last = None

    def publish(self, frame: CameraFrame) -> None:
        """Publish a frame, and count what the camera dropped before it."""
        at = frame.stamp_ns
        missing = 0 if self._last is None else max(0, frame.sequence - self._last - 1)
        self._last = frame.sequence
        self._monitor.saw(at, self._node.clock.now_ns(), missing)
        self._colour.publish(at, frame.colour)
        if _heard(self._compressed):
            jpeg = simplejpeg.encode_jpeg(frame.colour, self._config.jpeg_quality, "RGB", "444")
            self._compressed.publish(messages.compressed(at, self._colour.frame, jpeg))
        if self._depth is not None:
            self._depth.publish(at, frame.depth)
        for index, picture in enumerate(self._infrared):
            picture.publish(at, None if frame.infrared is None else frame.infrared[index])


class _Picture:
    """One image of a camera, and what is told of its lens."""

    def __init__(self, image: Publisher, info: Publisher, lens: str, frame: str) -> None:
        self.image, self.frame = image, frame
        self._info, self._lens = info, lens

    def describe(self, lenses: Mapping[str, Lens]) -> None:
        lens = lenses[self._lens]
        # Of the pair of infrared cameras, the right one tells how far the left one is.
        baseline = 0.0
        if self._lens == "infra2":
            baseline = float(np.linalg.norm(lens.to_colour[:3, 3] - lenses["infra1"].to_colour[:3, 3]))
        self._about = messages.camera_info(
            0, self.frame, lens.width_px, lens.height_px, lens.matrix, lens.distortion, baseline
        )

    def publish(self, at: int, pixels: np.ndarray | None) -> None:
        if pixels is not None and _heard(self.image):
            self.image.publish(messages.image(at, self.frame, pixels))
        if _heard(self._info):
            stamp(self._about, at)
            self._info.publish(self._about)


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
