"""The scripted teleoperator's hands and eyes: its `Station` as topics and services."""

from __future__ import annotations

from typing import Any

import numpy as np
from rclpy.parameter import Parameter

from robot_learning.deployment.script import Answer
from robot_learning.deployment.scripted import Demonstrator
from robot_learning.nodes import messages
from robot_learning.nodes.base import StationNode
from robot_learning.nodes.services import Services
from robot_learning.nodes.state_intake import StateIntake
from robot_learning.sim.station import object_streams
from robot_learning.topics import action_names

_WORDS = ("start", "success", "failure", "discard")


class Demonstrations:
    """Runs a `Demonstrator` in a node; ends the process once all demonstrations were given."""

    def __init__(self, node: StationNode) -> None:
        self._node, self._names = node, action_names(node.rig)
        self._record = node.param("record")
        self._target = node.advertise("robot/target")
        recorder = [f"recorder/{word}" for word in _WORDS] if self._record else []
        self._services = Services(node, ["robot/reset", *recorder])
        self.demonstrator = Demonstrator(node.rig, self, node.clock, node.param("episodes"), node.param("first_seed"))
        StateIntake(node, self.demonstrator.measured)
        for stream in object_streams(node.rig):
            node.listen("robot/objects/{stream}", self._objects(stream), stream=stream)
        node.listen("robot/success", self._success)
        node.listen("robot/gated", self._gated)
        node.listen("robot/gate", self._gate)
        self._told = 0
        self._timer = node.create_timer(1 / node.rig.policy.rate_hz, self._tick)
        self._timer.cancel()

    def begin(self) -> None:
        """Go on with the script."""
        self._timer.reset()

    def end(self) -> None:
        """Send nothing more."""
        self._timer.cancel()

    def close(self) -> None:
        """Nothing is held."""

    def time_jumped(self) -> None:
        """Stamps from before say nothing about now."""
        self.demonstrator.measured.clear()
        self.demonstrator.objects.clear()

    def change(self, parameter: Parameter) -> None:
        """The script's speed is the expert's: no parameter changes it."""

    # What the demonstrator asks for

    def missing(self) -> str:
        return self._services.missing()

    def reset(self, seed: int) -> Answer:
        return self._services.reset(seed)

    def record(self, word: str) -> Answer:
        if not self._record:
            return Answer(True, "nothing is recorded")
        return self._services.call(f"recorder/{word}")

    def send(self, values: np.ndarray, stamp_ns: int) -> None:
        self._target.publish(messages.vector(stamp_ns, self._names, values))

    # Inside

    def _tick(self) -> None:
        demonstrator = self.demonstrator
        demonstrator.tick()
        for given in demonstrator.given[self._told :]:
            outcome = "success" if given.success else "failure"
            self._node.get_logger().info(f"seed {given.seed}: {outcome} after {given.steps} steps")
        self._told = len(demonstrator.given)
        if demonstrator.finished:
            done = sum(given.success for given in demonstrator.given)
            self._node.get_logger().info(f"gave {self._told} demonstrations, {done} with success")
            self._node.end()

    def _objects(self, stream: str) -> Any:
        def read(message: Any) -> None:
            value = messages.pick(message, "position", ())
            self.demonstrator.objects[stream] = messages.stamp_of(message), value

        return read

    def _success(self, message: Any) -> None:
        self.demonstrator.success = message.data

    def _gated(self, message: Any) -> None:
        values = messages.pick(message, "position", self._names)
        self.demonstrator.gated(values, messages.stamp_of(message))

    def _gate(self, message: Any) -> None:
        values = messages.values_of(message)
        self.demonstrator.stopped = values.get("reason", "stopped") if values.get("state") == "stopped" else ""
