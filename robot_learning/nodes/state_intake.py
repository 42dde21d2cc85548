"""The robot's state from its topics, for nodes that command it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from robot_learning.deployment.measured import Measured
from robot_learning.nodes import messages
from robot_learning.nodes.base import StationNode
from robot_learning.nodes.messages import BadMessage


class StateIntake:
    """Fills a `Measured` from joint_states, robot/ee_pose and robot/gripper, where the rig names no others.

    A message that can't be used is a fault by name until a good one comes.
    """

    def __init__(self, node: StationNode, measured: Measured) -> None:
        self._node, self._measured = node, measured
        self._joints, self._effort = node.rig.robot.joint_names, node.rig.robot.joint_effort
        for topic, put in (
            ("joint_states", self._put_joints), ("robot/ee_pose", self._put_pose), ("robot/gripper", self._put_gripper),
        ):  # fmt: skip
            node.listen(topic, self._checked(topic, put))

    def _put_joints(self, message: Any) -> None:
        position, velocity = (messages.pick(message, name, self._joints) for name in ("position", "velocity"))
        effort = messages.pick(message, "effort", self._joints) if self._effort else None
        self._measured.joints(messages.stamp_of(message), position, velocity, effort)

    def _put_pose(self, message: Any) -> None:
        position, orientation = messages.position_of(message), messages.orientation_of(message)
        self._measured.pose(messages.stamp_of(message), position, orientation)

    def _put_gripper(self, message: Any) -> None:
        self._measured.gripper(messages.stamp_of(message), messages.pick(message, "position", ()))

    def _checked(self, topic: str, put: Callable[[Any], None]) -> Callable[[Any], None]:
        def read(message: Any) -> None:
            try:
                put(message)
            except BadMessage as error:
                self._node.fault(topic, f"{topic}: message refused: {error}")
            else:
                self._node.clear_fault(topic)

        return read
