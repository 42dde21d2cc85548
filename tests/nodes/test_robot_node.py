"""robot_node on a real graph, with the simulated arm: what it says, what it does when commanders go wrong."""

import numpy as np
import pytest

pytest.importorskip("rclpy", reason="ROS 2 is not installed: pip install robot_learning[ros]")

from arm import EVERY, Arm, Commander, patient_rig
from builtin_interfaces.msg import Duration
from geometry_msgs.msg import PoseStamped, TwistStamped, WrenchStamped
from lifecycle_msgs.msg import Transition
from lifecycle_msgs.srv import ChangeState
from rosgraph_msgs.msg import Clock
from sensor_msgs.msg import JointState
from trajectory_msgs.msg import JointTrajectory, JointTrajectoryPoint

from robot_learning.clock import NS_PER_S
from robot_learning.nodes import messages


@pytest.fixture
def station(graph, tmp_path):
    """The test's graph, a robot, and one who may command it."""
    arm = Arm(graph, patient_rig(tmp_path))
    return graph, arm, Commander(graph, arm)


def test_state_comes_in_every_form_at_its_rate_and_stops_with_the_node(graph, tmp_path):
    arm = Arm(graph, patient_rig(tmp_path))
    twists = graph.collect(TwistStamped, "/r/robot/ee_twist", EVERY)
    wrenches = graph.collect(WrenchStamped, "/r/robot/wrench", EVERY)
    graph.until(lambda: len(arm.states) > 100 and len(twists) > 10 and len(wrenches) > 10)
    stamps = np.array([messages.stamp_of(m) for m in arm.states])
    assert (np.diff(stamps) == 10_000_000).all()  # 100 Hz, and none is missing
    assert list(arm.states[-1].name) == list(arm.rig.robot.joint_names)
    home = arm.rig.robot.home_joint_position
    np.testing.assert_allclose(arm.states[-1].position, home, atol=0.01)
    assert [len(arm.states[-1].velocity), len(arm.states[-1].effort)] == [7, 7]
    assert {m.header.frame_id for m in (arm.poses[-1], twists[-1], wrenches[-1])} == {"base"}
    assert abs(twists[-1].twist.linear.x) < 0.01
    assert arm.gate == "inactive"  # nobody commands, and that is no fault
    arm.process.kill()
    graph.spin(0.5)  # what was on its way
    count = len(arm.states)
    graph.spin(0.5)
    assert len(arm.states) == count
    Arm(graph, tmp_path / "patient.yaml")  # and another one takes its place


def test_targets_are_followed_and_told_in_three_stages_with_the_commands_own_stamps(station):
    graph, arm, commander = station
    start = arm.position
    commander.begin(step=(0.0, 0.002, 0.0))
    graph.until(lambda: arm.position[1] > start[1] + 0.05)
    commander.end()
    arm.until_stopped("watchdog")  # all that was on its way has come
    stages = {stage: [messages.stamp_of(m) for m in got] for stage, got in arm.actions.items()}
    assert stages["commanded"] == stages["gated"] == stages["executed"]
    assert len(stages["commanded"]) > 20
    assert list(arm.actions["gated"][-1].name) == list(arm.names)
    np.testing.assert_allclose(arm.actions["gated"][5].position, arm.actions["commanded"][5].position, atol=0.005)


def test_a_commander_that_falls_silent_leaves_a_robot_that_brakes_and_holds_until_recover(station):
    graph, arm, commander = station
    commander.begin(step=(0.0, 0.003, 0.0))
    start = arm.position[1]
    graph.until(lambda: arm.position[1] > start + 0.03)
    commander.end()
    arm.until_stopped("watchdog")
    commander.begin()
    graph.until(lambda: "trips.stopped" in arm.told)  # refused, and told so
    assert arm.call("recover").success
    graph.until(lambda: arm.gate == "active")


def test_two_publishers_of_targets_stop_the_robot_and_both_are_named(station):
    graph, arm, commander = station
    commander.begin()
    graph.until(lambda: arm.gate == "active")
    rival = Commander(graph, arm, "rival")
    rival.send(arm.action())
    arm.until_stopped("two commanders: /commander and /rival")
    commander.end()
    graph.spin(1.1)  # the silence after which another may follow
    assert arm.call("recover").success
    rival.begin()
    graph.until(lambda: arm.gate == "active")


def test_what_cannot_be_trusted_is_refused_by_name_and_moves_nothing(station):
    graph, arm, commander = station
    start, action = arm.position, arm.action()

    def refused(trip, word="", **how):
        values = how.pop("values", action)
        commander.send(values, **how)
        graph.until(lambda: arm.told["trip"] == trip and word in arm.told["detail"])

    far = action + np.eye(10)[0] * 0.2
    refused("first_target", values=far)
    refused("message", "not stamped", stamp_ns=0)
    refused("message", "without ['z'", names=["x", "y", "zz", *arm.names[3:]])
    refused("stale", stamp_ns=commander.now_ns() - 5_000_000_000)
    refused("future", stamp_ns=commander.now_ns() + 3_000_000_000)
    recorded = len(arm.actions["commanded"])
    refused("not_finite", values=action * np.nan)
    commander.begin()
    graph.until(lambda: arm.gate == "active")
    commander.values[:] = np.nan  # all of them from now on: as good as silence
    arm.until_stopped("watchdog")
    np.testing.assert_allclose(arm.position, start, atol=0.005)
    assert all(np.isfinite(m.position).all() for m in arm.actions["commanded"][recorded:])


