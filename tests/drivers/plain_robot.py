"""A robot of a few lines, for tests of what stands before a robot."""

import numpy as np

from robot_learning.clock import FakeClock
from robot_learning.drivers.interfaces import EeTarget, Gated, RobotState, Target, unseal
from robot_learning.rotation import matrix_to_quaternion, rotation_6d_to_matrix

DOWN_6D = np.array([1.0, 0.0, 0.0, 0.0, -1.0, 0.0])
START = np.array([0.5, 0.0, 0.3])
HOME = np.array([0.0, -0.3, 0.0, -2.2, 0.0, 1.9, 0.785])


class PlainRobot:
    """Is at once a share `follows` of the way to where it is told to be, and counts what it is told."""

    def __init__(self, clock: FakeClock, follows: float = 1.0) -> None:
        self._clock, self.follows = clock, follows
        self.position, self.rotation, self.joints = START.copy(), rotation_6d_to_matrix(DOWN_6D), HOME.copy()
        self.width, self.age_ns = 0.08, 0
        self.commands: list[Target] = []
        self.stops = 0

    def connect(self) -> None: ...

    def observe(self) -> RobotState:
        return RobotState(
            stamp_ns=self._clock.now_ns() - self.age_ns,
            joint_position=self.joints.copy(),
            joint_velocity=np.zeros(7),
            joint_effort=np.zeros(7),
            ee_position=self.position.copy(),
            ee_orientation=matrix_to_quaternion(self.rotation),
            gripper_width=np.array([self.width]),
        )

    def command(self, gated: Gated) -> Target:
        target = unseal(gated)
        self.commands.append(target)
        if isinstance(target, EeTarget):
            self.position = self.position + self.follows * (target.position - self.position)
            if self.follows == 1:
                self.rotation = rotation_6d_to_matrix(target.rotation_6d)
        else:
            self.joints = self.joints + self.follows * (target.position - self.joints)
        self.width = target.gripper_width
        return target

    def stop(self) -> None:
        self.stops += 1

    def disconnect(self) -> None: ...
