"""The simulated Stretch's base: two driven wheels, so it goes forward and turns, never sideways."""

from __future__ import annotations

import math

import numpy as np

from robot_learning.clock import seconds_to_ns
from robot_learning.drivers.mujoco.stretch import BASE_JOINTS, DAMPING_S
from robot_learning.drivers.mujoco.world import World

# Of the wheels, by stretch_body 0.7.31's robot_params_SE3 (base, motion, max): 0.3 m/s and 0.3 m/s^2, half of
# wheel_separation_m = 0.3153 from the middle.
SPEED_MAX = np.array([0.3, 0.3 / 0.1577])  # [m/s, rad/s]
ACCELERATION_MAX = np.array([0.3, 0.3 / 0.1577])
TIMEOUT_NS = seconds_to_ns(0.5)  # a velocity holds so long without a new one
_LEASH = np.array([0.03, 0.03, 0.1])  # the reference is never farther ahead than this [m, m, rad]


class Base:
    """Drives the base's planar joints along a reference that moves as a unicycle.

    Its speed changes no faster than `ACCELERATION_MAX`, also in a stop: then over `deceleration_time_s` or as long as
    that takes.

    Args:
        rate_hz: how often :meth:`drive` is called.
    """

    def __init__(self, world: World, rate_hz: float) -> None:
        model, self._data = world.model, world.data
        joints = [model.joint(name) for name in BASE_JOINTS]
        self._q = np.array([int(joint.qposadr[0]) for joint in joints])
        self._v = np.array([int(joint.dofadr[0]) for joint in joints])
        self._drives = np.array([model.actuator(name).id for name in BASE_JOINTS])
        self._period_s = 1 / rate_hz
        self.place(np.zeros(3))

    def place(self, pose: np.ndarray) -> None:
        """Stand at x, y [m] and heading [rad] of the world; odometry begins there."""
        self._data.qpos[self._q] = pose
        self._data.qvel[self._v] = 0
        self._origin, self._reference = pose.copy(), pose.copy()
        self._velocity, self._wanted, self._until_ns = np.zeros(2), np.zeros(2), 0
        self._data.ctrl[self._drives] = pose

    def to(self, velocity: np.ndarray, now_ns: int) -> np.ndarray:
        """Take on a velocity (2,) [m/s, rad/s] for the next 0.5 s; what the wheels allow of it."""
        self._wanted = np.clip(velocity, -SPEED_MAX, SPEED_MAX)
        self._until_ns = now_ns + TIMEOUT_NS
        return self._wanted.copy()

    def stop(self) -> None:
        """Come to rest."""
        self._wanted = np.zeros(2)

    def drive(self, now_ns: int) -> None:
        """One period of control."""
        if now_ns >= self._until_ns:
            self._wanted = np.zeros(2)
        step = ACCELERATION_MAX * self._period_s
        self._velocity = np.clip(self._wanted, self._velocity - step, self._velocity + step)
        forward, turn = self._velocity
        heading = self._reference[2] + turn * self._period_s / 2
        rates = np.array([forward * math.cos(heading), forward * math.sin(heading), turn])
        measured = self._data.qpos[self._q]
        self._reference = np.clip(self._reference + rates * self._period_s, measured - _LEASH, measured + _LEASH)
        # As for the joints: the drive's damping must not hold back what is meant to move.
        self._data.ctrl[self._drives] = self._reference + DAMPING_S * rates

    @property
    def pose(self) -> np.ndarray:
        """Measured x, y [m] and heading [rad] (3,) since odometry began."""
        x, y, heading = self._data.qpos[self._q] - self._origin
        c, s = math.cos(self._origin[2]), math.sin(self._origin[2])
        return np.array([c * x + s * y, c * y - s * x, heading])

    @property
    def velocity(self) -> np.ndarray:
        """Measured, forward [m/s] and turning left [rad/s] (2,)."""
        heading = self._data.qpos[self._q[2]]
        x, y, turn = self._data.qvel[self._v]
        return np.array([math.cos(heading) * x + math.sin(heading) * y, turn])
