"""`rollout_node`: closed-loop episodes of a policy on a simulated rig."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from robot_learning.deployment.rollouts import Rollouts
from robot_learning.deployment.script import Answer
from robot_learning.nodes import declarations, messages
from robot_learning.nodes.base import StationNode, run
from robot_learning.nodes.services import Services
from robot_learning.output import write_json

_TICK_HZ = 50.0


class RolloutNode(StationNode):
    """Resets, starts recorder and policy, waits for success, and notes it; `results` is rewritten each time."""

    declaration = declarations.ROLLOUT

    def configure(self) -> None:
        names = [service.name for service in self.declaration.calls]
        self._station = Services(self, names)
        self.rollouts = Rollouts(self.rig, self, self.clock, self.param("rollouts"), self.param("first_rollout_seed"))
        self.listen("robot/success", self._success)
        self.listen("robot/gate", self._gate)
        self.listen("policy/mode", self._mode)
        self.listen("policy/timing", self._timing)
        self._told = 0

    def activate(self) -> None:
        self.create_timer(1 / _TICK_HZ, self._tick)

    # What the rollouts ask for

    def missing(self) -> str:
        return self._station.missing()

    def reset(self, seed: int) -> Answer:
        return self._station.reset(seed)

    def record(self, word: str) -> Answer:
        return self._station.call(f"recorder/{word}")

    def policy(self, word: str) -> Answer:
        return self._station.call(f"policy/{word}")

    # Inside

    def _tick(self) -> None:
        rollouts = self.rollouts
        rollouts.tick()
        for rollout in rollouts.done[self._told :]:
            self.get_logger().info(f"seed {rollout.seed}: {rollout.ended} after {rollout.steps} steps")
            write_json(Path(self.param("results")), [r.to_json() for r in rollouts.done])
        self._told = len(rollouts.done)
        if rollouts.finished:
            good = sum(r.success for r in rollouts.done)
            self.get_logger().info(f"{self._told} rollouts, {good} with success")
            self.end()

    def _success(self, message: Any) -> None:
        self.rollouts.success = message.data

    def _gate(self, message: Any) -> None:
        values = messages.values_of(message)
        self.rollouts.trips = {k.removeprefix("trips."): int(n) for k, n in values.items() if k.startswith("trips.")}

    def _mode(self, message: Any) -> None:
        mode = messages.values_of(message).get("mode", "")
        self.rollouts.stopped = message.message if mode == "stopped" else ""

    def _timing(self, message: Any) -> None:
        values = messages.values_of(message)
        if "inference_ms" in values:
            self.rollouts.inference_ms.append(float(values["inference_ms"]))


def main(arguments: list[str] | None = None) -> None:
    """Entry point."""
    run(RolloutNode, arguments)


if __name__ == "__main__":
    main()
