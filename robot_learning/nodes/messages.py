"""ROS messages to and from the core's own types. Nothing here waits or keeps anything."""

from __future__ import annotations

import array
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
from builtin_interfaces.msg import Time
from diagnostic_msgs.msg import DiagnosticStatus, KeyValue
from geometry_msgs.msg import PoseStamped, TwistStamped, WrenchStamped
from sensor_msgs.msg import CameraInfo, CompressedImage, Image, JointState

from robot_learning.clock import NS_PER_S
from robot_learning.decode import BadMessage, from_time, orientation_of, pick, pixels, position_of, stamp_of

__all__ = ["BadMessage", "from_time", "orientation_of", "pick", "pixels", "position_of", "stamp_of"]

OK, WARN, ERROR, STALE = (DiagnosticStatus.OK, DiagnosticStatus.WARN, DiagnosticStatus.ERROR, DiagnosticStatus.STALE)


def to_time(stamp_ns: int) -> Time:
    """Nanoseconds to ROS time."""
    return Time(sec=stamp_ns // NS_PER_S, nanosec=stamp_ns % NS_PER_S)


def vector(
    stamp_ns: int, names: Sequence[str], position: Iterable[float], velocity: Iterable[float] = (),
    effort: Iterable[float] = (), frame: str = "",
) -> JointState:  # fmt: skip
    """A named vector, such as joints or an action."""
    message = JointState()
    message.header.stamp, message.header.frame_id = to_time(stamp_ns), frame
    message.name = list(names)
    message.position, message.velocity, message.effort = (_doubles(x) for x in (position, velocity, effort))
    return message


def _doubles(values: Iterable[float]) -> array.array:
    return array.array("d", np.asarray(values, dtype=np.float64).tobytes())


def pose(stamp_ns: int, frame: str, position: np.ndarray, orientation_wxyz: np.ndarray) -> PoseStamped:
    """A pose; the quaternion is scalar first, as everywhere but in ROS."""
    message = PoseStamped()
    message.header.stamp, message.header.frame_id = to_time(stamp_ns), frame
    p, q = message.pose.position, message.pose.orientation
    p.x, p.y, p.z = (float(v) for v in position)
    q.w, q.x, q.y, q.z = (float(v) for v in orientation_wxyz)
    return message


def twist(stamp_ns: int, frame: str, linear: np.ndarray, angular: np.ndarray) -> TwistStamped:
    """A velocity: (3,) [m/s] and (3,) [rad/s]."""
    message = TwistStamped()
    message.header.stamp, message.header.frame_id = to_time(stamp_ns), frame
    for part, values in ((message.twist.linear, linear), (message.twist.angular, angular)):
        part.x, part.y, part.z = (float(v) for v in values)
    return message


def wrench(stamp_ns: int, frame: str, force: np.ndarray, torque: np.ndarray) -> WrenchStamped:
    """A wrench: (3,) [N] and (3,) [Nm]."""
    message = WrenchStamped()
    message.header.stamp, message.header.frame_id = to_time(stamp_ns), frame
    for part, values in ((message.wrench.force, force), (message.wrench.torque, torque)):
        part.x, part.y, part.z = (float(v) for v in values)
    return message


def image(stamp_ns: int, frame: str, pixels: np.ndarray) -> Image:
    """An image: (H, W, 3) uint8 as rgb8, (H, W) uint16 as 16UC1, (H, W) uint8 as mono8."""
    message = Image()
    message.header.stamp, message.header.frame_id = to_time(stamp_ns), frame
    message.height, message.width = pixels.shape[:2]
    message.encoding = "rgb8" if pixels.ndim == 3 else "mono8" if pixels.dtype == np.uint8 else "16UC1"
    message.step = pixels.strides[0] if pixels.flags.c_contiguous else pixels[0].nbytes
    # rclpy copies an array.array in one go, and anything else element by element: 0.1 ms against 120.
    message.data = array.array("B")
    message.data.frombytes(np.ascontiguousarray(pixels).reshape(-1).view(np.uint8))
    return message


def compressed(stamp_ns: int, frame: str, jpeg: bytes) -> CompressedImage:
    """A JPEG."""
    message = CompressedImage()
    message.header.stamp, message.header.frame_id = to_time(stamp_ns), frame
    message.format = "rgb8; jpeg compressed bgr8"
    message.data = array.array("B", jpeg)
    return message


def camera_info(
    stamp_ns: int, frame: str, width_px: int, height_px: int, matrix: np.ndarray,
    distortion: np.ndarray | None = None, baseline_m: float = 0.0,
) -> CameraInfo:  # fmt: skip
    """A camera's lens.

    Args:
        matrix: (3, 3) [px].
        distortion: (5,) k1, k2, p1, p2, k3; None: none.
        baseline_m: how far a stereo pair's left camera is to the left of this one; only P knows it.
    """
    message = CameraInfo()
    message.header.stamp, message.header.frame_id = to_time(stamp_ns), frame
    message.width, message.height = width_px, height_px
    message.distortion_model, message.d = "plumb_bob", _doubles([0.0] * 5 if distortion is None else distortion)
    message.k = np.asarray(matrix, dtype=np.float64).reshape(9)
    message.r = np.eye(3).reshape(9)
    message.p = np.hstack([matrix, [[-matrix[0, 0] * baseline_m], [0.0], [0.0]]]).reshape(12)
    return message


def status(name: str, level: bytes, text: str, values: Mapping[str, Any] | None = None) -> DiagnosticStatus:
    """A status line with key-value pairs."""
    pairs = [KeyValue(key=str(k), value=str(v)) for k, v in (values or {}).items()]
    return DiagnosticStatus(level=level, name=name, message=text, hardware_id="", values=pairs)


def values_of(message: DiagnosticStatus) -> dict[str, str]:
    """The key-value pairs of a status line."""
    return {pair.key: pair.value for pair in message.values}
