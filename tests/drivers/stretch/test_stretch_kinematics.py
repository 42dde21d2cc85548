"""A Stretch's kinematics: the genuine URDF, beside MuJoCo's reading of it."""

from xml.etree import ElementTree

import numpy as np
import pytest
from stretch_rigs import JOINTS, stretch_rig

from robot_learning.drivers.stretch.kinematics import Kinematics, urdf_of
from robot_learning.errors import ConfigError
from robot_learning.rotation import matrix_to_rotation_vector

pytest.importorskip("stretch_urdf", reason="hello-robot-stretch-urdf is not installed")
HEAD = {"joint_head_pan": "rad", "joint_head_tilt": "rad"}


def with_head():
    content = {
        "joint_names": [*JOINTS, *HEAD], "joint_units": ["m", "m", "rad", "rad", "rad", "rad", "rad"],
        "home_joint_position": [0.6, 0.1, 0.0, 0.0, 0.0, 0.0, 0.0],
    }  # fmt: skip
    limits = {
        "joint_position_min": [0.05, 0.0, -1.3, -1.5, -2.8, -3.0, -1.5],
        "joint_position_max": [1.09, 0.5, 4.0, 0.4, 2.8, 1.5, 0.4],
        "joint_velocity_max": [0.1] * 7, "joint_acceleration_max": [0.2] * 7,
    }  # fmt: skip
    return stretch_rig(robot=content, limits=limits)


def configurations(rig, number, seed=0):
    low, high = np.array(rig.limits.joint_position_min), np.array(rig.limits.joint_position_max)
    return low + (high - low) * np.random.default_rng(seed).random((number, len(low)))


def test_the_tool_is_where_mujoco_finds_it():
    mujoco = pytest.importorskip("mujoco")
    rig = stretch_rig()
    kinematics = Kinematics.of(rig)
    root = ElementTree.parse(urdf_of(rig)).getroot()
    for link in root.iter("link"):  # the shapes say nothing about where the tool is
        for shape in [*link.findall("visual"), *link.findall("collision")]:
            link.remove(shape)
    ElementTree.SubElement(ElementTree.SubElement(root, "mujoco"), "compiler", fusestatic="false")
    model = mujoco.MjModel.from_xml_string(ElementTree.tostring(root, encoding="unicode"))
    data = mujoco.MjData(model)
    for q in configurations(rig, 20):
        for name, value in zip(JOINTS, q, strict=True):
            tubes = [f"joint_arm_l{i}" for i in range(4)]
            for joint in tubes if name == "wrist_extension" else [name]:
                data.joint(joint).qpos[0] = value / (4 if name == "wrist_extension" else 1)
        mujoco.mj_kinematics(model, data)
        position, rotation = kinematics.forward(q)
        np.testing.assert_allclose(position, data.body("link_grasp_center").xpos, atol=2e-6)
        np.testing.assert_allclose(rotation, data.body("link_grasp_center").xmat.reshape(3, 3), atol=2e-5)


def test_lift_goes_up_and_the_arm_goes_to_the_robots_right():
    kinematics = Kinematics.of(stretch_rig())
    q = np.array([0.5, 0.1, 0.0, 0.0, 0.0])
    for joint, axis in ((0, [0, 0, 1]), (1, [0, -1, 0])):
        moved = q.copy()
        moved[joint] += 0.1
        np.testing.assert_allclose(kinematics.position(moved) - kinematics.position(q), 0.1 * np.array(axis), atol=1e-4)


def test_the_jacobian_is_the_change_of_the_pose_and_the_head_has_no_part_in_it():
    rig = with_head()
    kinematics = Kinematics.of(rig)
    for q in configurations(rig, 5, seed=1):
        J, step = kinematics.jacobian(q), 1e-6
        position, rotation = kinematics.forward(q)
        for j in range(7):
            moved = q.copy()
            moved[j] += step
            p, R = kinematics.forward(moved)
            change = np.concatenate([p - position, matrix_to_rotation_vector(R @ rotation.T)]) / step
            np.testing.assert_allclose(J[:, j], change, atol=1e-5)
        assert not J[:, 5:].any()


def test_the_inverse_finds_poses_that_can_be_had_and_keeps_to_the_limits():
    rig = stretch_rig()
    kinematics = Kinematics.of(rig)
    low, high = np.array(rig.limits.joint_position_min), np.array(rig.limits.joint_position_max)
    goals = configurations(rig, 40, seed=2)
    for goal in goals:
        start = np.clip(goal + np.random.default_rng(3).normal(0, [0.05, 0.05, 0.3, 0.2, 0.2]), low, high)
        position, rotation = kinematics.forward(goal)
        q = kinematics.inverse(position, rotation, start)
        found, turned = kinematics.forward(q)
        assert ((q >= low) & (q <= high)).all()
        assert np.linalg.norm(found - position) < 1e-4
        assert np.linalg.norm(matrix_to_rotation_vector(turned @ rotation.T)) < 1e-3


def test_a_pose_out_of_reach_gives_the_nearest_one_within_the_limits():
    rig = stretch_rig()
    kinematics = Kinematics.of(rig)
    start = np.array([0.6, 0.3, 0.0, 0.0, 0.0])
    position, rotation = kinematics.forward(start)
    goal = position + np.array([0, -1.0, 0])  # a metre to the side, where the arm has 20 cm left

    def distance(q):
        p, R = kinematics.forward(q)
        return np.linalg.norm(np.append(goal - p, 0.2 * matrix_to_rotation_vector(rotation @ R.T)))

    q = kinematics.inverse(goal, rotation, start)
    assert q[1] == 0.5
    low, high = np.array(rig.limits.joint_position_min), np.array(rig.limits.joint_position_max)
    steps = np.random.default_rng(0).normal(0, 0.01, (50, 5))
    assert min(distance(np.clip(q + step, low, high)) for step in steps) > distance(q)
    assert distance(q) < distance(start) - 0.19


def test_joints_that_the_robot_does_not_have_are_refused_with_the_nearest_name():
    rig = stretch_rig(robot={"joint_names": ["joint_lift", "joint_wrist_extension", *JOINTS[2:]]})
    with pytest.raises(ConfigError, match=r"no joint 'joint_wrist_extension'; did you mean 'wrist_extension'"):
        Kinematics.of(rig)


def test_a_description_that_is_not_there_is_named():
    with pytest.raises(ConfigError, match=r"no file /nowhere/stretch\.urdf"):
        Kinematics.of(stretch_rig(stretch={"urdf": "/nowhere/stretch.urdf"}))
