"""A policy node between a fake rig and a fake policy server, each a real process; and what a test sees of it."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

pytest.importorskip("rclpy", reason="ROS 2 is not installed: pip install robot_learning[ros]")
pytest.importorskip("zmq", reason="the deploy extra is not installed")

sys.path.insert(0, str(Path(__file__).parents[1] / "deployment"))

from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus
from fake_rig import FakeRig, small_rig
from fake_server import FakeServer
from harness import Graph, graph_of
from lifecycle_msgs.srv import ChangeState
from sensor_msgs.msg import JointState

from robot_learning.nodes import messages
from robot_learning.nodes.qos import profile
from robot_learning.rig import load_rig
from robot_learning.topics import action_names

OBSERVED = ("joint_position", "front")
FIRST = (0.5, 0.0, 0.3, 1.0, 0.0, 0.0, 0.0, -1.0, 0.0, 0.08)  # of each chunk; the next ones are farther in x
SLOPE_M = 0.001
NAMESPACE = "/small"


class PolicyStation:
    """What a test does with the node, and what it hears."""

    def __init__(self, graph: Graph, path: Path, server: FakeServer, clock: bool = False, **parameters) -> None:
        self.graph, self.path, self.server, self._clock = graph, path, server, clock
        rig = load_rig(path)
        self.names = action_names(rig)
        self._without = [s.name for s in rig.streams() if s.name not in OBSERVED]
        self.modes = self._collect(DiagnosticStatus, "policy/mode", "latched")
        self.timings = self._collect(DiagnosticStatus, "policy/timing")
        self.targets = self._collect(JointState, "robot/target")
        self.commanders = self._collect(JointState, "policy/commander")
        self.diagnostics = graph.collect(DiagnosticArray, "/diagnostics")
        self.rig = self.new_rig()
        if clock:
            parameters["use_sim_time"] = True
        self.node = graph.start(
            "robot_learning.nodes.policy_node", "policy", NAMESPACE, rig=path, server=server.endpoint,
            diagnostics_rate_hz=5.0, **parameters,
        )  # fmt: skip

    def _collect(self, type, topic, kind="state"):
        return self.graph.collect(type, f"{NAMESPACE}/{topic}", profile(kind))

    def new_rig(self) -> FakeRig:
        self.rig = FakeRig(self.graph, self.path, NAMESPACE, self._without, self._clock)
        return self.rig

    @property
    def mode(self) -> str:
        return messages.values_of(self.modes[-1])["mode"] if self.modes else ""

    @property
    def reason(self) -> str:
        return messages.values_of(self.modes[-1])["reason"]

    def until_mode(self, mode: str) -> str:
        """Wait for a mode and return its reason."""
        self.graph.until(lambda: self.mode == mode)
        return self.reason

    def until_told(self, words: str) -> None:
        """Wait until the mode's reason has these words."""
        self.graph.until(lambda: any(words in messages.values_of(m)["reason"] for m in self.modes))

    def call(self, service: str, name: str = "policy"):
        return self.graph.call(f"{NAMESPACE}/{name}/{service}")

    def start(self) -> None:
        """Ask for ~/start until it is granted, then wait until a chunk's actions go out."""
        self.graph.until(lambda: self.call("start").success or self.mode == "policy" or self.graph.spin(0.1))
        self.modes[:], self.timings[:], self.targets[:] = self.modes[-1:], [], []
        self.graph.until(lambda: self.mode == "policy" and len(self.targets) > 5 and self.timings)

    def until_sending(self, more: int = 10) -> None:
        """Wait for further targets."""
        count = len(self.targets)
        self.graph.until(lambda: len(self.targets) >= count + more)

    def assert_silent(self, seconds: float = 0.6) -> None:
        """Nothing is sent for that long."""
        self.graph.spin(0.1)  # what was on its way
        count = len(self.targets)
        self.graph.spin(seconds)
        assert len(self.targets) == count

    def change(self, transition: int) -> bool:
        """Ask for a lifecycle transition."""
        client = self.graph.node.create_client(ChangeState, f"{NAMESPACE}/policy/change_state")
        self.graph.until(client.service_is_ready)
        request = ChangeState.Request()
        request.transition.id = transition
        future = client.call_async(request)
        self.graph.until(future.done)
        return future.result().success


@contextlib.contextmanager
def policy_station(folder: Path, hold_s: float, clock: bool = False, **parameters) -> Iterator[PolicyStation]:
    """A station; its node has these parameters."""
    path = small_rig(folder)
    content = yaml.safe_load(path.read_text())
    content["policy"]["execution"] = {"hold_s": hold_s}
    path.write_text(yaml.safe_dump(content))
    server = FakeServer(
        load_rig(path).contract(), folder, observations=OBSERVED, image_size=(12, 16), action=FIRST, slope=SLOPE_M
    )
    with graph_of(folder) as graph, server:
        yield PolicyStation(graph, path, server, clock, **parameters)
