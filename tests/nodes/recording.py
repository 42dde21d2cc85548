"""A recorder on a graph, as tests drive it."""

from __future__ import annotations

import time
from pathlib import Path

from diagnostic_msgs.msg import DiagnosticStatus
from rclpy.qos import DurabilityPolicy, QoSProfile
from std_msgs.msg import String
from std_srvs.srv import Trigger

from robot_learning.data.store import Episode, Store
from robot_learning.nodes import messages

LATCHED = QoSProfile(depth=1, durability=DurabilityPolicy.TRANSIENT_LOCAL)
NODE = "robot_learning.nodes.recorder_node"


class Recording:
    """Starts a recorder and passes on what it says. Its topics live in `namespace`."""

    def __init__(self, graph, rig: Path, store: Path, namespace: str, module: str = NODE, env=None, **parameters):
        self.graph, self.path, self.name = graph, store, f"{namespace}/recorder"
        self.said = graph.collect(DiagnosticStatus, f"{self.name}/status", LATCHED)
        self.sealed = graph.collect(String, f"{self.name}/episode", LATCHED)
        parameters = {"task": "test", **parameters}
        self.process = graph.start(module, namespace=namespace, env=env, rig=rig, store=store, **parameters)

    def call(self, word: str):
        """Call one of its services."""
        return self.graph.call(f"{self.name}/{word}")

    def begin(self) -> str:
        """Start an episode as soon as all is there; returns its id.

        What counts is what ~/status says: a request can be lost while a server of a killed recorder is still known.
        """
        client = self.graph.node.create_client(Trigger, f"{self.name}/start")
        before, asked, answer = self.values.get("episode"), 0.0, None

        def begun() -> bool:
            nonlocal asked, answer
            refused = answer is not None and answer.done() and not answer.result().success
            if (refused or time.monotonic() - asked > 2) and client.service_is_ready():
                asked, answer = time.monotonic(), client.call_async(Trigger.Request())
            return self.values.get("state") == "recording" and self.values["episode"] != before

        self.graph.until(begun)
        self.graph.node.destroy_client(client)
        return self.values["episode"]

    def record_for(self, samples: int) -> None:
        """Let an episode grow."""
        self.graph.until(lambda: int(self.values.get("samples", 0)) > samples)

    def until_ended(self) -> Episode:
        """Wait for the running episode to end, by itself or as asked, and read it."""
        self.graph.until(lambda: self.values.get("state") == "idle" and self.values["episode"])
        return self.episode(self.values["episode"])

    def episode(self, id: str) -> Episode:
        return Store.open(self.path).episode(id)

    @property
    def values(self) -> dict[str, str]:
        """The newest ~/status."""
        return messages.values_of(self.said[-1]) if self.said else {}

    @property
    def text(self) -> str:
        """What ~/status says to the operator."""
        return self.said[-1].message if self.said else ""
