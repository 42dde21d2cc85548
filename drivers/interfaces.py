"""What a robot and a camera must offer. Small on purpose: a new driver is one class."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Protocol, runtime_checkable

import numpy as np

from robot_learning.errors import SafetyError, UserError


@dataclass(frozen=True)
class RobotState:
    """What was measured at one instant.

    Attributes:
        stamp_ns: when it was true [ns].
        joint_position: (J,) [rad], or [m] where a joint slides.
        joint_velocity: (J,) likewise per second.
        joint_effort: (J,) [Nm] or [N]; None where a robot does not measure it.
        ee_position: (3,) tool centre in the robot's base frame [m].
        ee_orientation: (4,) unit quaternion, scalar first, base frame.
        gripper_width: (1,) distance between the fingers [m].
        desired_position, desired_velocity: (J,) what the controller tells the joints; None where a robot does not
            say.
        base_pose: (3,) of a mobile base: x, y [m] and heading [rad] since its odometry began; None without one.
        base_velocity: (2,) forward [m/s] and turning left [rad/s]; None without one.
        command_success_rate: (1,) share of the last commands that reached the robot in time, in [0, 1]; None where a
            robot does not count them.
    """

    stamp_ns: int
    joint_position: np.ndarray
    joint_velocity: np.ndarray
    joint_effort: np.ndarray | None
    ee_position: np.ndarray
    ee_orientation: np.ndarray
    gripper_width: np.ndarray
    desired_position: np.ndarray | None = None
    desired_velocity: np.ndarray | None = None
    base_pose: np.ndarray | None = None
    base_velocity: np.ndarray | None = None
    command_success_rate: np.ndarray | None = None


@dataclass(frozen=True)
class EeTarget:
    """Where the tool should be.

    Attributes:
        stamp_ns: when the command was made [ns]; the gate refuses an old one.
        position: (3,) base frame [m].
        rotation_6d: (6,) first two columns of the rotation matrix, base frame.
        gripper_width: opening [m].
    """

    stamp_ns: int
    position: np.ndarray
    rotation_6d: np.ndarray
    gripper_width: float


@dataclass(frozen=True)
class JointTarget:
    """Where the joints should be.

    Attributes:
        stamp_ns: when the command was made [ns].
        position: (J,) [rad], or [m] where a joint slides.
        gripper_width: opening [m].
        base_velocity: (2,) forward [m/s] and turning left [rad/s], until the next command or the watchdog; None for a
            robot that stands.
    """

    stamp_ns: int
    position: np.ndarray
    gripper_width: float
    base_velocity: np.ndarray | None = None


Target = EeTarget | JointTarget


class _Seal:
    """What a gate leaves on a target it passed: names that target, so that it fits no other."""

    __slots__ = ("target",)

    def __init__(self, target: Target) -> None:
        self.target = target


@dataclass(frozen=True)
class Gated:
    """A target that passed the gate: the only thing a robot's `command` takes.

    Only :class:`robot_learning.drivers.gate.Gate` makes one; the key is how a driver tells.
    """

    target: Target
    key: object = field(repr=False)


def seal(target: Target) -> Gated:
    """For the gate alone: mark a target as checked. Its arrays become read-only."""
    target.position.flags.writeable = False
    if isinstance(target, EeTarget):
        target.rotation_6d.flags.writeable = False
    elif target.base_velocity is not None:
        target.base_velocity.flags.writeable = False
    return Gated(target, _Seal(target))


def unseal(gated: Gated) -> Target:
    """For drivers: the target within, or SafetyError for anything that the gate did not make."""
    if not (isinstance(gated, Gated) and isinstance(gated.key, _Seal) and gated.key.target is gated.target):
        raise SafetyError(
            f"a robot takes only what passed the gate, got a bare {type(gated).__name__}; "
            "send targets through robot_learning.drivers.gate.Gate.command."
        )
    return gated.target


@dataclass(frozen=True)
class CameraFrame:
    """One exposure.

    Attributes:
        stamp_ns: mid-exposure where known [ns].
        sequence: the camera's frame number.
        colour: (H, W, 3) uint8.
        depth: (H, W) uint16 millimetres, 0 where nothing returned; None without depth.
        infrared: (2, H, W) uint8, left and right; None without.
        domain: what the stamp was made of: `global_time` or `hardware_clock` (the device's clock), `system_time` or
            `v4l2` (the kernel's or librealsense's, when the picture came), `file` (when a video's picture is due),
            `arrival` (when it was read; nothing better was known). Empty: the source's own time, which is exact.
    """

    stamp_ns: int
    sequence: int
    colour: np.ndarray
    depth: np.ndarray | None
    infrared: np.ndarray | None = None
    domain: str = ""


@dataclass(frozen=True)
class Lens:
    """How a camera projects one of its images.

    Attributes:
        matrix: pinhole (3, 3) [px].
        distortion: (5,) k1, k2, p1, p2, k3 of Brown and Conrady, as OpenCV and ROS's `plumb_bob` order them.
        width_px, height_px: of the image that this holds for.
        to_colour: (4, 4) takes points in this lens's optical frame to the colour camera's [m]; the identity for colour.
    """

    matrix: np.ndarray
    distortion: np.ndarray
    width_px: int
    height_px: int
    to_colour: np.ndarray


class Robot(Protocol):
    """An arm with a gripper."""

    def connect(self) -> None:
        """Open the connection; raises UserError with what to do where it can't."""
        ...

    def observe(self) -> RobotState:
        """The newest measured state."""
        ...

    def command(self, gated: Gated) -> Target:
        """Begin moving to a gated target and return what will really be executed.

        Raises SafetyError for anything that the gate did not make.
        """
        ...

    def stop(self) -> None:
        """Decelerate and hold; callable from any thread at any time, never blocks on a command."""
        ...

    def disconnect(self) -> None:
        """Stop, then close the connection."""
        ...


class CameraLost(UserError):
    """A camera that was there gives no more frames."""


class Camera(Protocol):
    """A colour camera, perhaps with depth."""

    def connect(self) -> None:
        """Open the device; raises UserError naming the serial number where it is missing."""
        ...

    def read(self) -> CameraFrame:
        """The newest frame not yet read; blocks until there is one, raises CameraLost where none will come."""
        ...

    def intrinsics(self) -> np.ndarray:
        """The pinhole matrix (3, 3) [px] of the colour image, with which depth is aligned."""
        ...

    def distortion(self) -> np.ndarray:
        """Of the colour image: (5,) k1, k2, p1, p2, k3 (Brown and Conrady), zeros where there is none."""
        ...

    def disconnect(self) -> None:
        """Release the device."""
        ...


@runtime_checkable
class DeviceCamera(Camera, Protocol):
    """A camera that knows more than its picture."""

    def lenses(self) -> dict[str, Lens]:
        """How each image is projected, by name: `color`, and perhaps `depth`, `infra1`, `infra2`."""
        ...

    def diagnostics(self) -> dict[str, str]:
        """What the device is and how it does, for /diagnostics; `warning` tells what is not as it should be."""
        ...
