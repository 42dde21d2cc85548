"""The scripted expert of the Stretch tasks: a smooth function of the state, with a little seeded variation."""

from __future__ import annotations

import math

import numpy as np

from robot_learning.drivers.interfaces import JointTarget, RobotState, Target
from robot_learning.errors import ConfigError
from robot_learning.rig import Rig
from robot_learning.rotation import quaternion_to_matrix
from robot_learning.sim.tabletop import Task

_MARGIN = 0.7  # share of the rig's limits that it uses, so that the gate has nothing to clip
_GAIN = 3.0  # speed per distance of a joint [1/s]
_BASE_GAIN = 2.0
_WANDER_M = 0.008
_WANDER_MEMORY = 0.85  # of the wander from one step to the next; uncorrelated noise would only shake the arm
_STEADY_M = 0.10  # closer to the waypoint than this, the wander shrinks with the distance
_PITCH_RAD = -1.5  # fingers down, as far as the wrist's range allows with some room
_LIFT, _ARM, _YAW, _PITCH, _ROLL, _PAN, _TILT = range(7)
_EYE_M = (0.0061, 0.0, 1.32)  # where the head looks from, in the base frame


class StretchExpert:
    """Steers the tool to the task's waypoint: lift for z, arm for y, the base for x and the wrist for the yaw.

    The head looks at the cube. It keeps no phase and no timer: all follows from the measured state, as a policy's
    actions must; only speeds differ from the present ones by no more than the limits allow. While the tool is far
    from its waypoint the path wanders, so that demonstrations show states beside the straight path.

    Args:
        wander_m: standard deviation of the wander [m].

    Raises:
        ConfigError: the rig takes other targets than joints, or its base stands.
    """

    def __init__(self, rig: Rig, task: Task, wander_m: float = _WANDER_M) -> None:
        limits = rig.limits
        if rig.robot.command != "joint_target" or limits.base is None:
            raise ConfigError(f"the rig {rig.name}: the Stretch's expert needs command: joint_target and base: true.")
        self._task, self._wander_m = task, wander_m
        self._period_s = 1 / rig.policy.rate_hz
        base = limits.base
        self._speed = _MARGIN * np.array(limits.joint_velocity_max)
        self._acceleration = _MARGIN * np.array(limits.joint_acceleration_max)
        self._base_speed = _MARGIN * np.array([base.speed_max_m_s, base.angular_speed_max_rad_s])
        self._base_acceleration = _MARGIN * np.array([base.acceleration_max_m_s2, base.angular_acceleration_max_rad_s2])
        self._low = np.array(limits.joint_position_min)
        self._high = np.array(limits.joint_position_max)
        self.reset()

    def reset(self) -> None:
        """Stand still."""
        self._velocity, self._drive, self._wander = np.zeros(7), np.zeros(2), np.zeros(3)

    def act(
        self, state: RobotState, objects: dict[str, np.ndarray], reference: Target | None, rng: np.random.Generator
    ) -> np.ndarray:
        """Joints (7), gripper width and the base's velocity (2), one period after the last.

        Args:
            objects: newest values of the task's own streams.
            reference: where the robot was last told to be; None at first.
            rng: where the wander comes from.
        """
        T = self._period_s
        want = self._task.expert(objects, state)
        away = want.position - state.ee_position
        draw = rng.normal(0, self._wander_m, 3)
        self._wander = _WANDER_MEMORY * self._wander + math.sqrt(1 - _WANDER_MEMORY**2) * draw
        away = away + self._wander * min(1.0, math.sqrt(away @ away) / _STEADY_M)
        joints = reference.position if isinstance(reference, JointTarget) else state.joint_position
        goal = np.clip(self._goal(state, away, want.yaw, objects["cube_position"]), self._low, self._high)
        wanted = _approach(goal - joints, _GAIN, self._speed, self._acceleration)
        step = self._acceleration * T
        self._velocity = np.clip(wanted, self._velocity - step, self._velocity + step)
        # The arm points to -y: forward is along the table, and turning left takes the table's heading to zero.
        drive = np.array([away[0], objects["table_heading"][0]])
        wanted = _approach(drive, _BASE_GAIN, self._base_speed, self._base_acceleration)
        step = self._base_acceleration * T
        self._drive = np.clip(wanted, self._drive - step, self._drive + step)
        return np.concatenate([joints + self._velocity * T, [want.gripper_width], self._drive])

    def _goal(self, state: RobotState, away: np.ndarray, yaw: float, cube: np.ndarray) -> np.ndarray:
        """Where the joints (7,) should come to."""
        now, fingers = state.joint_position, quaternion_to_matrix(state.ee_orientation)[:, 1]
        turn = (yaw - math.atan2(fingers[1], fingers[0]) + math.pi) % (2 * math.pi) - math.pi
        x, y, z = cube - _EYE_M
        goal = np.zeros(7)
        goal[_LIFT], goal[_ARM] = now[_LIFT] + away[2], now[_ARM] - away[1]
        goal[_PITCH], goal[_ROLL] = _PITCH_RAD, now[_ROLL] - turn  # fingers down, roll turns them clockwise
        goal[_PAN], goal[_TILT] = math.atan2(y, x), math.atan2(z, math.hypot(x, y))
        return goal


def _approach(distance: np.ndarray, gain: float, speed: np.ndarray, acceleration: np.ndarray) -> np.ndarray:
    """Velocities towards goals, in proportion to the distance near by and with room to brake far off."""
    far = np.abs(distance)
    return np.sign(distance) * np.minimum(np.minimum(speed, gain * far), np.sqrt(acceleration * far))
