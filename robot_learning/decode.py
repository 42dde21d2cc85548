"""What a stream reads out of a message: the same for messages of rclpy and of `rosbags`, whose fields agree."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from robot_learning.clock import NS_PER_S
from robot_learning.contract import StreamSpec
from robot_learning.rig_parts.sections import TopicConfig


class BadMessage(ValueError):
    """A message that can't be used; its text names what is wrong with it."""


def from_time(time: Any) -> int:
    """ROS time to nanoseconds."""
    return int(time.sec) * NS_PER_S + int(time.nanosec)


def stamp_of(message: Any) -> int:
    """A message's header stamp [ns]; BadMessage where the header was never stamped."""
    stamp = from_time(message.header.stamp)
    if stamp == 0:
        raise BadMessage("its header is not stamped")
    return stamp


def value(message: Any, spec: StreamSpec, config: TopicConfig) -> np.ndarray:
    """A stream's value, checked against its spec. An image may be a read-only view into the message.

    Raises:
        BadMessage: it lacks names, has another shape or type than the contract says, or is not finite.
    """
    out = _READ[config.field](message, config)
    if config.scale != 1.0 and out.dtype.kind == "f":
        out = out * config.scale
    if out.shape != spec.shape:
        raise BadMessage(f"its shape is {out.shape}, the contract says {spec.shape}")
    if out.dtype != np.dtype(spec.dtype):
        raise BadMessage(f"its type is {out.dtype}, the contract says {spec.dtype}")
    if out.dtype.kind == "f" and not np.isfinite(out).all():
        raise BadMessage("it is not finite")
    return out


def pick(message: Any, field: str, names: Sequence[str]) -> np.ndarray:
    """One field of a JointState as (len(names),) float64, by name; without names, as it is.

    Raises:
        BadMessage: a name that the message lacks, or a field of another length than the names.
    """
    values = np.array(getattr(message, field), dtype=np.float64)
    if not names:
        return values
    own = list(message.name)
    if own == list(names) and len(values) == len(own):
        return values
    missing = [name for name in names if name not in own]
    if missing:
        raise BadMessage(f"it names {own}, without {missing}")
    if len(values) != len(own):
        raise BadMessage(f"it has {len(own)} names and {len(values)} values of '{field}'")
    return values[[own.index(name) for name in names]]


def position_of(message: Any) -> np.ndarray:
    """(3,) [m] of a PoseStamped."""
    return _xyz(message.pose.position)


def orientation_of(message: Any) -> np.ndarray:
    """(4,) unit quaternion of a PoseStamped, scalar first, its scalar not negative.

    Raises:
        BadMessage: it is no unit quaternion.
    """
    o = message.pose.orientation
    q = np.array([o.w, o.x, o.y, o.z])
    if not abs(float(q @ q) - 1) < 0.01:
        raise BadMessage(f"its orientation {np.round(q, 3).tolist()} (w, x, y, z) is no unit quaternion")
    return -q if q[0] < 0 else q


_BGR = slice(None, None, -1)
_ENCODINGS = {"rgb8": (np.uint8, 3, None), "bgr8": (np.uint8, 3, _BGR), "16UC1": (np.uint16, 1, None),
              "mono16": (np.uint16, 1, None)}  # fmt: skip


def pixels(message: Any) -> np.ndarray:
    """An Image's content: (H, W, 3) uint8 RGB or (H, W) uint16. Not a copy where none is needed, and then read-only.

    Raises:
        BadMessage: another encoding, or less data than its size says.
    """
    if message.encoding not in _ENCODINGS:
        raise BadMessage(f"its encoding is '{message.encoding}'; allowed: {', '.join(_ENCODINGS)}")
    kind, channels, order = _ENCODINGS[message.encoding]
    dtype = np.dtype(kind)
    height, width, row = message.height, message.width, message.width * channels * dtype.itemsize
    if message.step < row or len(message.data) < message.step * height:
        raise BadMessage(
            f"its size is {width} x {height}, its data {len(message.data)} bytes in rows of {message.step}"
        )
    rows = np.frombuffer(message.data, np.uint8, message.step * height).reshape(height, message.step)[:, :row]
    out = np.ascontiguousarray(rows).view(dtype.newbyteorder(">" if message.is_bigendian else "<"))
    out = out.astype(dtype, copy=False)
    if channels > 1:
        out = out.reshape(height, width, channels)
    if order is not None:
        out = np.ascontiguousarray(out[..., order])
    out.flags.writeable = False
    return out


def _numbers(message: Any, config: TopicConfig) -> np.ndarray:
    if config.field == "position" and hasattr(message, "pose"):
        return position_of(message)
    return pick(message, config.field, config.names)


def _xyz(v: Any) -> np.ndarray:
    return np.array([v.x, v.y, v.z])


def _pose2d(message: Any) -> np.ndarray:
    """Where a base is: x, y [m] and heading [rad] in (-pi, pi]."""
    at, q = message.pose.pose.position, message.pose.pose.orientation
    return np.array([at.x, at.y, math.atan2(2 * (q.w * q.z + q.x * q.y), 1 - 2 * (q.y**2 + q.z**2))])


def _velocity2d(message: Any) -> np.ndarray:
    """How a base moves: forward [m/s] and turning left [rad/s]."""
    return np.array([message.twist.twist.linear.x, message.twist.twist.angular.z])


def _image(message: Any, config: TopicConfig) -> np.ndarray:
    if config.type == "sensor_msgs/Image":
        return pixels(message)
    import simplejpeg

    try:
        return simplejpeg.decode_jpeg(memoryview(message.data), colorspace="RGB")
    except ValueError as error:
        raise BadMessage(f"it is no JPEG ({error})") from None


_READ: dict[str, Callable[[Any, TopicConfig], np.ndarray]] = {
    "position": _numbers,
    "velocity": _numbers,
    "effort": _numbers,
    "orientation": lambda m, _: orientation_of(m),
    "linear": lambda m, _: _xyz(m.twist.linear),
    "angular": lambda m, _: _xyz(m.twist.angular),
    "twist": lambda m, _: np.concatenate([_xyz(m.twist.linear), _xyz(m.twist.angular)]),
    "force": lambda m, _: _xyz(m.wrench.force),
    "torque": lambda m, _: _xyz(m.wrench.torque),
    "wrench": lambda m, _: np.concatenate([_xyz(m.wrench.force), _xyz(m.wrench.torque)]),
    "pose2d": lambda m, _: _pose2d(m),
    "velocity2d": lambda m, _: _velocity2d(m),
    "point": lambda m, _: _xyz(m.point),
    "image": _image,
}
