"""A robot's node under test, and somebody who commands it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import yaml
from diagnostic_msgs.msg import DiagnosticStatus
from geometry_msgs.msg import PoseStamped
from rclpy.node import Node
from rclpy.qos import DurabilityPolicy, QoSProfile
from sensor_msgs.msg import JointState

from robot_learning.nodes import messages
from robot_learning.rig import load_rig
from robot_learning.rotation import matrix_to_rotation_6d, quaternion_to_matrix
from robot_learning.topics import action_names

LATCHED = QoSProfile(depth=1, durability=DurabilityPolicy.TRANSIENT_LOCAL)
EVERY = QoSProfile(depth=1000)
PERIOD_S = 0.05


def patient_rig(folder: Path, name: str = "patient", **robot) -> Path:
    """The simulated Panda's file with a watchdog that a busy machine doesn't wake, and `robot` changed."""
    content = yaml.safe_load((Path(__file__).parents[2] / "hardware_configs" / "panda_sim.yaml").read_text())
    content["name"] = name
    content["robot"] |= robot
    content["watchdog"]["timeout_s"] = 2.0
    content["limits"]["command_age_max_s"] = 2.0
    for camera in content["cameras"].values():
        camera["depth"] = False
    for stream in ("front_depth", "wrist_depth"):
        del content["policy"]["alignment"][stream]
    path = folder / f"{name}.yaml"
    path.write_text(yaml.safe_dump(content))
    return path


class Commander:
    """Publishes targets at 20 Hz while the graph spins, as a node of its own in the test's process."""

    def __init__(self, graph, arm: Arm, name: str = "commander") -> None:
        self._graph, self._arm = graph, arm
        self.node = Node(name, context=graph.context)
        self._publisher = self.node.create_publisher(JointState, "/r/robot/target", 10)
        self._timer = None
        graph.until(self._publisher.get_subscription_count)

    def send(self, values, stamp_ns: int | None = None, names=None) -> int:
        """One target; its stamp."""
        stamp = self.now_ns() if stamp_ns is None else stamp_ns
        self._publisher.publish(messages.vector(stamp, names or self._arm.names, values))
        return stamp

    def now_ns(self) -> int:
        return self.node.get_clock().now().nanoseconds

    def begin(self, step=(0.0, 0.0, 0.0)) -> None:
        """Hold the tool where it is, or move it on by `step` [m] with each target."""
        self.values, self._step = self._arm.action(), np.array(step)
        self._timer = self._graph.node.create_timer(PERIOD_S, self._again)

    def end(self) -> None:
        """Fall silent."""
        if self._timer is not None:
            self._graph.node.destroy_timer(self._timer)
            self._timer = None

    def _again(self) -> None:
        self.values[:3] += self._step
        self.send(self.values)


class Arm:
    """`robot_node` or `sim_node` in namespace /r, and what it says."""

    def __init__(self, graph, rig: Path, module: str = "robot_node", **parameters) -> None:
        self._graph = graph
        self.rig = load_rig(rig)
        self.names = action_names(self.rig)
        self.states = graph.collect(JointState, "/r/joint_states", EVERY)
        self.poses = graph.collect(PoseStamped, "/r/robot/ee_pose", EVERY)
        self.grippers = graph.collect(JointState, "/r/robot/gripper", EVERY)
        self.gates = graph.collect(DiagnosticStatus, "/r/robot/gate", LATCHED)
        self.actions = {
            stage: graph.collect(JointState, f"/r/robot/{stage}", EVERY) for stage in ("commanded", "gated", "executed")
        }
        self.process = graph.start(f"robot_learning.nodes.{module}", namespace="/r", rig=str(rig), **parameters)
        graph.until(lambda: self.states and self.poses and self.grippers and self.gates)

    @property
    def gate(self) -> str:
        """The gate's state, with the reason where it stopped."""
        return self.gates[-1].message

    @property
    def told(self) -> dict[str, str]:
        """All that ~/gate said last."""
        return messages.values_of(self.gates[-1])

    @property
    def position(self) -> np.ndarray:
        """Where the tool is (3,) [m]."""
        return messages.position_of(self.poses[-1])

    @property
    def speed(self) -> float:
        """Of the fastest joint [rad/s]."""
        return float(np.abs(self.states[-1].velocity).max())

    def action(self) -> np.ndarray:
        """Where the tool is, as an action."""
        rotation = matrix_to_rotation_6d(quaternion_to_matrix(messages.orientation_of(self.poses[-1])))
        return np.concatenate([self.position, rotation, self.grippers[-1].position])

    def call(self, service: str):
        return self._graph.call(f"/r/robot/{service}")

    def until_stopped(self, reason: str) -> None:
        """Wait for a stop for this very reason, and for the arm to stand and stay."""
        self._graph.until(lambda: self.gate == f"stopped: {reason}")
        self.until_it_stands()

    def until_it_stands(self) -> None:
        """At rest for some states, and still there some later."""
        # More than one: a joint that turns about is slow for a moment, too.
        self._graph.until(lambda: all(np.abs(s.velocity).max() < 0.005 for s in self.states[-20:]))
        stands = messages.stamp_of(self.states[-1])
        self._graph.until(lambda: messages.stamp_of(self.poses[-1]) >= stands)
        there, count = self.position, len(self.poses)
        self._graph.until(lambda: len(self.poses) > count + 20)
        np.testing.assert_allclose(self.position, there, atol=0.002)
