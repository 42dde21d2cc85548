"""What streams read out of messages; the messages are plain objects with ROS's fields."""

import math
from types import SimpleNamespace as Message

import numpy as np
import pytest

from robot_learning import decode
from robot_learning.contract import StreamSpec
from robot_learning.rig_parts.sections import TopicConfig


def spec(name, shape, unit):
    return StreamSpec(name=name, shape=shape, dtype="float64", unit=unit, rate_hz=30)


def odometry(x, y, yaw, forward, turn):
    q = Message(w=math.cos(yaw / 2), x=0.0, y=0.0, z=math.sin(yaw / 2))
    pose = Message(position=Message(x=x, y=y, z=0.0), orientation=q)
    twist = Message(linear=Message(x=forward, y=0.0, z=0.0), angular=Message(x=0.0, y=0.0, z=turn))
    return Message(pose=Message(pose=pose), twist=Message(twist=twist))


@pytest.mark.parametrize("yaw", [0.0, 1.0, -3.0, 3.1])
def test_a_bases_pose_and_velocity_are_read_from_its_odometry(yaw):
    message = odometry(1.0, -2.0, yaw, 0.1, -0.2)
    topic = {"topic": "/odom", "type": "nav_msgs/Odometry"}
    pose = TopicConfig(**topic, field="pose2d")
    velocity = TopicConfig(**topic, field="velocity2d")
    np.testing.assert_allclose(decode.value(message, spec("p", (3,), "m[2] rad[1]"), pose), [1.0, -2.0, yaw])
    np.testing.assert_allclose(decode.value(message, spec("v", (2,), "m/s[1] rad/s[1]"), velocity), [0.1, -0.2])


def test_numbers_are_scaled_as_the_rig_says():
    message = Message(name=["left", "right"], position=[0.02, 0.02])
    topic = TopicConfig(topic="/fingers", type="sensor_msgs/JointState", field="position", names=("left",), scale=2.0)
    np.testing.assert_allclose(decode.value(message, spec("gripper_width", (1,), "m"), topic), [0.04])


def test_a_field_that_a_message_lacks_is_refused():
    with pytest.raises(ValueError, match="has no field 'position'; allowed: pose2d, velocity2d"):
        TopicConfig(topic="/odom", type="nav_msgs/Odometry", field="position")
