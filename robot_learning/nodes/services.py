"""Services of a simulated rig's nodes, as answers that come in later ticks."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from rclpy.parameter import Parameter
from rclpy.parameter_client import AsyncParameterClient
from std_srvs.srv import Trigger

from robot_learning.deployment.script import Answer
from robot_learning.nodes.base import StationNode


class Services:
    """Calls declared services without waiting.

    Args:
        names: of the services, as `recorder/start`.
    """

    def __init__(self, node: StationNode, names: Sequence[str]) -> None:
        self._clients = {name: node.client(name) for name in names}
        self._seed = AsyncParameterClient(node, "robot")

    def missing(self) -> str:
        """The nodes whose services are not there; empty: none."""
        gone = {name.split("/")[0] for name, client in self._clients.items() if not client.service_is_ready()}
        return " and no ".join(sorted(gone))

    def call(self, name: str) -> Answer:
        """Call one."""
        return self._ask(name, Answer())

    def reset(self, seed: int) -> Answer:
        """Place the simulated robot and its objects anew, as `seed` says."""
        answer = Answer()

        def chain(future: Any) -> None:
            result = future.result().results[0]
            if not result.successful:
                answer.give(False, result.reason)
                return
            self._ask("robot/reset", answer)

        self._seed.set_parameters([Parameter("seed", value=seed)]).add_done_callback(chain)
        return answer

    def _ask(self, name: str, answer: Answer) -> Answer:
        def answered(future: Any) -> None:
            answer.give(future.result().success, future.result().message)

        self._clients[name].call_async(Trigger.Request()).add_done_callback(answered)
        return answer
