"""robot_node in front of another maker's driver, over real DDS. That driver is a fake: a real one needs its robot."""

import numpy as np
import yaml
from arm import EVERY, Arm, Commander, patient_rig
from geometry_msgs.msg import PoseStamped
from rclpy.qos import QoSProfile, ReliabilityPolicy
from sensor_msgs.msg import JointState

from robot_learning.drivers.mujoco.kinematics import Kinematics
from robot_learning.nodes import messages
from robot_learning.rig import load_rig
from robot_learning.rotation import matrix_to_quaternion

BEST_EFFORT = QoSProfile(depth=10, reliability=ReliabilityPolicy.BEST_EFFORT)  # as franka_ros2 publishes since 2.4
JOINTS = [f"fr3_joint{i + 1}" for i in range(7)]


def bridge_rig(folder):
    content = yaml.safe_load(patient_rig(folder).read_text())
    content["robot"] |= {"type": "bridge", "joint_names": JOINTS}
    content["simulation"], content["cameras"] = None, {}
    content["policy"]["alignment"] = {"joint_position": {"method": "linear", "max_age_s": 0.05}}
    joints = {"topic": "/joint_states", "type": "sensor_msgs/JointState", "names": JOINTS}
    pose = {"topic": "/current_pose", "type": "geometry_msgs/PoseStamped"}
    fingers = {"topic": "/fingers", "type": "sensor_msgs/JointState", "names": ["fr3_finger_joint1"]}
    content["topics"] = {f"joint_{name}": joints | {"field": name} for name in ("position", "velocity", "effort")}
    content["topics"] |= {
        name: pose | {"field": name.removeprefix("ee_")} for name in ("ee_position", "ee_orientation")
    }
    content["topics"]["gripper_width"] = fingers | {"field": "position", "scale": 2.0}
    content["bridge"] = {"target": {"topic": "/target_pose", "type": "geometry_msgs/PoseStamped"}}
    path = folder / "bridge.yaml"
    path.write_text(yaml.safe_dump(content))
    return path


class FakeDriver:
    """Publishes a Panda's state as franka_ros2 does, and is at once where it is told to be."""

    def __init__(self, graph, rig):
        node = self._node = graph.node
        self._joints = np.array(rig.robot.home_joint_position)
        position, rotation = Kinematics.of(rig).forward(self._joints)
        self.position, self._orientation = position, matrix_to_quaternion(rotation)
        self._states = node.create_publisher(JointState, "/joint_states", BEST_EFFORT)
        self._poses = node.create_publisher(PoseStamped, "/current_pose", BEST_EFFORT)
        self._fingers = node.create_publisher(JointState, "/fingers", BEST_EFFORT)
        self.targets = []
        node.create_subscription(PoseStamped, "/target_pose", self._follow, EVERY)
        node.create_timer(0.01, self._tell)

    def _tell(self):
        now = self._node.get_clock().now().nanoseconds
        self._poses.publish(messages.pose(now, "base", self.position, self._orientation))
        self._fingers.publish(messages.vector(now, ["fr3_finger_joint1", "fr3_finger_joint2"], [0.02, 0.02]))
        self._states.publish(messages.vector(now, JOINTS, self._joints, np.zeros(7), np.zeros(7)))

    def _follow(self, message):
        self.targets.append(message)
        self.position = messages.position_of(message)


def test_targets_go_through_the_gate_to_the_other_driver_and_a_stop_holds_it(graph, tmp_path):
    path = bridge_rig(tmp_path)
    driver = FakeDriver(graph, load_rig(path))
    arm = Arm(graph, path)
    np.testing.assert_allclose(arm.grippers[-1].position, [0.04])  # of two fingers
    commander = Commander(graph, arm)
    commander.begin(step=(0.0, 0.002, 0.0))
    start = driver.position[1]
    graph.until(lambda: driver.position[1] > start + 0.02)
    assert arm.gate == "active"
    assert driver.targets[-1].header.frame_id == "base"
    assert arm.call("stop").success
    graph.until(lambda: arm.gate == "stopped: stop")
    held = driver.position.copy()
    graph.spin(0.5)  # the commander goes on; nothing of it may pass
    np.testing.assert_allclose(driver.position, held, atol=0.005)
    commander.end()
    assert arm.call("recover").success


def test_without_the_other_driver_nothing_is_sent_and_why_is_said(graph, tmp_path):
    path = bridge_rig(tmp_path)
    rig = load_rig(path)
    process = graph.start("robot_learning.nodes.robot_node", namespace="/r", rig=str(path))
    gates = graph.collect(messages.DiagnosticStatus, "/r/robot/gate")
    sent = graph.collect(PoseStamped, "/target_pose", EVERY)
    publisher = graph.node.create_publisher(JointState, "/r/robot/target", 10)
    graph.until(publisher.get_subscription_count)
    names = [*"xyz", *(f"rotation_6d_{i}" for i in range(6)), "gripper_width"]
    values = [*Kinematics.of(rig).position(np.array(rig.robot.home_joint_position)), 1.0, 0, 0, 0, -1.0, 0, 0.08]

    def told():
        publisher.publish(messages.vector(graph.node.get_clock().now().nanoseconds, names, values))
        graph.spin(0.1)
        return gates and "own driver" in messages.values_of(gates[-1]).get("detail", "")

    graph.until(told)
    assert not sent
    assert process.popen.poll() is None
    assert "Traceback" not in process.log
