"""The live view of a running rig, on a real graph."""

import socket
import urllib.request

import pytest

pytest.importorskip("rerun", reason="Rerun is not installed: pip install robot_learning[deploy]", exc_type=ImportError)
pytest.importorskip("rclpy", reason="ROS 2 is not installed: pip install robot_learning[ros]")

from diagnostic_msgs.msg import DiagnosticArray

from robot_learning.nodes import messages


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def answers(port):
    with socket.socket() as s:
        s.settimeout(0.5)
        return s.connect_ex(("127.0.0.1", port)) == 0


def test_a_running_rig_is_shown_and_a_killed_view_leaves_nothing_behind(graph):
    port, data = free_port(), free_port()
    graph.start("robot_learning.nodes.sim_node", name="robot", namespace="/panda_sim", rig="panda_sim")
    live = graph.start("robot_learning.nodes.live_node", namespace="/panda_sim", rig="panda_sim", port=port,
                       data_port=data, memory="50MB", diagnostics_rate_hz=5.0)  # fmt: skip
    heard = graph.collect(DiagnosticArray, "/diagnostics")

    def shown():
        lines = {line.name: messages.values_of(line) for message in heard for line in message.status}
        streams = [f"live: {name}" for name in ("front", "wrist", "joint_position", "gripper_width")]
        return all(int(lines.get(name, {}).get("received", 0)) > 5 for name in streams)

    graph.until(shown)
    assert "open http://127.0.0.1:" in live.log
    with urllib.request.urlopen(f"http://127.0.0.1:{port}", timeout=20) as page:
        assert b"<html" in page.read().lower()
    live.kill()
    graph.until(lambda: not answers(port) and not answers(data))
