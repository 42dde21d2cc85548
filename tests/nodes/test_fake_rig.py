"""The fake rig does what tests rely on."""

import time

import pytest
from fake_rig import FakeRig, small_rig, value_at

pytest.importorskip("rclpy", reason="ROS 2 is not installed: pip install robot_learning[ros]")

import numpy as np
from sensor_msgs.msg import Image, JointState

from robot_learning.nodes import messages
from robot_learning.rig import load_rig

PERIOD_NS = 50_000_000


def test_the_fake_rig_publishes_goes_wrong_and_is_well_again(graph, tmp_path):
    path = small_rig(tmp_path)
    joints = graph.collect(JointState, "/small/joint_states")
    frames = graph.collect(Image, "/small/front/color/image_raw")
    rig = FakeRig(graph, path, "/small")
    contract = load_rig(path).contract()
    graph.until(lambda: len(joints) > 5 and len(frames) > 5)

    stamp = messages.stamp_of(joints[-1])
    assert np.array(joints[-1].position) == pytest.approx(value_at(contract.stream("joint_position"), stamp))
    stamp = messages.stamp_of(frames[-1])
    assert (messages.pixels(frames[-1]) == value_at(contract.stream("front"), stamp)).all()

    rig.resize("front", 12, 16)
    graph.until(lambda: frames[-1].height == 12)
    rig.well("front")
    graph.until(lambda: frames[-1].height == 24)
    rig.unstamp("front")
    graph.until(lambda: frames[-1].header.stamp.sec == 0)
    rig.well("front")
    rig.jump("joint_position", -100.0)
    graph.until(lambda: messages.stamp_of(joints[-1]) < messages.stamp_of(joints[0]))
    rig.restart("front")
    count = len(frames)
    graph.until(lambda: len(frames) > count + 5)
    rig.freeze("front")
    assert graph.until(lambda: time.time_ns() - messages.stamp_of(frames[-1]) > 20 * PERIOD_NS)
