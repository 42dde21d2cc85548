"""A Franka's section of a rig file: limits within the datasheet's, presets, and what is said of mistakes."""

import numpy as np
import pytest
import yaml

from robot_learning.drivers.franka import limits
from robot_learning.drivers.franka.kinematics import FrankaKinematics
from robot_learning.errors import ConfigError
from robot_learning.rig import parse_rig, rig_path
from robot_learning.rig_parts.franka import PRESETS
from robot_learning.rotation import quaternion_to_matrix, rotation_distance


def rig(**changes):
    content = yaml.safe_load(rig_path("sim_fr3_franka_sim").read_text())
    for section, values in changes.items():
        if values is None:
            del content[section]
        else:
            content[section] |= values
    return parse_rig(content, "test")


@pytest.mark.parametrize("name", ["fr3_two_realsense", "panda_realsense", "sim_fr3_franka_sim"])
def test_the_rigs_that_come_along_are_within_their_arms_limits(name):
    from robot_learning.rig import load_rig

    limits.check(load_rig(name))


@pytest.mark.parametrize("model", limits.ARMS)
def test_the_datasheets_own_limits_are_allowed_and_a_little_more_is_not(model):
    arm = limits.ARMS[model]
    keys = ("joint_position_min", "joint_position_max", "joint_velocity_max", "joint_acceleration_max")
    most = {key: list(getattr(arm, key)) for key in keys}
    limits.check(rig(limits=most, franka={"model": model}))
    for key in keys:
        beyond = list(most[key])
        beyond[3] += -0.01 if key.endswith("_min") else 0.01
        with pytest.raises(ConfigError, match=rf"limits\.{key}\[3\] = .* beyond what a {arm.name} can do"):
            limits.check(rig(limits=most | {key: beyond}, franka={"model": model}))


@pytest.mark.parametrize(
    ("key", "value"),
    [("ee_speed_max_m_s", 3.1), ("ee_acceleration_max_m_s2", 9.5), ("ee_angular_speed_max_rad_s", 2.6)],
)
def test_the_tools_limits_likewise(key, value):
    with pytest.raises(ConfigError, match=key):
        limits.check(rig(limits={key: value}))


def test_an_fr3s_ranges_are_too_wide_for_a_panda():
    with pytest.raises(ConfigError, match="beyond what a Panda can do"):
        limits.check(rig(franka={"model": "panda"}))


def test_the_hand_opens_no_wider_than_it_can():
    with pytest.raises(ConfigError, match=r"0\.08 m"):
        limits.check(rig(limits={"gripper_width_max_m": 0.1}, franka={"hand": {}}))
    limits.check(rig(limits={"gripper_width_max_m": 0.1}, franka={"hand": None}))


def test_without_a_section_it_says_what_to_do():
    with pytest.raises(ConfigError, match="no section 'franka'"):
        limits.check(rig(franka=None))


def test_a_misspelt_preset_gets_the_closest_name():
    with pytest.raises(ConfigError, match="did you mean 'contact'"):
        rig(franka={"preset": "contac"})


def test_a_rig_may_have_presets_of_its_own():
    mine = PRESETS["contact"].model_dump() | {"clip_negative_m": [0.004, 0.004, 0.002]}
    found = rig(franka={"presets": {"press": mine}, "preset": "press"}).franka.gains
    assert found.clip_negative_m == (0.004, 0.004, 0.002)
    assert found.force_max_n() == pytest.approx(10.0)


@pytest.mark.parametrize("clip", [0.0, 0.2, -0.01])
def test_clips_that_bound_nothing_are_refused(clip):
    mine = PRESETS["free"].model_dump() | {"clip_positive_m": [clip, 0.01, 0.01]}
    with pytest.raises(ConfigError, match="clip_positive_m"):
        rig(franka={"presets": {"mine": mine}})


def test_presets_for_contact_press_less_than_the_one_for_moving_about():
    assert PRESETS["free"].force_max_n() <= 50
    assert PRESETS["contact"].force_max_n() <= 10
    assert PRESETS["precision"].force_max_n() <= 10


def test_collision_thresholds_that_contradict_each_other_are_refused():
    with pytest.raises(ConfigError, match="force_lower_n_nm"):
        rig(franka={"collision": {"force_lower_n_nm": [30.0] * 6}})


def test_the_tool_is_where_the_rig_says():
    plain = rig(franka={"flange_to_tool_position_m": [0, 0, 0], "flange_to_tool_quaternion_wxyz": [1, 0, 0, 0]})
    tool = rig(franka={"flange_to_tool_position_m": [0.01, 0.02, 0.2]})
    q = np.array([0.1, -0.4, 0.2, -2.0, 0.3, 1.7, 0.5])
    p, R = FrankaKinematics.of(plain).forward(q)
    found, turned = FrankaKinematics.of(tool).twin().forward(q)
    assert np.allclose(found, p + R @ [0.01, 0.02, 0.2], atol=1e-9)
    expected = R @ quaternion_to_matrix(np.array(tool.franka.flange_to_tool_quaternion_wxyz))
    assert rotation_distance(turned, expected) < 1e-9
    # The datasheet's arm, stretched upwards: 0.333 + 0.316 + 0.384 - 0.107 above the base, 0.088 forward.
    straight, _ = FrankaKinematics.of(plain).forward(np.zeros(7))
    assert np.allclose(straight, [0.088, 0, 0.333 + 0.316 + 0.384 - 0.107], atol=1e-9)
