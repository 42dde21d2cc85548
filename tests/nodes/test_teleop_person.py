"""A person at a keyboard, on a real graph: a pseudo-terminal in place of hers, real targets, the simulated robot."""

import os
import pty
import signal
import sys
import termios
import time

import pytest

pytest.importorskip("rclpy", reason="ROS 2 is not installed: pip install robot_learning[ros]")

from blind import blind_rig
from diagnostic_msgs.msg import DiagnosticStatus
from geometry_msgs.msg import PoseStamped, TwistStamped
from sensor_msgs.msg import JointState
from std_msgs.msg import Bool, String

from robot_learning.nodes import messages
from robot_learning.nodes.qos import profile

NS = "/blind"
_REPEAT_S = 0.03


class Operator:
    """Hands on a keyboard, and eyes on the rig."""

    def __init__(self, graph, rig):
        self.graph = graph
        self.typing, end = pty.openpty()
        command = [sys.executable, "-m", "robot_learning.nodes.teleop_node", "--ros-args", "-r", f"__ns:={NS}"]
        self.teleop = graph.spawn([*command, "-p", f"rig:={rig}", "-p", "device:=keyboard"], "teleop", stdin=end)
        os.close(end)
        self.targets = graph.collect(JointState, f"{NS}/robot/target")
        self.poses = graph.collect(PoseStamped, f"{NS}/robot/ee_pose")
        self.twists = graph.collect(TwistStamped, f"{NS}/teleop/twist")
        self.words = graph.collect(String, f"{NS}/recorder/command")
        self.dead_man = graph.collect(Bool, f"{NS}/teleop/dead_man", profile("latched"))
        self.gate = graph.collect(DiagnosticStatus, f"{NS}/robot/gate", profile("latched"))

    def press(self, keys):
        os.write(self.typing, keys.encode())

    def hold_until(self, key, condition):
        """Let a key repeat until something has come of it; let it go now and then, as a person would."""

        last_s = 0.0

        def repeated():
            nonlocal last_s
            now_s = time.monotonic()
            if now_s % 3 < 2 and now_s - last_s > _REPEAT_S:
                self.press(key)
                last_s = now_s
            return condition()

        self.graph.until(repeated)

    @property
    def state(self):
        """The gate's."""
        return messages.values_of(self.gate[-1])["state"] if self.gate else ""

    @property
    def x(self):
        """Of the tool [m]."""
        return self.poses[-1].pose.position.x

    def stands(self):
        """Whether the tool has been where it is for a while."""
        newest = self.poses[-60:]
        return len(newest) == 60 and max(abs(pose.pose.position.x - self.x) for pose in newest) < 1e-3

    @property
    def moving(self):
        return bool(self.twists) and self.twists[-1].twist.linear.x != 0


@pytest.fixture
def operator(graph, tmp_path):
    rig = blind_rig(tmp_path)
    graph.start("robot_learning.nodes.sim_node", name="robot", namespace=NS, rig=rig)
    made = Operator(graph, rig)
    graph.until(lambda: made.poses and made.gate and "ready" in made.teleop.log)
    yield made
    if made.typing >= 0:
        os.close(made.typing)


def test_a_held_key_moves_the_tool_letting_it_go_holds_it_and_a_closed_terminal_stops_the_robot(operator):
    begin, until = operator.x, operator.graph.until
    assert not operator.targets  # nothing before the dead-man was held
    # Held until it is heard, too: what was published before this graph was discovered is heard by nobody.
    operator.hold_until("w", lambda: operator.x > begin + 0.05 and any(m.data for m in operator.dead_man))
    until(lambda: not operator.dead_man[-1].data and not operator.moving)
    count = len(operator.targets)
    until(lambda: len(operator.targets) > count + 25)  # the target at rest goes on
    assert operator.state == "active"
    assert operator.targets[-1].position[0] == operator.targets[-10].position[0]

    operator.hold_until("\r", lambda: operator.words)
    operator.press("y")
    until(lambda: operator.words[-1].data != "start")
    assert list(dict.fromkeys(m.data for m in operator.words)) == ["start", "success"]

    os.close(operator.typing)
    operator.typing = -1
    until(lambda: operator.state == "stopped")
    assert "watchdog" in operator.gate[-1].message
    assert "terminal is closed" in operator.teleop.log
    assert operator.teleop.popen.poll() is None  # it stays, and /diagnostics says what is wrong


def test_space_stops_the_robot_and_c_recovers_it_then_it_begins_where_it_is(operator):
    begin, until = operator.x, operator.graph.until
    operator.hold_until("w", lambda: operator.x > begin + 0.02)
    operator.press(" ")
    until(lambda: operator.state == "stopped")
    until(lambda: "the robot is stopped: stop" in operator.teleop.log)

    def recovered():
        if operator.graph.node.get_clock().now().nanoseconds // 200_000_000 % 2:
            operator.press("c")  # refused while the robot still moves
        return operator.state == "inactive"

    until(recovered)
    until(operator.stands)
    begin, since = operator.x, operator.graph.node.get_clock().now().nanoseconds
    operator.press("s")  # a tap: a small step from where it is

    def new():
        return [target.position[0] for target in operator.targets if messages.stamp_of(target) > since]

    until(new)
    assert all(abs(x - begin) < 0.02 for x in new())
    operator.hold_until("s", lambda: operator.x < begin - 0.02)


@pytest.mark.parametrize("signal_", [signal.SIGINT, signal.SIGTERM], ids=["interrupt", "terminate"])
def test_however_it_is_ended_the_terminal_is_as_it_was(operator, signal_):
    held = termios.ECHO | termios.ICANON
    assert not termios.tcgetattr(operator.typing)[3] & held
    operator.hold_until("w", lambda: operator.targets)
    operator.teleop.popen.send_signal(signal_)
    assert operator.teleop.popen.wait(20) == 0
    assert termios.tcgetattr(operator.typing)[3] & held == held
    assert "Traceback" not in operator.teleop.log


def test_without_a_terminal_teleop_refuses_in_a_sentence_and_ends(graph):
    teleop = graph.spawn(
        [sys.executable, "-m", "robot_learning.nodes.teleop_node", "--ros-args", "-p", "rig:=panda_sim"],
        "teleop", stdin=os.open(os.devnull, os.O_RDONLY),
    )  # fmt: skip
    graph.until(lambda: teleop.popen.poll() is not None)
    assert teleop.popen.returncode == 2
    assert "reads a terminal" in teleop.log
    assert "Traceback" not in teleop.log
