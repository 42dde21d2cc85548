"""A person with a gamepad drives a Stretch on a real graph: base and joints at once, as the rig file maps them."""

import os
import re
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import yaml

pytest.importorskip("rclpy", reason="ROS 2 is not installed: pip install robot_learning[ros]")
pytest.importorskip("pygame", reason="pygame is not installed: pip install robot_learning[deploy]")

from diagnostic_msgs.msg import DiagnosticStatus
from sensor_msgs.msg import JointState

from robot_learning.nodes import messages
from robot_learning.nodes.qos import profile
from robot_learning.rig import rig_path

NS = "/stretch"
DOC = Path(__file__).parents[2] / "docs" / "hardware" / "teleop.md"
FORWARD, LIFT_UP, DEAD_MAN = "push 1 -1.0", "push 3 -1.0", 10


def mixed_rig(folder):
    """The simulated Stretch without cameras, with the mapping for a gamepad that the documentation shows."""
    content = yaml.safe_load(rig_path("stretch_sim").read_text())
    content["watchdog"]["timeout_s"] = content["limits"]["command_age_max_s"] = 2.0
    for camera in content.pop("cameras"):
        for stream in (camera, f"{camera}_depth"):
            content["policy"]["alignment"].pop(stream, None)
    examples = re.findall(r"^```yaml\n(# rig: stretch_sim\n.*?)^```", DOC.read_text(), re.MULTILINE | re.DOTALL)
    content["teleop"] = next(t for t in (yaml.safe_load(e)["teleop"] for e in examples) if t["device"] == "gamepad")
    path = folder / "rig.yaml"
    path.write_text(yaml.safe_dump(content))
    return path


def test_two_sticks_drive_the_base_and_raise_the_lift_at_once_and_letting_go_brings_both_to_rest(graph, tmp_path):
    rig, until = mixed_rig(tmp_path), graph.until
    graph.start("robot_learning.nodes.sim_node", name="robot", namespace=NS, rig=rig, cameras=False)
    out, into = os.pipe()
    script = Path(__file__).with_name("fake_gamepad_teleop.py")
    command = [sys.executable, str(script), "--ros-args", "-r", f"__ns:={NS}", "-p", f"rig:={rig}"]
    teleop = graph.spawn(command, "teleop", stdin=out)
    os.close(out)

    def hands(*lines):
        os.write(into, "".join(f"{line}\n" for line in lines).encode())

    states = graph.collect(JointState, f"{NS}/joint_states")
    poses = graph.collect(JointState, f"{NS}/robot/base")
    speeds = graph.collect(JointState, f"{NS}/robot/base_velocity")
    gate = graph.collect(DiagnosticStatus, f"{NS}/robot/gate", profile("latched"))
    until(lambda: states and poses and speeds and gate and "ready" in teleop.log)
    lift, begin = states[-1].position[0], np.array(poses[-1].position)

    def active():
        """Held before the node knew the robot's state, the dead-man must be held anew."""
        hands(f"{'press' if time.monotonic() % 2 < 1 else 'release'} {DEAD_MAN}")
        return messages.values_of(gate[-1])["state"] == "active"

    until(active)
    hands(f"press {DEAD_MAN}")
    hands(FORWARD, LIFT_UP)
    until(lambda: np.hypot(*(np.array(poses[-1].position) - begin)[:2]) > 0.1)
    until(lambda: states[-1].position[0] > lift + 0.05)
    hands(f"release {DEAD_MAN}")
    until(lambda: abs(speeds[-1].position[0]) < 0.002 and abs(states[-1].velocity[0]) < 0.002)
    assert messages.values_of(gate[-1])["state"] == "active"
    os.close(into)
    assert teleop.stop() == 0
