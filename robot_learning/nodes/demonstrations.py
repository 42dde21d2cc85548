"""The scripted teleoperators' hands and eyes: their `Station` as topics and services."""

from __future__ import annotations

from typing import Any

import numpy as np
from rclpy.parameter import Parameter

from robot_learning.deployment.rehearsal import Rehearsal
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
    """Runs a `Demonstrator`, or a `Rehearsal` where the rig is not simulated; ends the process once all were given."""

    def __init__(self, node: StationNode) -> None:
        self._node, self._names = node, action_names(node.rig)
        self._record = node.param("record")
        self._target = node.advertise("robot/target")
        recorder = [f"recorder/{word}" for word in _WORDS] if self._record else []
        simulated = node.rig.simulation is not None
        self._what = "seed" if simulated else "round"
        self._services = Services(node, ["robot/reset", *recorder] if simulated else recorder)
        episodes = node.param("episodes")
        self.demonstrator: Demonstrator | Rehearsal = (
            Demonstrator(node.rig, self, node.clock, episodes, node.param("first_seed"))
            if simulated
            else Rehearsal(node.rig, self, node.clock, episodes)
        )
        StateIntake(node, self.demonstrator.measured)
        if isinstance(self.demonstrator, Demonstrator):
            self._watch_task(self.demonstrator)
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
        self.demonstrator.forget()

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
            self._node.get_logger().info(f"{self._what} {given.seed}: {outcome} after {given.steps} steps")
        self._told = len(demonstrator.given)
        if demonstrator.finished:
            done = sum(given.success for given in demonstrator.given)
            self._node.get_logger().info(f"gave {self._told} demonstrations, {done} with success")
            self._node.end()

    def _watch_task(self, demonstrator: Demonstrator) -> None:
        """What only a simulated rig tells."""
        node = self._node

        def objects(stream: str) -> Any:
            def read(message: Any) -> None:
                demonstrator.objects[stream] = messages.stamp_of(message), messages.pick(message, "position", ())

            return read

        def success(message: Any) -> None:
            demonstrator.success = message.data

        def gated(message: Any) -> None:
            demonstrator.gated(messages.pick(message, "position", self._names), messages.stamp_of(message))

        for stream in object_streams(node.rig):
            node.listen("robot/objects/{stream}", objects(stream), stream=stream)
        node.listen("robot/success", success)
        node.listen("robot/gated", gated)

    def _gate(self, message: Any) -> None:
        values = messages.values_of(message)
        self.demonstrator.stopped = values.get("reason", "stopped") if values.get("state") == "stopped" else ""
