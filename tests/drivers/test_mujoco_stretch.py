"""The simulated Stretch: its kinematics, its base, and what it does when it is stopped or left alone."""

import re

import mujoco
import numpy as np
import pytest

from robot_learning.clock import NS_PER_S, FakeClock
from robot_learning.drivers.gate import Gate
from robot_learning.drivers.interfaces import EeTarget, JointTarget
from robot_learning.drivers.mujoco.stretch import JOINT_NAMES, TABLE_M, scene_xml
from robot_learning.drivers.mujoco.stretch_base import ACCELERATION_MAX
from robot_learning.drivers.mujoco.stretch_robot import MujocoStretch, RealTimeStretch, StretchKinematics
from robot_learning.drivers.mujoco.world import World
from robot_learning.drivers.robots import make_kinematics, make_robot
from robot_learning.errors import SafetyError, UnknownName
from robot_learning.rig import load_rig
from robot_learning.rotation import matrix_to_rotation_6d, rotation_distance

RIG = load_rig("stretch_sim")
HOME = np.array(RIG.robot.home_joint_position)
LOW, HIGH = np.array(RIG.limits.joint_position_min), np.array(RIG.limits.joint_position_max)
PERIOD_S = 1 / RIG.policy.rate_hz


class Bench:
    def __init__(self, rig=RIG, base=(0.0, 0.0, 0.0)):
        self.world = World(scene_xml())
        self.robot = MujocoStretch(rig, self.world)
        self.gate = Gate(self.robot, rig.limits, self.world, rig.policy.rate_hz, joint_units=rig.robot.joint_units)
        self.robot.place(HOME, 0.09, np.array(base))
        self.world.start()
        self.gate.activate()

    def wait(self, seconds):
        self.world.advance_to(self.world.now_ns() + round(seconds * NS_PER_S))

    def go(self, joints=HOME, width=0.09, base=(0.0, 0.0), times=1):
        for _ in range(times):
            target = JointTarget(self.world.now_ns(), np.array(joints), width, np.array(base))
            result = self.gate.command(target)
            self.wait(PERIOD_S)
        return result

    def states(self):
        taken = list(self.robot.states)
        self.robot.states.clear()
        return taken


@pytest.fixture
def bench():
    return Bench()


def urdf_model():
    """Hello Robot's own description, without its meshes."""
    stretch_urdf = pytest.importorskip("stretch_urdf", reason="needs hello-robot-stretch-urdf, for its URDF")
    path = f"{next(iter(stretch_urdf.__path__))}/SE3/stretch_description_SE3_eoa_wrist_dw3_tool_sg3.urdf"
    with open(path) as file:
        text = re.sub(r"<(visual|collision)>.*?</\1>", "", file.read(), flags=re.S)
    settings = '<mujoco><compiler fusestatic="false"/></mujoco>'
    return mujoco.MjModel.from_xml_string(re.sub(r"(<robot [^>]*>)", rf"\1{settings}", text, count=1))


def test_tool_and_cameras_are_where_the_manufacturers_urdf_has_them():
    theirs = urdf_model()
    ours = mujoco.MjModel.from_xml_string(scene_xml())
    a, b = mujoco.MjData(theirs), mujoco.MjData(ours)
    for q in np.random.default_rng(0).uniform(LOW, HIGH, (50, 7)):
        for name, value in zip(JOINT_NAMES, q, strict=True):
            b.joint(name).qpos = value
            if name == "wrist_extension":
                for tube in range(4):
                    a.joint(f"joint_arm_l{tube}").qpos = value / 4
            else:
                a.joint(name).qpos = value
        mujoco.mj_kinematics(theirs, a)
        mujoco.mj_kinematics(ours, b)
        mujoco.mj_camlight(ours, b)
        tool = a.body("link_grasp_center")
        np.testing.assert_allclose(b.site("tool").xpos, tool.xpos, atol=2e-4)
        assert rotation_distance(b.site("tool").xmat.reshape(3, 3), tool.xmat.reshape(3, 3)) < 1e-3
        for camera, frame in (("head", "camera_color_optical_frame"), ("wrist", "gripper_camera_color_optical_frame")):
            np.testing.assert_allclose(b.cam(camera).xpos, a.body(frame).xpos, atol=5e-4)
            view, axis = -b.cam(camera).xmat.reshape(3, 3)[:, 2], a.body(frame).xmat.reshape(3, 3)[:, 2]
            assert np.arccos(min(1.0, view @ axis)) < 2e-3


