"""The part of a rig file about a robot that another maker's ROS 2 driver controls; for `robot.type: bridge`."""

from __future__ import annotations

from typing import Literal

from pydantic import model_validator

from robot_learning.contract import Frozen

_TARGETS = {
    "geometry_msgs/PoseStamped": "ee_target",
    "sensor_msgs/JointState": "joint_target",
    "trajectory_msgs/JointTrajectory": "joint_target",
    "std_msgs/Float64MultiArray": "joint_target",
}


class TargetTopic(Frozen):
    """Where the controller takes its targets.

    Attributes:
        type: a tool pose, or joints in one of the forms that controllers take.
        names: the joints, and perhaps `gripper_width`, in the order in which the controller expects them; empty: all of
            `robot.joint_names`.
        frame: of a pose.
    """

    topic: str
    type: Literal[
        "geometry_msgs/PoseStamped",
        "sensor_msgs/JointState",
        "trajectory_msgs/JointTrajectory",
        "std_msgs/Float64MultiArray",
    ]
    names: tuple[str, ...] = ()
    frame: str = "base"


class GripperTopic(Frozen):
    """Where the gripper takes its width: `scale` times the opening [m], plus `offset`.

    Attributes:
        name: of the joint, in a JointState.
    """

    topic: str
    type: Literal["std_msgs/Float64MultiArray", "sensor_msgs/JointState"]
    name: str = "gripper_width"
    scale: float = 1.0
    offset: float = 0.0


class BaseTopic(Frozen):
    """Where a mobile base takes its velocity."""

    topic: str
    type: Literal["geometry_msgs/Twist", "geometry_msgs/TwistStamped"] = "geometry_msgs/Twist"


class BridgeConfig(Frozen):
    """How a robot is moved through another maker's driver. Its state comes by the rig's `topics`.

    Attributes:
        kinematics: for the tool's pose where no topic gives it, and the workspace of joint targets.
    """

    target: TargetTopic
    gripper: GripperTopic | None = None
    base: BaseTopic | None = None
    kinematics: Literal["none", "panda", "stretch"] = "none"

    def check(self, command: str, joints: tuple[str, ...]) -> None:
        """Raise ValueError where it does not fit the rig's robot."""
        if _TARGETS[self.target.type] != command:
            allowed = ", ".join(type for type, kind in _TARGETS.items() if kind == command)
            raise ValueError(f"bridge.target.type is {self.target.type}, robot.command {command}: use {allowed}")
        for name in self.target.names:
            if name not in (*joints, "gripper_width"):
                raise ValueError(
                    f"bridge.target.names: '{name}' is neither a joint ({', '.join(joints)}) nor gripper_width"
                )

    @model_validator(mode="after")
    def _check(self) -> BridgeConfig:
        if self.gripper and "gripper_width" in self.target.names:
            raise ValueError("bridge.gripper and gripper_width among bridge.target.names: the gripper has one topic")
        return self
