"""A person at the page in a browser, on a real graph: real connections, real targets, the simulated robot."""

import http.client
import json
import re
from urllib.parse import urlsplit

import pytest

pytest.importorskip("rclpy", reason="ROS 2 is not installed: pip install robot_learning[ros]")

import yaml
from blind import blind_rig
from diagnostic_msgs.msg import DiagnosticStatus
from geometry_msgs.msg import PoseStamped
from std_msgs.msg import String

from robot_learning.nodes import messages
from robot_learning.nodes.qos import profile

NS = "/blind"


class Browser:
    """The page, as the robot's computer hears it."""

    def __init__(self, address):
        parts = urlsplit(address)
        self.token, self.number, self.echo = parts.fragment, 0, None
        self.connection = http.client.HTTPConnection(parts.hostname, parts.port, timeout=20)

    def say(self, **content):
        self.number += 1
        message = {"page": "a" * 32, "number": self.number, "echo": self.echo, **content}
        headers = {"Content-Type": "application/json", "Authorization": f"Bearer {self.token}"}
        self.connection.request("POST", "/hands", json.dumps(message), headers)
        told = json.loads(self.connection.getresponse().read())
        self.echo = told["now"]
        return told


def test_a_touched_stick_moves_the_arm_letting_go_holds_it_and_stop_stops_it(graph, tmp_path):
    path = blind_rig(tmp_path)
    content = yaml.safe_load(path.read_text())
    content["teleop"] = {"device": "web", "dead_man_timeout_s": 2.0, "web": {"port": 0}}
    path.write_text(yaml.safe_dump(content))
    until = graph.until
    graph.start("robot_learning.nodes.sim_node", name="robot", namespace=NS, rig=path)
    teleop = graph.start("robot_learning.nodes.teleop_node", namespace=NS, rig=path)
    poses = graph.collect(PoseStamped, f"{NS}/robot/ee_pose")
    words = graph.collect(String, f"{NS}/recorder/command")
    gate = graph.collect(DiagnosticStatus, f"{NS}/robot/gate", profile("latched"))
    status = graph.node.create_publisher(DiagnosticStatus, f"{NS}/recorder/status", profile("latched"))
    until(lambda: poses and gate and "ready" in teleop.log)
    address = re.search(r"http://127\.0\.0\.1:\d+/#\S+", teleop.log)
    assert address, teleop.log
    browser = Browser(address.group())
    until(lambda: browser.say()["commands_here"])
    until(lambda: browser.say().get("robot") == "ready")
    assert browser.say()["axes"]["left_y"] == "forward"

    begin = poses[-1].pose.position.x
    forward = {"axes": {"left_y": 1.0}, "touched": True}
    until(lambda: browser.say(**forward) and poses[-1].pose.position.x > begin + 0.04)
    assert browser.say(**forward)["moves"]
    until(lambda: not browser.say()["moves"])

    # Pressed until it is heard: the topic is not latched, so a press before discovery is one that nobody hears.
    until(lambda: words or not browser.say(words=["start"]))
    assert {m.data for m in words} == {"start"}
    status.publish(messages.status("recorder", messages.OK, "recording", {"state": "recording", "elapsed_s": 1.5}))
    until(lambda: browser.say().get("recording") == "1.5 s")

    browser.say(words=["stop"])
    until(lambda: messages.values_of(gate[-1])["state"] == "stopped")
    until(lambda: browser.say().get("robot") == "stopped: stop")
    assert teleop.stop() == 0
