"""A robot behind the gate: state out, targets in."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

import numpy as np
from diagnostic_msgs.msg import DiagnosticStatus
from geometry_msgs.msg import PoseStamped
from sensor_msgs.msg import JointState
from trajectory_msgs.msg import JointTrajectory

from robot_learning.clock import NS_PER_S
from robot_learning.drivers.commanders import Commander
from robot_learning.drivers.helm import Helm, Outcome
from robot_learning.drivers.interfaces import EeTarget, JointTarget, RobotState, Target
from robot_learning.drivers.motions import Trajectory
from robot_learning.drivers.robots import LiveRobot, make_robot
from robot_learning.drivers.targets import flatten, to_target
from robot_learning.errors import SafetyError, UserError
from robot_learning.nodes import declarations as declared
from robot_learning.nodes import messages
from robot_learning.nodes.base import StationNode, run
from robot_learning.nodes.messages import BadMessage
from robot_learning.nodes.outbox import Notices, Outbox
from robot_learning.nodes.state_publisher import BASE, StatePublisher
from robot_learning.rotation import matrix_to_rotation_6d, quaternion_to_matrix
from robot_learning.topics import GRIPPER, action_names

_POLLS_PER_TIMEOUT = 10
_QUEUED_S = 2.0  # of states, should publishing be held up


class RobotNode(StationNode):
    """Any robot; see the declaration for what it says and hears."""

    declaration = declared.ROBOT
    configured = False

    def make_robot(self) -> LiveRobot:
        """The robot, not yet connected."""
        if self.rig.robot.type == "bridge":
            from robot_learning.nodes.bridge import Bridge

            return Bridge(self)
        return make_robot(self.rig, self.clock)

    def configure(self) -> None:
        self.robot = self.make_robot()
        self._ending = threading.Event()
        rate = self.rig.robot.state_rate_hz
        self._state = StatePublisher(self, getattr(self.robot, "jacobian", None))
        self._states: Outbox[Any] = Outbox("states", self.publish_state, round(_QUEUED_S * rate))
        self._names = action_names(self.rig)
        self._action = {stage: self.advertise(f"~/{stage}") for stage in ("commanded", "gated", "executed")}
        self._gate = self.advertise("~/gate")
        self._told: dict[str, Any] = {}
        self._gripper_width: float | None = None  # as told by ~/target_gripper
        self.robot.heard = self.hear
        self.robot.connect()
        self.helm = Helm(self.robot, self.rig, self.clock)
        self._who = _Who(self)
        self._hear_targets()
        self.serve("~/stop", self._stop)
        self.serve("~/recover", self._recover)
        self.serve("~/home", self._home)
        self._motion_timer = self.create_timer(1 / self.rig.policy.rate_hz, self._tick)
        self._motion_timer.cancel()
        self._alarm: Notices[None] = Notices(self, lambda _: self.tell_gate())
        threading.Thread(target=self._watch, name="watchdog", daemon=True).start()
        self.configured = True

    def activate(self) -> None:
        if self.helm.gate.stop_reason == "deactivated":
            self.helm.acknowledge()
        self.tell_gate()

    def deactivate(self) -> None:
        self.helm.stop("deactivated")
        self.tell_gate()

    def close(self) -> None:
        if self.configured:
            self.helm.stop("the node ended")
            self._ending.set()
            self.robot.disconnect()
            self._states.close()

    def time_jumped(self, delta_ns: int) -> None:
        if self.configured:
            self.helm.time_jumped()
            self.tell_gate()

    # States

    def hear(self, state: RobotState) -> None:
        """A new state, in the robot's own thread."""
        self._states.put(state)

    def publish_state(self, item: Any) -> None:
        """What `hear` put into the queue, in the outbox's thread."""
        if self.active:
            self._state.publish(item)

    # Targets

    def _hear_targets(self) -> None:
        ee = self.rig.robot.command == "ee_target"
        for name, take, fits in (
            ("~/target", self._take_target, True),
            ("~/target_pose", self._take_pose, ee),
            ("~/target_joints", self._take_joints, not ee),
            ("~/target_gripper", self._take_gripper, True),
            ("~/target_trajectory", self._take_trajectory, not ee),
        ):
            self.listen(name, self._taker(name, take if fits else self._wrong_kind))

    def _taker(self, name: str, take: Callable[[Any], Target | None]) -> Callable[[Any, Any], None]:
        def on_message(message: Any, info: Any) -> None:
            if not self.active:
                return
            commander = self._who(name, info)
            try:
                target = take(message)
            except BadMessage as error:
                self.helm.refuse("message", f"{name}: {error}")
                self.helm.check_alone(commander)
                self.tell_gate()
                return
            if target is None:
                self.helm.check_alone(commander)
                self.tell_gate()
                return
            try:
                self._publish(self.helm.command(target, commander))
            except SafetyError as error:  # a robot that has told nothing of itself yet
                self.helm.refuse("state", str(error))
                self.tell_gate()

        return on_message

    def _take_target(self, message: JointState) -> Target:
        values = messages.pick(message, "position", self._names)
        return to_target(self.rig.robot, values, messages.stamp_of(message))

    def _take_pose(self, message: PoseStamped) -> Target:
        if message.header.frame_id not in ("", BASE):
            raise BadMessage(f"its frame is '{message.header.frame_id}', not '{BASE}'")
        rotation = quaternion_to_matrix(messages.orientation_of(message))
        stamp = messages.stamp_of(message)
        return EeTarget(stamp, messages.position_of(message), matrix_to_rotation_6d(rotation), self._width())

    def _take_joints(self, message: JointState) -> Target:
        joints = messages.pick(message, "position", self.rig.robot.joint_names)
        width = self._width()
        if GRIPPER in message.name:
            width = self._gripper_width = float(messages.pick(message, "position", [GRIPPER])[0])
        return JointTarget(messages.stamp_of(message), joints, width)

    def _take_gripper(self, message: JointState) -> None:
        width = float(messages.pick(message, "position", [GRIPPER])[0])
        if not np.isfinite(width):
            raise BadMessage(f"its {GRIPPER} is not finite")
        self._gripper_width = width

    def _take_trajectory(self, message: JointTrajectory) -> None:
        names, wanted = list(message.joint_names), list(self.rig.robot.joint_names)
        if sorted(names) != sorted(wanted) or not message.points:
            raise BadMessage(f"it has {len(message.points)} points for {names}, the robot's joints are {wanted}")
        points = np.array([p.positions for p in message.points], dtype=np.float64)
        times = [p.time_from_start.sec + p.time_from_start.nanosec / NS_PER_S for p in message.points]
        if points.shape != (len(times), len(names)) or not np.isfinite(points).all():
            raise BadMessage(f"its points are not {len(names)} finite positions each")
        if min(np.diff([-1e-9, *times])) <= 0:
            raise BadMessage("its points' times do not increase")
        now = self.clock.now_ns()
        begin = messages.from_time(message.header.stamp) or now  # an unstamped trajectory begins at once, as usual
        if abs(now - begin) > self.rig.limits.command_age_max_s * NS_PER_S:
            raise BadMessage(f"it begins {(begin - now) / NS_PER_S:+.3f} s from now")
        start = self.helm.held(now)
        assert isinstance(start, JointTarget)
        order = [names.index(name) for name in wanted]
        self.helm.begin(Trajectory(start, points[:, order], times, begin))
        self._motion_timer.reset()

    def _wrong_kind(self, message: Any) -> None:
        raise BadMessage(f"the rig takes {self.rig.robot.command}s; see robot.command in its file")

    def _width(self) -> float:
        if self._gripper_width is None:
            self._gripper_width = self.helm.held(self.clock.now_ns()).gripper_width
        return self._gripper_width

    def _tick(self) -> None:
        """The helm's own motion, at the policy's rate."""
        outcome = self.helm.tick()
        if outcome is not None:
            self._publish(outcome)
        if self.helm.motion is None:
            self._motion_timer.cancel()
            self.tell_gate()

    def _publish(self, outcome: Outcome) -> None:
        if outcome.recordable:
            stamp = outcome.commanded.stamp_ns
            for stage, publisher in self._action.items():
                publisher.publish(messages.vector(stamp, self._names, flatten(getattr(outcome, stage))))
        self.tell_gate()

    # Services

    def _stop(self) -> str:
        self.helm.stop("stop")
        self.tell_gate()
        return "stopped; ~/recover lets it move again"

    def _recover(self) -> str:
        answer = self.helm.recover()
        self.tell_gate()
        return answer

    def _home(self) -> str:
        if not self.active:
            raise UserError("the node is not active; activate it first.")
        seconds = self.helm.home()
        self._motion_timer.reset()
        self.tell_gate()
        return f"moving home, about {seconds:.1f} s"

    # The gate

    def _watch(self) -> None:
        """The watchdog's thread: it barks even where the executor is held up."""
        period = self.rig.watchdog.timeout_s / _POLLS_PER_TIMEOUT
        while not self._ending.wait(period):
            if self.helm.poll():
                self._alarm.put(None)

    def tell_gate(self) -> None:
        """Publish ~/gate where it has changed."""
        helm = self.helm
        gate, trip = helm.gate, helm.newest_trip
        values: dict[str, Any] = {
            "state": gate.state,
            "reason": gate.stop_reason,
            "motion": helm.motion.name if helm.motion else "",
            "trip": trip.name if trip else "",
            "detail": trip.detail if trip else "",
        } | {f"trips.{name}": count for name, count in sorted(helm.trips.items())}
        if values == self._told:
            return
        self._told = values
        stopped = gate.state == "stopped"
        text = f"stopped: {gate.stop_reason}" if stopped else gate.state
        level = messages.ERROR if stopped else messages.OK
        if stopped:
            self.fault("gate", f"the robot holds: {gate.stop_reason}; ~/recover lets it move again")
        else:
            self.clear_fault("gate")
        self._gate.publish(messages.status(f"{self.get_name()}: gate", level, text, values))

    def diagnose(self) -> list[DiagnosticStatus]:
        if not self.configured:
            return []
        level = messages.WARN if self._states.dropped else messages.OK
        text = (
            f"{self._states.dropped} states were dropped before they could be published"
            if self._states.dropped
            else "ok"
        )
        lines = [messages.status(f"{self.get_name()}: queue", level, text, {"dropped": self._states.dropped})]
        if hasattr(self.robot, "diagnostics"):
            fault = str(getattr(self.robot, "fault", ""))
            level = messages.ERROR if fault else messages.OK
            lines.append(messages.status(f"{self.get_name()}: robot", level, fault or "ok", self.robot.diagnostics()))
        return lines


class _Who:
    """Publishers of targets by the name of their node."""

    def __init__(self, node: StationNode) -> None:
        self._node = node
        self._names: dict[bytes, str] = {}

    def __call__(self, topic: str, info: Any) -> Commander:
        publisher = info.get("publisher_gid")
        id = bytes(publisher["data"]) if publisher else b""
        if id not in self._names:
            self._look(topic)
        return Commander(self._names.get(id, ""), topic, id)

    def _look(self, topic: str) -> None:
        resolved = self._node.resolve_topic_name(topic)
        for about in self._node.get_publishers_info_by_topic(resolved):
            self._names[bytes(about.endpoint_gid)] = f"{about.node_namespace.rstrip('/')}/{about.node_name}"


def main(arguments: list[str] | None = None) -> None:
    """The executable `robot_node`."""
    run(RobotNode, arguments)


if __name__ == "__main__":
    main()
