"""From a stream of joint positions to motions that don't halt between two of them."""

from __future__ import annotations

import numpy as np

from robot_learning.clock import NS_PER_S
from robot_learning.drivers.stretch.body import GRIPPER, BodyStatus, Motion
from robot_learning.rig import Rig
from robot_learning.rig_parts.stretch import StretchConfig

_CATCH_UP_S = 0.2  # what lags behind is made up for in about this time
_LEAST_SHARE = 1 / 8  # of the speed limit; speeds are rounded up to such steps, each change costs the wrist's bus time
_GRIPPER_RAMP_S = 0.25
_SAME = 3e-4  # [m or rad] nearer than this is what it was told before
_REST_SPEED = 1e-3  # a profile needs some speed even to hold


class JointStream:
    """Each target becomes one trapezoidal motion per joint, with its own speed and the rig's acceleration.

    Stretch's motors brake before the position that they are told, so that a stream of positions would make them lag
    or halt between two. So a moving joint is told the place where the target itself would come to rest, v^2 / 2a
    ahead of it: the gate lets no target brake harder. That place stays within the joint's limits.

    A joint is told only what is new: a servo that is stalled backs off by itself (`stall_backoff` in the library),
    which the same order again and again would undo until it is too hot.
    """

    def __init__(self, rig: Rig) -> None:
        limits = rig.limits
        self._names = rig.robot.joint_names
        self._low, self._high = np.array(limits.joint_position_min), np.array(limits.joint_position_max)
        self._speed, self._acceleration = np.array(limits.joint_velocity_max), np.array(limits.joint_acceleration_max)
        self._period_s = 1 / rig.policy.rate_hz
        self._duration_s = rig.watchdog.deceleration_time_s
        config = rig.stretch or StretchConfig()
        self._guards: dict[str, tuple[float, float]] = {
            name: config.guards_percent[name] for name in config.guards_percent
        }
        self._gripper_speed, self._closed_m, self._squeeze_m = (
            config.gripper_velocity_m_s, limits.gripper_width_min_m, config.squeeze_m,
        )  # fmt: skip
        self.reference: np.ndarray | None = None  # (J,) what the joints were last told
        self._told_ns = 0
        self._ends: dict[str, float] = {}  # where each joint was last told to end

    def hold(self, status: BodyStatus) -> None:
        """Begin where the robot is."""
        self.reference = np.array([status.position[name] for name in self._names], dtype=np.float64)
        self._told_ns = 0
        self._ends.clear()

    def desired(self) -> np.ndarray | None:
        """What the joints are told (J,)."""
        return None if self.reference is None else self.reference.copy()

    def to(self, position: np.ndarray, status: BodyStatus, now_ns: int) -> tuple[np.ndarray, dict[str, Motion]]:
        """The position (J,) that will be reached, and the motions that lead there.

        Args:
            position: (J,) the next target.
        """
        assert self.reference is not None
        elapsed_s = self._period_s if not self._told_ns else (now_ns - self._told_ns) / NS_PER_S
        elapsed_s = min(max(elapsed_s, self._period_s / 2), 4 * self._period_s)
        # A tool's pose knows nothing of joint limits; joint targets are within them already.
        most = self._speed * elapsed_s * 1.01
        goal = np.clip(position, self.reference - most, self.reference + most).clip(self._low, self._high)
        velocity = (goal - self.reference) / elapsed_s
        measured = np.array([status.position[name] for name in self._names], dtype=np.float64)
        end = (goal + velocity * np.abs(velocity) / (2 * self._acceleration)).clip(self._low, self._high)
        speed = np.abs(velocity) + np.abs(goal - measured) / _CATCH_UP_S
        speed = np.ceil(speed / self._speed / _LEAST_SHARE).clip(1, 1 / _LEAST_SHARE) * _LEAST_SHARE * self._speed
        self.reference, self._told_ns = goal, now_ns
        for name in status.collisions:  # the library dropped what these were told
            self._ends.pop(name, None)
        motions = self._motions(end, speed, self._acceleration)
        return goal, {name: motion for name, motion in motions.items() if self._news(name, motion)}

    def brake(self, status: BodyStatus) -> dict[str, Motion]:
        """From the measured motion to rest with constant deceleration, within the rig's deceleration time.

        A profile from v with speed limit |v| and deceleration |v| / T ends at q + v T / 2 after T.
        """
        q = np.array([status.position[name] for name in self._names], dtype=np.float64)
        v = np.array([status.velocity[name] for name in self._names], dtype=np.float64)
        speed = np.maximum(np.abs(v), _REST_SPEED)
        end = q + v * self._duration_s / 2
        self.reference, self._told_ns = end, 0
        self._ends.clear()
        return self._motions(end, speed, speed / self._duration_s)

    def gripper(self, width: float) -> dict[str, Motion]:
        """To an opening [m], if that is new; closed means a little beyond touching, so that it holds."""
        at = width - self._squeeze_m if width <= self._closed_m + 1e-3 else width
        motion = Motion(at, self._gripper_speed, self._gripper_speed / _GRIPPER_RAMP_S)
        return {GRIPPER: motion} if self._news(GRIPPER, motion) else {}

    def _news(self, name: str, motion: Motion) -> bool:
        if abs(motion.position - self._ends.get(name, np.inf)) < _SAME:
            return False
        self._ends[name] = motion.position
        return True

    def _motions(self, end: np.ndarray, speed: np.ndarray, acceleration: np.ndarray) -> dict[str, Motion]:
        values = zip(self._names, end, speed, acceleration, strict=True)
        return {name: Motion(float(x), float(v), float(a), self._guards.get(name)) for name, x, v, a in values}
