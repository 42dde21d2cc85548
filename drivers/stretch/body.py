"""What the Stretch driver needs of a body: the genuine robot through the library's process, or a fake one."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np

# Names as stretch_ros2 has them. `wrist_extension` is the whole telescope, which the URDF splits over four joints.
LIFT, ARM = "joint_lift", "wrist_extension"
YAW, PITCH, ROLL = "joint_wrist_yaw", "joint_wrist_pitch", "joint_wrist_roll"
PAN, TILT = "joint_head_pan", "joint_head_tilt"
GRIPPER = "gripper_width"
UNITS = {LIFT: "m", ARM: "m", YAW: "rad", PITCH: "rad", ROLL: "rad", PAN: "rad", TILT: "rad"}


@dataclass(frozen=True)
class Span:
    """What one joint can do, in its unit (m, rad; the gripper: metres of opening).

    Attributes:
        velocity_max, acceleration_max: what the body itself caps motions at.
    """

    low: float
    high: float
    velocity_max: float
    acceleration_max: float


@dataclass(frozen=True)
class BodyModel:
    """Which Stretch it is.

    Attributes:
        name: `RE1V0`, `RE2V0` or `SE3`.
        tool: end of arm, such as `eoa_wrist_dw3_tool_sg3`.
        joints: span of each joint that it has, by name, and of `gripper_width` where it has a gripper.
        base_speed_max_m_s, base_acceleration_max_m_s2: of a wheel.
        status_rate_hz: how often the body itself reads lift, arm and base.
        wheel_separation_m: between the driven wheels.
    """

    name: str
    tool: str
    joints: dict[str, Span]
    base_speed_max_m_s: float
    base_acceleration_max_m_s2: float
    status_rate_hz: float
    wheel_separation_m: float = 0.3153


@dataclass(frozen=True)
class BodyStatus:
    """What the body measured last.

    Attributes:
        stamp_ns: when lift, arm and base were read, by the clock that the driver has [ns].
        position, velocity: by joint name [m, rad and per second], and of `gripper_width` [m, m/s].
        effort: by joint name, per cent of the motor's most (-100 to 100); not Newton.
        base_pose: (3,) x, y [m], heading [rad], by wheel odometry since startup.
        base_velocity: (2,) forward [m/s], turning left [rad/s].
        runstop: whether the runstop is on: every motor is off or in its safety mode.
        contacts: joints (and `base`) that now stand because of a guarded contact.
        contact_count: guarded contacts of each since startup; one that was brief still counts.
        collisions: joints that the body's own collision manager holds back.
        battery_v: volts; 0 where unknown.
        oldest_s: age of the oldest part of this status when it was put together [s].
        busy: `homing`, `stowing` or empty.
        fault: why the body can't be used; empty: it can.
    """

    stamp_ns: int
    position: Mapping[str, float]
    velocity: Mapping[str, float]
    base_pose: np.ndarray
    base_velocity: np.ndarray
    effort: Mapping[str, float] = field(default_factory=dict)
    runstop: bool = False
    contacts: tuple[str, ...] = ()
    contact_count: Mapping[str, int] = field(default_factory=dict)
    collisions: tuple[str, ...] = ()
    battery_v: float = 0.0
    oldest_s: float = 0.0
    busy: str = ""
    fault: str = ""


@dataclass(frozen=True)
class Motion:
    """Where one joint shall go, with a trapezoidal profile that begins at its present motion.

    Attributes:
        position: [m] or [rad]; metres of opening for the gripper.
        velocity, acceleration: at most; both above 0.
        guard: effort [%] below and above which a guarded contact ends the motion; None: the robot's own setting.
            Only lift and arm have guards.
    """

    position: float
    velocity: float
    acceleration: float
    guard: tuple[float, float] | None = None


class StretchBody(Protocol):
    """A Stretch as the driver sees it. Nothing here checks anything: the driver does, and the gate before it.

    Like the genuine library, a body ignores motions that it can't make; so ask `is_homed` and `status` first.

    It may have `heard`, which the driver then sets: called from any thread with each new status.
    """

    def startup(self) -> bool:
        """Open the connections; True where every device answers. `model` and `status` are known afterwards."""
        ...

    def is_homed(self) -> bool:
        """Whether every joint that needs it has found its zero since power came on."""
        ...

    def model(self) -> BodyModel:
        """Which Stretch it is."""
        ...

    def status(self) -> BodyStatus:
        """The newest, at once; the same one again where nothing new was measured."""
        ...

    def move_to(self, motions: Mapping[str, Motion]) -> None:
        """Joints to positions, by name, `gripper_width` too; takes effect with `push`."""
        ...

    def set_base_velocity(self, forward: float, turn: float, acceleration: float) -> None:
        """Base to a velocity [m/s, rad/s] with at most `acceleration` [m/s^2, of a wheel]; with `push`."""
        ...

    def push(self) -> None:
        """Let what was asked for begin, all at once; also tells the body that its driver lives."""
        ...

    def prepare(self, what: str) -> None:
        """`home`: find the joints' zeros at their hard stops; `stow`: fold the arm. Blocks, for a minute or so."""
        ...

    def close(self) -> None:
        """Base to rest; then the connections end, as the body itself ends them."""
        ...
