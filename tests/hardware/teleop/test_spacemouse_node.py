"""A person with a SpaceMouse, on a real graph: genuine pyspacemouse, a real node, the simulated robot."""

import os
import sys
import time
from pathlib import Path

import pytest

pytest.importorskip("rclpy", reason="ROS 2 is not installed: pip install robot_learning[ros]")
pytest.importorskip("pyspacemouse", reason="pyspacemouse is not installed: pip install robot_learning[deploy]")

from blind import blind_rig
from diagnostic_msgs.msg import DiagnosticStatus
from geometry_msgs.msg import PoseStamped
from sensor_msgs.msg import JointState

from robot_learning.nodes import messages
from robot_learning.nodes.qos import profile

NS = "/blind"


def test_a_pushed_cap_moves_the_arm_while_its_button_is_held_and_unplugged_it_stops_it(graph, tmp_path):
    rig, until = blind_rig(tmp_path), graph.until
    graph.start("robot_learning.nodes.sim_node", name="robot", namespace=NS, rig=rig)
    out, into = os.pipe()
    script = Path(__file__).with_name("fake_spacemouse_teleop.py")
    options = ["-r", f"__ns:={NS}", "-p", f"rig:={rig}", "-p", "device:=spacemouse"]
    teleop = graph.spawn([sys.executable, str(script), "--ros-args", *options], "teleop", stdin=out)
    os.close(out)

    def hands(*lines):
        os.write(into, "".join(f"{line}\n" for line in lines).encode())

    poses = graph.collect(PoseStamped, f"{NS}/robot/ee_pose")
    targets = graph.collect(JointState, f"{NS}/robot/target")
    gate = graph.collect(DiagnosticStatus, f"{NS}/robot/gate", profile("latched"))
    until(lambda: poses and gate and "ready" in teleop.log)
    assert "dead-man: left" in teleop.log
    begin, count = poses[-1].pose.position.x, len(poses)

    hands("push 0 -1 0")  # away from the person
    until(lambda: len(poses) > count + 50)
    assert not targets
    hands("push 0 0 0")

    def heard():
        """Held before the node knew the robot's state, the dead-man must be held anew."""
        hands(f"{'press' if time.monotonic() % 2 < 1 else 'release'} left")
        return targets

    until(heard)
    hands("press left")
    hands("push 0 -1 0")
    until(lambda: poses[-1].pose.position.x > begin + 0.04)

    hands("unplug")
    until(lambda: messages.values_of(gate[-1])["state"] == "stopped")
    assert "watchdog" in gate[-1].message
    assert "the SpaceMouse is unplugged" in teleop.log
    hands("plug")
    until(lambda: "the input device is back" in teleop.log)
    os.close(into)
    assert teleop.stop() == 0
