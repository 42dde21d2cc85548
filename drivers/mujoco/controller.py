"""Position control of a simulated arm: targets to joint references, references to the drives."""

from __future__ import annotations

import numpy as np

from robot_learning.clock import NS_PER_S, seconds_to_ns
from robot_learning.drivers.braking import Braking
from robot_learning.drivers.interfaces import EeTarget, JointTarget, Target
from robot_learning.drivers.mujoco.kinematics import Kinematics
from robot_learning.drivers.mujoco.layout import Layout
from robot_learning.drivers.mujoco.world import World
from robot_learning.rig_parts.limits import Limits
from robot_learning.rotation import matrix_to_rotation_6d, rotation_6d_to_matrix

CONTROL_RATE_HZ = 200


class Controller:
    """Follows targets with joint references that move linearly from one command to the next.

    Joint position and speed limits hold here too, for tool targets: the gate can't know the joints
    that a tool pose needs.

    Args:
        damping_s: kv / kp of the joint drives; the feed-forward takes its lag away.
        period_s: how long a target may take [s]: one command period.
        deceleration_time_s: how long a stop takes [s].
    """

    def __init__(
        self,
        world: World,
        layout: Layout,
        kinematics: Kinematics,
        limits: Limits,
        damping_s: float,
        period_s: float,
        deceleration_time_s: float,
    ) -> None:
        self._data, self._layout, self._damping_s = world.data, layout, damping_s
        self.kinematics = kinematics
        self._step_max = np.array(limits.joint_velocity_max) * period_s
        self._period_ns = seconds_to_ns(period_s)
        self._deceleration_time_s = deceleration_time_s
        self._still = np.zeros(layout.joints)
        self.start()
        world.every(CONTROL_RATE_HZ, self._drive)

    def start(self) -> None:
        """Hold the present joints; called when the world starts."""
        self._braking: Braking | None = None
        self._hold(self._data.qpos[self._layout.q].copy())
        self._data.ctrl[self._layout.gripper] = self._layout.opening(self._data)

    def to(self, target: Target, now_ns: int) -> Target:
        """Begin to move to a target and return the one that joint limits leave of it."""
        self._braking = None
        begin, _ = self.reference(now_ns)
        if isinstance(target, JointTarget):
            end = target.position
        else:
            end = self.kinematics.inverse(target.position, rotation_6d_to_matrix(target.rotation_6d), begin)
        step = end - begin
        step = step / max(1.0, float(np.max(np.abs(step) / self._step_max)))
        self._begin, self._step, self._begin_ns = begin, step, now_ns
        self._velocity = step * (NS_PER_S / self._period_ns)
        self._data.ctrl[self._layout.gripper] = target.gripper_width
        if isinstance(target, JointTarget):
            return JointTarget(target.stamp_ns, begin + step, target.gripper_width)
        position, rotation = self.kinematics.forward(begin + step)
        return EeTarget(target.stamp_ns, position, matrix_to_rotation_6d(rotation), target.gripper_width)

    def brake(self, now_ns: int) -> None:
        """Slow down from the measured motion, then hold the measured joints; the gripper keeps its grip."""
        q, v = self._data.qpos[self._layout.q], self._data.qvel[self._layout.v]
        self._braking = Braking(q, v, now_ns, self._deceleration_time_s)

    def _hold(self, q: np.ndarray) -> None:
        self._begin, self._step, self._velocity, self._begin_ns = q, self._still, self._still, 0

    def reference(self, now_ns: int) -> tuple[np.ndarray, np.ndarray]:
        """Joint positions and velocities (J,) that the arm should have now."""
        if self._braking:
            if now_ns < self._braking.end_ns:
                return self._braking.at(now_ns)
            self._hold(self._data.qpos[self._layout.q].copy())
            self._braking = None
        share = (now_ns - self._begin_ns) / self._period_ns
        if share >= 1:
            return self._begin + self._step, self._still
        return self._begin + share * self._step, self._velocity

    def _drive(self, now_ns: int) -> None:
        q, v = self.reference(now_ns)
        # A drive pulls with kp (ctrl - q) - kv v: the second term would hold a moving arm back.
        self._data.ctrl[self._layout.drives] = q + self._damping_s * v