def test_inverse_kinematics_finds_poses_that_lift_arm_and_wrist_can_reach():
    kinematics = make_kinematics(RIG)
    assert isinstance(kinematics, StretchKinematics)
    rng = np.random.default_rng(1)
    for _ in range(20):
        q = HOME + rng.uniform(-1, 1, 7) * [0.1, 0.1, 0.3, 0.0, 0.3, 0, 0] + [0, 0, 0, 0.7, 0, 0, 0]
        position, rotation = kinematics.forward(q)
        found = kinematics.inverse(position, rotation, q + rng.uniform(-0.05, 0.05, 7))
        there, turned = kinematics.forward(found)
        np.testing.assert_allclose(there, position, atol=2e-3)
        assert rotation_distance(turned, rotation) < 0.01


def test_joints_follow_their_targets_and_reach_them(bench):
    goal = HOME + np.array([0.05, 0.08, 0.3, 0.2, -0.4, 0.3, 0.2])
    bench.go()
    bench.go(goal, times=25)
    state = bench.robot.observe()
    np.testing.assert_allclose(state.joint_position, goal, atol=2e-3)
    position, _ = bench.robot.kinematics.forward(state.joint_position)
    np.testing.assert_allclose(state.ee_position, position, atol=1e-4)
    assert state.joint_effort is None
    assert state.gripper_width == pytest.approx(0.09, abs=2e-3)
    bench.go(goal, width=0.0, times=10)
    assert bench.robot.observe().gripper_width < 0.005


def test_the_gripper_takes_widths_where_the_rig_says_so(bench):
    bench.go(width=0.05, times=10)
    assert bench.robot.observe().gripper_width == pytest.approx(0.09, abs=2e-3)  # neither open nor closed: as it was
    robot = RIG.robot.model_copy(update={"gripper": "width"})
    other = Bench(RIG.model_copy(update={"robot": robot}))
    other.go(width=0.05, times=10)
    assert other.robot.observe().gripper_width == pytest.approx(0.05, abs=2e-3)


def test_the_base_drives_along_its_heading_and_the_tools_pose_stays_in_its_frame():
    heading = 0.7
    bench = Bench(base=(0.3, 0.1, heading))
    before = bench.robot.observe()
    np.testing.assert_array_equal(before.base_pose, np.zeros(3))
    bench.go(base=(0.2, 0.0), times=15)
    state = bench.robot.observe()
    np.testing.assert_allclose(state.base_velocity, [0.2, 0.0], atol=2e-3)
    assert state.base_pose[0] > 0.2
    np.testing.assert_allclose(state.base_pose[1:], 0, atol=1e-3)
    moved = bench.world.data.body("base").xpos[:2] - [0.3, 0.1]
    np.testing.assert_allclose(moved, state.base_pose[0] * np.array([np.cos(heading), np.sin(heading)]), atol=1e-3)
    np.testing.assert_allclose(state.ee_position, before.ee_position, atol=3e-3)


def test_the_base_turns_about_the_middle_of_its_wheels(bench):
    bench.go(base=(0.0, 0.4), times=15)
    state = bench.robot.observe()
    np.testing.assert_allclose(state.base_velocity, [0.0, 0.4], atol=0.015)
    assert state.base_pose[2] > 0.4
    np.testing.assert_allclose(state.base_pose[:2], 0, atol=3e-3)


def test_the_base_changes_speed_no_faster_than_wheels_can(bench):
    base = bench.robot._base
    base.to(np.array([5.0, -9.0]), bench.world.now_ns())
    bench.states()
    bench.wait(0.4)
    speeds = np.array([s.base_velocity for s in bench.states()])
    changes = np.abs(np.diff(speeds, axis=0)) * RIG.robot.state_rate_hz
    assert (changes.max(axis=0) < 1.3 * ACCELERATION_MAX).all()
    assert speeds[-1, 0] == pytest.approx(0.3 * 0.4, rel=0.1)


def test_a_base_that_hears_nothing_more_comes_to_rest_by_itself(bench):
    bench.go(base=(0.2, 0.0), times=12)
    bench.wait(0.3)
    assert bench.robot.observe().base_velocity[0] > 0.19  # 0.4 s after the last command
    bench.wait(0.2 + 0.2 / 0.3 + 0.1)
    np.testing.assert_allclose(bench.robot.observe().base_velocity, 0, atol=1e-3)
    there = bench.robot.observe().base_pose
    bench.wait(1.0)
    np.testing.assert_allclose(bench.robot.observe().base_pose, there, atol=1e-3)


