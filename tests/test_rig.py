"""Rig files: strict, and every mistake is told with both values or the closest name."""

import copy
from pathlib import Path

import pytest
import yaml

from robot_learning.errors import ConfigError, UnknownName
from robot_learning.rig import load_rig, parse_rig, rig_folder, rig_path


@pytest.fixture
def content() -> dict:
    return yaml.safe_load((rig_folder() / "panda_sim.yaml").read_text())


def refusal(content: dict) -> str:
    with pytest.raises(ConfigError) as error:
        parse_rig(content, "rig.yaml")
    return str(error.value)


@pytest.mark.parametrize("name", [p.stem for p in rig_folder().glob("*.yaml")])
def test_every_rig_that_ships_loads_and_has_a_contract(name):
    contract = load_rig(name).contract()
    assert contract.actions
    assert contract.observations


def test_an_unknown_key_gets_the_closest_match(content):
    content["limits"]["ee_sped_max_m_s"] = 1.0
    message = refusal(content)
    assert "limits.ee_sped_max_m_s" in message
    assert "did you mean 'ee_speed_max_m_s'" in message


def test_a_wrong_unit_names_the_key_with_the_right_one(content):
    content["watchdog"]["timeout_ms"] = content["watchdog"].pop("timeout_s")
    message = refusal(content)
    assert "timeout_ms" in message
    assert "timeout_s" in message


def test_a_wrong_shape_names_both_lengths(content):
    content["limits"]["joint_velocity_max"] = [1.0, 1.0]
    message = refusal(content)
    assert "needs 7 values" in message
    assert "got 2" in message


def test_a_policy_faster_than_the_robots_state_names_both_rates(content):
    content["policy"]["rate_hz"] = 500
    message = refusal(content)
    assert "500" in message
    assert "100" in message


def test_a_value_of_the_wrong_type_is_named(content):
    content["policy"]["rate_hz"] = "fast"
    assert "'policy.rate_hz' is 'fast'" in refusal(content)


def test_a_missing_key_is_named(content):
    del content["robot"]["command"]
    assert "'robot.command' is missing" in refusal(content)


def test_an_alignment_for_no_stream_gets_the_closest_match(content):
    content["policy"]["alignment"]["frnt"] = {"method": "previous", "max_age_s": 0.1}
    assert "did you mean 'front'" in refusal(content)


def test_a_maximum_age_below_one_period_is_refused(content):
    content["policy"]["alignment"]["front"]["max_age_s"] = 0.01
    assert "shorter than one period" in refusal(content)


def test_limits_in_the_wrong_order_name_the_joint(content):
    content["limits"]["joint_position_min"] = [3.0, *content["limits"]["joint_position_min"][1:]]
    message = refusal(content)
    assert "joint_position_min[0] = 3.0" in message
    assert "2.8973" in message


def test_the_cautious_choice_is_the_default(content):
    del content["limits"]["on_violation"]
    assert parse_rig(content, "rig.yaml").limits.on_violation == "refuse"


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_a_limit_that_is_no_number_is_refused(content, value):
    content["limits"]["ee_speed_max_m_s"] = value
    assert "ee_speed_max_m_s" in refusal(content)


def test_a_misspelt_rig_gets_the_closest_match():
    with pytest.raises(UnknownName, match="did you mean 'panda_sim'"):
        load_rig("panda_sm")


def test_a_file_that_is_not_yaml_is_one_sentence(tmp_path: Path):
    path = tmp_path / "rig.yaml"
    path.write_text("robot: [1, 2")
    with pytest.raises(ConfigError, match="not valid YAML"):
        load_rig(path)


def test_a_missing_file_is_one_sentence(tmp_path: Path):
    with pytest.raises(ConfigError, match="there is no rig file"):
        load_rig(tmp_path / "none.yaml")


def test_depth_and_colour_streams_follow_from_the_cameras(content):
    small = copy.deepcopy(content)
    small["cameras"] = {"side": {"type": "mujoco", "width_px": 32, "height_px": 24, "rate_hz": 15, "depth": True}}
    for name in ("front", "front_depth", "wrist", "wrist_depth"):
        small["policy"]["alignment"].pop(name)
    contract = parse_rig(small, "rig.yaml").contract()
    assert contract.stream("side").shape == (24, 32, 3)
    assert contract.stream("side_depth").dtype == "uint16"
    assert contract.stream("side_depth").rate_hz == 15


def test_one_device_is_not_two_cameras():
    content = yaml.safe_load((rig_folder() / "fr3_two_realsense.yaml").read_text())
    content["cameras"]["wrist"]["serial"] = content["cameras"]["front"]["serial"]
    assert "two have the serial number 000000000001" in refusal(content)


def test_only_a_simulator_s_timing_can_be_ignored():
    content = yaml.safe_load(rig_path("sim_fr3_franka_sim").read_text())
    content["franka"]["simulator_timing"] = "ignored"
    assert parse_rig(content, "rig.yaml").franka.simulator_timing == "ignored"
    content["franka"]["simulator"] = None
    assert "only a simulator's timing can be ignored" in refusal(content)
