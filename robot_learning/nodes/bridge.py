"""The topics of another maker's driver, as a robot behind the gate."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from geometry_msgs.msg import Twist, TwistStamped
from std_msgs.msg import Float64MultiArray
from trajectory_msgs.msg import JointTrajectory, JointTrajectoryPoint

from robot_learning.clock import NS_PER_S
from robot_learning.data.sample import Sample
from robot_learning.drivers.bridge import BridgedRobot
from robot_learning.drivers.interfaces import EeTarget, JointTarget, Target
from robot_learning.drivers.mujoco.kinematics import Kinematics
from robot_learning.errors import ConfigError
from robot_learning.nodes import messages
from robot_learning.nodes.base import StationNode
from robot_learning.nodes.intake import Intake
from robot_learning.nodes.qos import profile
from robot_learning.rig import Rig
from robot_learning.rig_parts.bridge import BaseTopic, BridgeConfig, GripperTopic, TargetTopic
from robot_learning.rotation import matrix_to_quaternion, rotation_6d_to_matrix
from robot_learning.topics import GRIPPER

_MESSAGES = {
    "geometry_msgs/Twist": Twist,
    "geometry_msgs/TwistStamped": TwistStamped,
    "std_msgs/Float64MultiArray": Float64MultiArray,
    "trajectory_msgs/JointTrajectory": JointTrajectory,
    "geometry_msgs/PoseStamped": messages.PoseStamped,
    "sensor_msgs/JointState": messages.JointState,
}


class Bridge(BridgedRobot):
    """A :class:`BridgedRobot` over the topics that the rig file names."""

    def __init__(self, node: StationNode) -> None:
        config = node.rig.bridge
        assert config is not None
        super().__init__(node.rig, node.clock, _Wires(node, config), _kinematics(node.rig, config))
        self._intake = Intake(node, node.rig.contract(), dict(node.rig.topics), self.streams, self._deliver)

    def diagnostics(self) -> dict[str, str]:
        """What does not come, by stream."""
        return self._intake.missing()

    def _deliver(self, samples: list[Sample]) -> None:
        for sample in sorted(samples, key=lambda s: s.stream == "joint_position"):  # the last, for it completes a state
            self.take(sample)


class _Wires:
    """Publishes targets as the other driver's controllers take them."""

    def __init__(self, node: StationNode, config: BridgeConfig) -> None:
        def publisher(topic: TargetTopic | GripperTopic | BaseTopic) -> Callable[[Any], None]:
            publish: Callable[[Any], None] = node.create_publisher(
                _MESSAGES[topic.type], topic.topic, profile("command")
            ).publish
            return publish

        self._config, self._joints = config, node.rig.robot.joint_names
        self._period_s = 1 / node.rig.policy.rate_hz
        self._target = publisher(config.target)
        self._gripper = publisher(config.gripper) if config.gripper else None
        self._base = publisher(config.base) if config.base else None

    def send(self, target: Target) -> None:
        self._target(self._pose(target) if isinstance(target, EeTarget) else self._joint_message(target))
        if self._gripper and (gripper := self._config.gripper):
            value = gripper.scale * target.gripper_width + gripper.offset
            joint = messages.vector(target.stamp_ns, [gripper.name], [value])
            array = gripper.type == "std_msgs/Float64MultiArray"
            self._gripper(Float64MultiArray(data=[value]) if array else joint)
        if self._base and isinstance(target, JointTarget) and target.base_velocity is not None:
            forward, turn = (float(v) for v in target.base_velocity)
            linear, angular = np.array([forward, 0.0, 0.0]), np.array([0.0, 0.0, turn])
            message = messages.twist(target.stamp_ns, "base_link", linear, angular)
            stamped = self._config.base is not None and self._config.base.type == "geometry_msgs/TwistStamped"
            self._base(message if stamped else message.twist)

    def _pose(self, target: EeTarget) -> Any:
        orientation = matrix_to_quaternion(rotation_6d_to_matrix(target.rotation_6d))
        return messages.pose(target.stamp_ns, self._config.target.frame, target.position, orientation)

    def _joint_message(self, target: JointTarget) -> Any:
        named = dict(zip(self._joints, target.position.tolist(), strict=True)) | {GRIPPER: target.gripper_width}
        names = list(self._config.target.names or self._joints)
        values = [named[name] for name in names]
        if self._config.target.type == "std_msgs/Float64MultiArray":
            return Float64MultiArray(data=values)
        if self._config.target.type == "sensor_msgs/JointState":
            return messages.vector(target.stamp_ns, names, values)
        point = JointTrajectoryPoint(positions=values)
        point.time_from_start.nanosec = int(self._period_s * NS_PER_S)
        return JointTrajectory(joint_names=names, points=[point])  # unstamped: it begins at once


def _kinematics(rig: Rig, config: BridgeConfig) -> Any:
    if config.kinematics == "none":
        return None
    if config.kinematics == "panda":
        if rig.robot.joints != 7:
            raise ConfigError(f"bridge.kinematics: panda is for 7 joints, the rig {rig.name} has {rig.robot.joints}.")
        return Kinematics.of(rig)
    from robot_learning.drivers.stretch.kinematics import Kinematics as StretchKinematics

    return StretchKinematics.of(rig)
