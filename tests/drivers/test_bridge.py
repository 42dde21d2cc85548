"""A robot behind another maker's driver: state put together, targets handed on, braking of our own."""

import threading

import numpy as np
import pytest
import yaml
from plain_robot import HOME

from robot_learning.clock import NS_PER_S, SystemClock
from robot_learning.data.sample import Sample
from robot_learning.drivers.bridge import BridgedRobot
from robot_learning.drivers.gate import Gate
from robot_learning.drivers.interfaces import JointTarget
from robot_learning.drivers.mujoco.kinematics import Kinematics
from robot_learning.errors import ConfigError, SafetyError
from robot_learning.rig import parse_rig, rig_path

STATE = {"topic": "/joint_states", "type": "sensor_msgs/JointState"}


def bridged(command="joint_target", **topics):
    """The content of a rig file for a Panda that somebody else drives."""
    content = yaml.safe_load(rig_path("panda_sim").read_text())
    content["robot"] |= {"type": "bridge", "command": command}
    content["simulation"], content["cameras"] = None, {}
    content["policy"]["alignment"] = {"joint_position": {"method": "linear", "max_age_s": 0.05}}
    content["topics"] = {f"joint_{x}": STATE | {"field": x} for x in ("position", "velocity", "effort")}
    content["topics"]["gripper_width"] = {**STATE, "topic": "/fingers", "field": "position", "scale": 2.0}
    content["topics"] |= topics
    type = "geometry_msgs/PoseStamped" if command == "ee_target" else "sensor_msgs/JointState"
    content["bridge"] = {"target": {"topic": "/target", "type": type}, "kinematics": "panda"}
    return content


class Wires:
    """Remembers what was sent."""

    def __init__(self):
        self.sent, self.some = [], threading.Condition()

    def send(self, target):
        with self.some:
            self.sent.append(target)
            self.some.notify_all()

    def wait(self, done):
        with self.some:
            assert self.some.wait_for(lambda: done(self.sent), timeout=20)


@pytest.fixture
def station():
    rig, wires, clock = parse_rig(bridged(), "test"), Wires(), SystemClock()
    return rig, wires, clock, BridgedRobot(rig, clock, wires, Kinematics.of(rig))


def feed(station, velocity=0.0, joints=HOME):
    _, _, clock, robot = station
    now = clock.now_ns()
    for name, value in (
        ("joint_velocity", np.full(7, velocity)), ("joint_effort", np.zeros(7)), ("gripper_width", np.array([0.05])),
        ("joint_position", joints),
    ):  # fmt: skip
        robot.take(Sample(name, now, now, 0, value))


def test_the_state_is_put_together_and_the_tools_pose_computed(station):
    rig, _, _, robot = station
    heard = []
    robot.heard = heard.append
    with pytest.raises(SafetyError, match="nothing on the topics of joint_position"):
        robot.observe()
    feed(station)
    assert len(heard) == 1
    np.testing.assert_allclose(robot.observe().ee_position, Kinematics.of(rig).position(HOME))
    assert robot.observe().gripper_width == [0.05]


def test_a_gated_target_is_handed_on_and_a_stop_brakes_from_the_measured_motion(station):
    rig, wires, clock, robot = station
    feed(station)
    gate = Gate(robot, rig.limits, clock, rig.policy.rate_hz)
    gate.activate()
    assert gate.command(JointTarget(clock.now_ns(), HOME + 0.001, 0.02)).executed is not None
    np.testing.assert_allclose(wires.sent[0].position, HOME + 0.001)
    feed(station, velocity=0.2)
    gate.stop()
    T = rig.watchdog.deceleration_time_s
    wires.wait(lambda sent: len(sent) > 5 and np.allclose(sent[-1].position, HOME + 0.2 * T / 2, atol=1e-6))
    braking = np.array([target.position[0] for target in wires.sent[1:]])
    assert (np.diff(braking) >= -1e-12).all()
    assert {target.gripper_width for target in wires.sent[1:]} == {0.02}  # what is gripped stays gripped


def test_a_newer_target_ends_the_braking(station):
    rig, wires, clock, robot = station
    feed(station, velocity=0.2)
    gate = Gate(robot, rig.limits, clock, rig.policy.rate_hz)
    robot.stop()
    wires.wait(lambda sent: len(sent) >= 2)
    gate.activate()
    gate.command(JointTarget(clock.now_ns(), HOME + 0.001, 0.02))
    count = len(wires.sent)
    clock.sleep_until(clock.now_ns() + NS_PER_S // 10)
    assert len(wires.sent) == count


def test_topics_that_do_not_make_a_state_are_refused():
    content = bridged()
    del content["topics"]["gripper_width"]
    rig = parse_rig(content, "test")
    with pytest.raises(ConfigError, match="names none for gripper_width"):
        BridgedRobot(rig, SystemClock(), Wires(), Kinematics.of(rig))
    rig = parse_rig(bridged(), "test")
    with pytest.raises(ConfigError, match="names none for ee_position, ee_orientation"):
        BridgedRobot(rig, SystemClock(), Wires(), None)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"target": {"topic": "/t", "type": "geometry_msgs/PoseStamped"}}, "use sensor_msgs/JointState"),
        ({"target": {"topic": "/t", "type": "sensor_msgs/JointState", "names": ["elbow"]}}, "'elbow' is neither"),
    ],
)
def test_a_section_that_does_not_fit_the_robot_is_refused(change, words):
    content = bridged()
    content["bridge"] |= change
    with pytest.raises(ConfigError, match=words):
        parse_rig(content, "test")


def test_a_bridge_without_its_section_is_refused():
    content = bridged()
    del content["bridge"]
    with pytest.raises(ConfigError, match="go together"):
        parse_rig(content, "test")
