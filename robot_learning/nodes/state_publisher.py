"""A robot's state as messages, made once and filled anew for each sample."""

from __future__ import annotations

import array
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from geometry_msgs.msg import PoseStamped, TwistStamped, WrenchStamped
from rclpy.publisher import Publisher
from sensor_msgs.msg import JointState

from robot_learning.clock import NS_PER_S
from robot_learning.drivers.interfaces import RobotState
from robot_learning.nodes.base import StationNode
from robot_learning.nodes.monitor import Monitor
from robot_learning.topics import BASE_POSE, BASE_VELOCITY, GRIPPER

BASE = "base"


class StatePublisher:
    """Publishes what somebody listens to, for making a message costs more than asking.

    Args:
        jacobian: of the tool, (6, J) at joints (J,), linear part first; None: no tool velocity and no wrench.
    """

    def __init__(self, node: StationNode, jacobian: Callable[[np.ndarray], np.ndarray] | None) -> None:
        self._node, self._jacobian = node, jacobian
        self._joint_states = Joint(node.advertise("joint_states"), node.rig.robot.joint_names)
        self._desired = Joint(node.advertise("~/desired_joint_states"), node.rig.robot.joint_names)
        self._gripper = Joint(node.advertise("~/gripper"), [GRIPPER])
        if node.rig.robot.command_success_rate:
            self._success_rate = Joint(node.advertise("~/command_success_rate"), ["command_success_rate"])
        if node.rig.robot.base:
            self._base_pose = Joint(node.advertise("~/base"), BASE_POSE, "odom")
            self._base_velocity = Joint(node.advertise("~/base_velocity"), BASE_VELOCITY, BASE)
        self._pose, self._pose_message = node.advertise("~/ee_pose"), PoseStamped()
        self._twist, self._twist_message = node.advertise("~/ee_twist"), TwistStamped()
        self._wrench, self._wrench_message = node.advertise("~/wrench"), WrenchStamped()
        for message in (self._pose_message, self._twist_message, self._wrench_message):
            message.header.frame_id = BASE
        self._monitor = node.monitors["state"] = Monitor("state", node.rig.robot.state_rate_hz)

    def publish(self, state: RobotState) -> None:
        """One sample."""
        self._monitor.saw(state.stamp_ns, self._node.clock.now_ns())
        self._joint_states.publish(state.stamp_ns, state.joint_position, state.joint_velocity, state.joint_effort)
        self._gripper.publish(state.stamp_ns, state.gripper_width)
        if state.command_success_rate is not None and self._node.rig.robot.command_success_rate:
            self._success_rate.publish(state.stamp_ns, state.command_success_rate)
        if state.base_pose is not None and state.base_velocity is not None:
            self._base_pose.publish(state.stamp_ns, state.base_pose)
            self._base_velocity.publish(state.stamp_ns, state.base_velocity)
        if state.desired_position is not None:
            self._desired.publish(state.stamp_ns, state.desired_position, state.desired_velocity)
        if self._pose.get_subscription_count():
            message = self._pose_message
            stamp(message, state.stamp_ns)
            p, q = message.pose.position, message.pose.orientation
            p.x, p.y, p.z = state.ee_position.tolist()
            q.w, q.x, q.y, q.z = state.ee_orientation.tolist()
            self._pose.publish(message)
        twist, wrench = self._twist.get_subscription_count(), self._wrench.get_subscription_count()
        if self._jacobian is None or not (twist or wrench):
            return
        jacobian = self._jacobian(state.joint_position)
        if twist:
            velocity = jacobian @ state.joint_velocity
            _send(self._twist, self._twist_message, state.stamp_ns, self._twist_message.twist, velocity)
        if wrench and state.joint_effort is not None:
            # The tool's wrench on its surroundings that these efforts would balance at rest: J^T w = effort.
            balance = np.linalg.lstsq(jacobian.T, state.joint_effort, rcond=None)[0]
            _send(self._wrench, self._wrench_message, state.stamp_ns, self._wrench_message.wrench, balance)


class Joint:
    """A named vector at a steady rate."""

    def __init__(self, publisher: Publisher, names: Sequence[str], frame: str = "") -> None:
        self._publisher, self._message = publisher, JointState(name=list(names))
        self._message.header.frame_id = frame

    def publish(
        self, stamp_ns: int, position: np.ndarray, velocity: np.ndarray | None = None, effort: np.ndarray | None = None
    ) -> None:
        """Publish, if somebody listens."""
        if not self._publisher.get_subscription_count():
            return
        message = self._message
        stamp(message, stamp_ns)
        message.position = array.array("d", position.tobytes())
        if velocity is not None:
            message.velocity = array.array("d", velocity.tobytes())
        if effort is not None:
            message.effort = array.array("d", effort.tobytes())
        self._publisher.publish(message)


def stamp(message: Any, stamp_ns: int) -> None:
    """Set the stamp of a message that is used again."""
    time = message.header.stamp
    time.sec, time.nanosec = divmod(stamp_ns, NS_PER_S)


def _send(publisher: Publisher, message: Any, stamp_ns: int, part: Any, values: np.ndarray) -> None:
    """The first three of `values` are the linear part, the others the angular one."""
    stamp(message, stamp_ns)
    first, second = (part.linear, part.angular) if hasattr(part, "linear") else (part.force, part.torque)
    first.x, first.y, first.z, second.x, second.y, second.z = values.tolist()
    publisher.publish(message)
