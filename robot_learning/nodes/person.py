"""A person's hands at an input device, as targets and calls."""

from __future__ import annotations

from typing import Any

from rclpy.parameter import Parameter
from std_msgs.msg import Bool, String
from std_srvs.srv import Trigger

from robot_learning.clock import seconds_to_ns
from robot_learning.deployment.measured import Measured
from robot_learning.deployment.teleop import Motion, Teleop
from robot_learning.drivers.robots import ROBOTS, Kinematics, make_kinematics
from robot_learning.drivers.targets import flatten
from robot_learning.drivers.teleop.hands import DeviceLost, Hands, Screen
from robot_learning.drivers.teleop.mapping import Mapping
from robot_learning.drivers.teleop.registry import make_device
from robot_learning.errors import UserError
from robot_learning.nodes import messages
from robot_learning.nodes.base import StationNode
from robot_learning.nodes.state_intake import StateIntake
from robot_learning.rig import Rig
from robot_learning.rig_parts.teleop_inputs import RECORDER_WORDS, SERVICE_WORDS
from robot_learning.topics import action_names

_RETRY_S = 1.0  # between looks for a lost device
_HEARD_S = 0.1  # between the first target and the wish to take over, so that the policy has heard it
_FAULT = "device"
_SHOWN = {"ee": "tool", "base": "base", "mixed": "several at once"}


class Person:
    """Reads the device at the teleoperation's rate. Without the device nothing is sent, so that the robot holds."""

    def __init__(self, node: StationNode, device: str) -> None:
        self._node, self._names = node, action_names(node.rig)
        self._device = make_device(device, node.rig.teleop)
        self._screen = self._device if isinstance(self._device, Screen) else None
        self._mapping = Mapping(node.rig.teleop, device)
        self._lost_ns: int | None = None
        speed_scale, motions = node.param("speed_scale"), self._mapping.motions
        self.teleop = Teleop(node.rig, node.clock, speed_scale, _kinematics(node.rig), motions)
        self._measured, self._stopped = Measured(), ""
        StateIntake(node, self._measured)
        node.listen("robot/gate", self._gate)
        if self._screen:
            node.listen("recorder/status", self._recording)
        self._target, self._twist = node.advertise("robot/target"), node.advertise("~/twist")
        self._recorder, self._dead_man = node.advertise("recorder/command"), node.advertise("~/dead_man")
        self._services = {word: node.client(name) for word, name in SERVICE_WORDS.items()}
        self._wanted: list[tuple[int, str]] = []  # when [ns], and what is to be called
        self._told_dead_man: bool | None = None
        self._timer = node.create_timer(1 / node.rig.teleop.rate_hz, self._tick)
        self._timer.cancel()

    def begin(self) -> None:
        """Open the device."""
        self._open()
        self._lost_ns = None
        self._wanted.clear()
        self.teleop.let_go("")
        where = f"open {self._screen.address()}\n" if self._screen else ""
        self._node.get_logger().info(f"ready; what does what:\n{where}{self._mapping.help()}")
        self._timer.reset()

    def end(self) -> None:
        """Send nothing more and give the device back."""
        self._timer.cancel()
        self.close()

    def close(self) -> None:
        """Give the device back."""
        self._device.close()

    def change(self, parameter: Parameter) -> None:
        """A parameter was set."""
        if parameter.name == "speed_scale":
            self.teleop.speed_scale = parameter.value

    def time_jumped(self) -> None:
        """Stamps from before say nothing about now."""
        self._measured.clear()

    def _open(self) -> None:
        self._mapping.opened(self._device.open())

    def _tick(self) -> None:
        now = self._node.clock.now_ns()
        hands = self._read()
        if hands is None:
            self._tell(self.teleop.let_go("the input device is lost: nothing is sent until it is back"))
            return
        for word in hands.words:
            if word in RECORDER_WORDS:
                self._recorder.publish(String(data=word))
            elif word in SERVICE_WORDS:
                self._wanted.append((now + seconds_to_ns(_HEARD_S if word == "take_over" else 0.0), word))
        self._tell(self.teleop.tick(hands, self._measured.state, self._stopped))
        due, self._wanted = [w for t, w in self._wanted if t <= now], [(t, w) for t, w in self._wanted if t > now]
        for word in due:
            self._call(word)

    def _read(self) -> Hands | None:
        """The hands; None while the device is lost."""
        now = self._node.clock.now_ns()
        try:
            if self._lost_ns is not None:
                if now - self._lost_ns < seconds_to_ns(_RETRY_S):
                    return None
                self._lost_ns = now
                self._open()
                self._lost_ns = None
                self._node.clear_fault(_FAULT)
                self._node.get_logger().info("the input device is back")
            return self._mapping.hands(self._device.read(now))
        except DeviceLost as error:
            self._lost_ns = now
            self._device.close()
            self._node.fault(_FAULT, str(error))
        except UserError as error:  # not back yet
            self._node.fault(_FAULT, str(error))
        return None

    def _tell(self, motion: Motion) -> None:
        now = self._node.clock.now_ns()
        if motion.target is not None:
            target = motion.target
            self._target.publish(messages.vector(target.stamp_ns, self._names, flatten(target)))
            self._twist.publish(messages.twist(now, "base", motion.linear, motion.angular))
        if motion.dead_man != self._told_dead_man:
            self._told_dead_man = motion.dead_man
            self._dead_man.publish(Bool(data=motion.dead_man))
        if motion.note:
            self._node.get_logger().info(motion.note)
        if self._screen:
            self._show(self._screen, motion)

    def _show(self, screen: Screen, motion: Motion) -> None:
        mode, joint = self.teleop.mode, self._node.rig.robot.joint_names[self.teleop.joint]
        robot = f"stopped: {self._stopped}" if self._stopped else "ready"
        if self._measured.state is None:
            robot = "silent"
        screen.show(
            {"mode": f"joint {joint}" if mode == "joint" else _SHOWN[mode], "robot": robot}
            | {"axes": self._mapping.moved(self.teleop.moves), "speed": round(self.teleop.speed_scale, 2)}
            | {"moves": motion.dead_man and motion.target is not None}
            | ({"note": motion.note} if motion.note else {})
        )

    def _call(self, word: str) -> None:
        client = self._services[word]
        if not client.service_is_ready():
            self._node.get_logger().warning(f"nobody serves {client.srv_name}")
            return

        def answered(future: Any) -> None:
            answer = future.result()
            if answer.success:
                self._node.get_logger().info(f"{word}: {answer.message}")
            else:  # a line of its own: rclpy allows each line of code one severity
                self._node.get_logger().warning(f"{word}: {answer.message}")

        client.call_async(Trigger.Request()).add_done_callback(answered)

    def _recording(self, message: Any) -> None:
        values = messages.values_of(message)
        recording = values.get("state") == "recording"
        if self._screen:
            elapsed = f"{values.get('elapsed_s', '0')} s" if recording else ""
            self._screen.show({"recording": elapsed, "recorder": message.message})

    def _gate(self, message: Any) -> None:
        values = messages.values_of(message)
        self._stopped = values.get("reason", "stopped") if values.get("state") == "stopped" else ""


def _kinematics(rig: Rig) -> Kinematics | None:
    """The arm's, where tool motion needs them and they are known."""
    if rig.robot.command == "ee_target" or rig.robot.type not in ROBOTS:
        return None
    try:
        return make_kinematics(rig)
    except UserError:  # a description that is not installed, say
        if rig.teleop.mode == "ee":
            raise
        return None