def test_home_is_a_slow_motion_that_a_stop_ends(station):
    graph, arm, commander = station
    commander.begin(step=(0.0, 0.003, 0.0))
    home = arm.position
    graph.until(lambda: arm.position[1] > home[1] + 0.12)
    answer = arm.call("home")
    assert not answer.success
    assert "/commander commands the robot" in answer.message
    commander.end()
    arm.until_stopped("watchdog")
    assert "call ~/recover first" in arm.call("home").message
    assert arm.call("recover").success
    assert arm.call("home").success
    graph.until(lambda: arm.speed > 0.02)
    assert arm.told["motion"] == "home"
    assert arm.call("stop").success
    arm.until_stopped("stop")
    assert arm.position[1] > home[1] + 0.02  # it did not go on
    assert arm.call("recover").success
    assert arm.call("home").success
    graph.until(lambda: arm.gate == "inactive" and arm.told["motion"] == "" and abs(arm.position[1] - home[1]) < 0.005)


def test_a_joint_rig_follows_joints_and_trajectories_and_refuses_tool_poses_by_name(graph, tmp_path):
    arm = Arm(graph, patient_rig(tmp_path, command="joint_target"))
    node, joints = graph.node, list(arm.rig.robot.joint_names)
    home = np.array(arm.rig.robot.home_joint_position)
    poses = node.create_publisher(PoseStamped, "/r/robot/target_pose", 10)
    singles = node.create_publisher(JointState, "/r/robot/target_joints", 10)
    trajectories = node.create_publisher(JointTrajectory, "/r/robot/target_trajectory", 10)
    graph.until(lambda: all(p.get_subscription_count() for p in (poses, singles, trajectories)))
    poses.publish(messages.pose(node.get_clock().now().nanoseconds, "base", np.zeros(3), np.array([1.0, 0, 0, 0])))
    graph.until(
        lambda: arm.told["detail"] == "~/target_pose: the rig takes joint_targets; see robot.command in its file"
    )

    turned = dict(zip(joints, home, strict=True)) | {joints[0]: 0.3}
    message = JointTrajectory(joint_names=joints[::-1])  # in an order of its own
    for seconds, first in ((1, 0.15), (2, 0.3)):
        turned[joints[0]] = first
        point = JointTrajectoryPoint(positions=[turned[name] for name in message.joint_names])
        point.time_from_start = Duration(sec=seconds)
        message.points.append(point)
    trajectories.publish(message)
    graph.until(lambda: arm.told["motion"] == "trajectory")
    graph.until(lambda: abs(arm.states[-1].position[0] - 0.3) < 0.02)
    graph.until(lambda: arm.told["motion"] == "" and arm.gate == "inactive")  # it holds, without a fault

    there = np.array(arm.states[-1].position)
    goal = there + np.eye(7)[0] * 0.01
    singles.publish(messages.vector(node.get_clock().now().nanoseconds, joints[::-1], goal[::-1]))
    graph.until(lambda: np.allclose(arm.actions["commanded"][-1].position[:7], goal))
    graph.until(lambda: np.allclose(arm.actions["gated"][-1].position[:7], goal))


def test_deactivated_it_brakes_and_is_silent_and_activated_it_goes_on(station):
    graph, arm, commander = station
    change = graph.node.create_client(ChangeState, "/r/robot/change_state")

    def transition(id):
        graph.until(change.service_is_ready)
        future = change.call_async(ChangeState.Request(transition=Transition(id=id)))
        graph.until(future.done)
        assert future.result().success

    commander.begin(step=(0.0, 0.003, 0.0))
    start = arm.position[1]
    graph.until(lambda: arm.position[1] > start + 0.03)
    transition(Transition.TRANSITION_DEACTIVATE)
    graph.until(lambda: arm.gate == "stopped: deactivated")
    commander.end()
    graph.spin(0.5)
    count = len(arm.states)
    graph.spin(0.5)
    assert len(arm.states) == count
    transition(Transition.TRANSITION_ACTIVATE)
    graph.until(lambda: len(arm.states) > count)
    arm.until_it_stands()
    commander.begin()
    graph.until(lambda: arm.gate == "active")


def test_simulated_time_that_begins_anew_stops_a_commanded_robot(graph, tmp_path):
    clock = graph.node.create_publisher(Clock, "/clock", 10)
    now = [1000 * NS_PER_S]

    def pass_on():
        now[0] += NS_PER_S // 50
        clock.publish(Clock(clock=messages.to_time(now[0])))

    graph.node.create_timer(1 / 50, pass_on)
    arm = Arm(graph, patient_rig(tmp_path), use_sim_time=True)
    commander = Commander(graph, arm)
    commander.now_ns = lambda: now[0]
    commander.begin()
    graph.until(lambda: arm.gate == "active")
    assert abs(messages.stamp_of(arm.states[-1]) - now[0]) < NS_PER_S
    now[0] = NS_PER_S
    arm.until_stopped("time was set")
    assert messages.stamp_of(arm.states[-1]) < 100 * NS_PER_S  # the state goes on, in the new time
    assert arm.call("recover").success
    graph.until(lambda: arm.gate == "active")


def test_a_rig_that_it_cannot_drive_is_a_sentence_and_exit_code_2(graph, tmp_path):
    rig = patient_rig(tmp_path, type="mujoco_pander")
    process = graph.start("robot_learning.nodes.robot_node", rig=str(rig))
    graph.until(lambda: process.popen.poll() is not None)
    assert process.popen.returncode == 2
    assert "unknown robot type 'mujoco_pander'; did you mean 'mujoco_panda'?" in process.log
    assert "Traceback" not in process.log
