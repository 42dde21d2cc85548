"""A person with a gamepad, on a real graph: a virtual controller, a real node, the simulated robot."""

import os
import sys
import time
from pathlib import Path

import pytest

pytest.importorskip("rclpy", reason="ROS 2 is not installed: pip install robot_learning[ros]")
pytest.importorskip("pygame", reason="pygame is not installed: pip install robot_learning[deploy]")

from arm import LATCHED
from blind import blind_rig
from diagnostic_msgs.msg import DiagnosticStatus
from geometry_msgs.msg import PoseStamped
from sensor_msgs.msg import JointState
from std_msgs.msg import String

from robot_learning.nodes import messages

NS = "/blind"
FORWARD, START, DEAD_MAN = "push 1 -1.0", 6, 10


def test_a_gamepad_moves_the_arm_while_its_dead_man_is_held_and_unplugged_it_stops_it(graph, tmp_path):
    rig, until = blind_rig(tmp_path), graph.until
    graph.start("robot_learning.nodes.sim_node", name="robot", namespace=NS, rig=rig)
    out, into = os.pipe()
    script = Path(__file__).with_name("fake_gamepad_teleop.py")
    command = [
        sys.executable,
        str(script),
        "--ros-args",
        "-r",
        f"__ns:={NS}",
        "-p",
        f"rig:={rig}",
        "-p",
        "device:=gamepad",
    ]
    teleop = graph.spawn(command, "teleop", stdin=out)
    os.close(out)

    def hands(*lines):
        os.write(into, "".join(f"{line}\n" for line in lines).encode())

    poses = graph.collect(PoseStamped, f"{NS}/robot/ee_pose")
    targets = graph.collect(JointState, f"{NS}/robot/target")
    words = graph.collect(String, f"{NS}/recorder/command")
    gate = graph.collect(DiagnosticStatus, f"{NS}/robot/gate", LATCHED)
    until(lambda: poses and gate and "ready" in teleop.log)
    begin, count = poses[-1].pose.position.x, len(poses)

    hands(FORWARD)
    until(lambda: len(poses) > count + 50)  # the stick alone does nothing
    assert not targets
    hands("push 1 0.0")

    def heard():
        """Held before the node knew the robot's state, the dead-man must be held anew."""
        hands(f"{'press' if time.monotonic() % 2 < 1 else 'release'} {DEAD_MAN}")
        return targets

    until(heard)
    hands(f"press {DEAD_MAN}")
    hands(FORWARD)
    until(lambda: poses[-1].pose.position.x > begin + 0.04)

    def started():
        """Pressed until it is heard: a press before this graph is discovered is one that nobody hears."""
        hands(f"{'press' if time.monotonic() % 2 < 1 else 'release'} {START}")
        return words

    until(started)
    assert {m.data for m in words} == {"start"}

    hands("unplug")
    until(lambda: messages.values_of(gate[-1])["state"] == "stopped")
    assert "watchdog" in gate[-1].message
    assert "unplugged" in teleop.log
    hands("plug")
    until(lambda: "the input device is back" in teleop.log)
    os.close(into)
    assert teleop.stop() == 0  # SDL has not taken the signals for itself