def test_a_stop_brakes_joints_and_base_and_both_hold(bench):
    bench.go()
    goal, base = HOME + np.array([0.12, 0.2, 0, 0, 0, 0, 0]), np.array([0.2, 0.3])
    bench.go(goal, base=base, times=8)
    bench.gate.command(JointTarget(bench.world.now_ns(), goal, 0.09, base))
    bench.wait(PERIOD_S / 2)  # in the midst of a motion: between two commands the joints' references move evenly
    moving = bench.robot.observe()
    assert abs(moving.joint_velocity[1]) > 0.1
    bench.gate.stop("test")
    bench.states()
    bench.wait(1.2)
    speeds = np.array([np.append(s.joint_velocity[:2], s.base_velocity) for s in bench.states()])
    assert np.abs(speeds[-1]).max() < 2e-3
    assert (np.diff(speeds[:, 2]) < 5e-3).all()  # it slows down all the time
    state = bench.robot.observe()
    # From the measured motion: v T / 2 farther, T = 0.4 s.
    np.testing.assert_allclose(
        state.joint_position[:2], moving.joint_position[:2] + moving.joint_velocity[:2] * 0.2, atol=5e-3
    )
    bench.wait(1.0)
    np.testing.assert_allclose(bench.robot.observe().joint_position, state.joint_position, atol=1e-3)
    np.testing.assert_allclose(bench.robot.observe().base_pose, state.base_pose, atol=1e-3)


def test_the_table_stops_a_hand_that_goes_down_on_it_and_the_gate_holds_the_reference_back(bench):
    bench.go()
    bench.go(np.array([0.3, 0.3, *HOME[2:]]), times=90)
    state = bench.robot.observe()
    assert state.ee_position[2] > TABLE_M - 0.02
    assert bench.gate.trips["tracking"] > 0
    assert np.abs(state.joint_velocity).max() < 0.02


def test_a_rig_whose_base_stands_takes_the_tools_pose():
    changes = {"base": False, "command": "ee_target"}
    limits = RIG.limits.model_copy(update={"base": None})
    rig = RIG.model_copy(update={"robot": RIG.robot.model_copy(update=changes), "limits": limits})
    bench = Bench(rig)
    state = bench.robot.observe()
    assert state.base_pose is None
    goal, rotation = bench.robot.kinematics.forward(HOME + np.array([0.04, 0.06, 0, 0, 0, 0, 0]))
    for share in np.linspace(0, 1, 25):
        position = (1 - share) * state.ee_position + share * goal
        bench.gate.command(EeTarget(bench.world.now_ns(), position, matrix_to_rotation_6d(rotation), 0.09))
        bench.wait(PERIOD_S)
    np.testing.assert_allclose(bench.robot.observe().ee_position, goal, atol=4e-3)
    np.testing.assert_allclose(bench.world.data.body("base").xpos, 0, atol=1e-3)


def test_a_target_that_did_not_pass_the_gate_is_refused(bench):
    with pytest.raises(SafetyError, match="only what passed the gate"):
        bench.robot.command(JointTarget(0, HOME, 0.09, np.zeros(2)))


def test_in_real_time_it_is_the_rigs_robot_and_comes_back_to_its_start():
    robot = make_robot(RIG, clock := FakeClock(10**9))
    assert isinstance(robot, RealTimeStretch)
    states = []
    robot.heard = states.append
    robot.restart()
    gate = Gate(robot, RIG.limits, clock, RIG.policy.rate_hz, joint_units=RIG.robot.joint_units)
    gate.activate()
    for _ in range(12):
        gate.command(JointTarget(clock.now_ns(), HOME, 0.09, np.array([0.2, 0.0])))
        for _ in range(10):
            clock.advance(PERIOD_S / 10)
            robot.time.catch_up()
    assert states[-1].base_pose[0] > 0.1
    assert (np.diff([s.stamp_ns for s in states]) == NS_PER_S // 50).all()
    robot.restart()
    np.testing.assert_allclose(robot.observe().base_pose, 0, atol=1e-6)
    np.testing.assert_allclose(robot.observe().joint_position, HOME, atol=1e-6)


def test_a_camera_that_it_lacks_is_named_with_those_that_it_has():
    from robot_learning.drivers.mujoco.camera import MujocoCamera

    with pytest.raises(UnknownName, match=r"camera of the simulated stretch 'hed'; did you mean 'head'"):
        MujocoCamera("hed", RIG.cameras["head"], World(scene_xml()))
