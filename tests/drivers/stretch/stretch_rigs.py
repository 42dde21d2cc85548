"""Rigs of a Stretch for tests."""

import yaml

from robot_learning.rig import parse_rig, rig_path

JOINTS = ("joint_lift", "wrist_extension", "joint_wrist_yaw", "joint_wrist_pitch", "joint_wrist_roll")
RATE = 25


def stretch_content():
    """The content of a rig file for an SE3 with its gripper, whose base drives."""
    content = yaml.safe_load(rig_path("panda_sim").read_text())
    content["name"] = "stretch_test"
    content["robot"] |= {
        "type": "stretch", "command": "joint_target", "gripper": "width", "state_rate_hz": RATE,
        "joint_names": list(JOINTS), "joint_units": ["m", "m", "rad", "rad", "rad"],
        "home_joint_position": [0.6, 0.1, 0.0, 0.0, 0.0], "joint_effort": False, "base": True,
    }  # fmt: skip
    content["limits"] |= {
        "joint_position_min": [0.05, 0.0, -1.3, -1.5, -2.8], "joint_position_max": [1.09, 0.5, 4.0, 0.4, 2.8],
        "joint_velocity_max": [0.14, 0.3, 2.0, 2.0, 2.0], "joint_acceleration_max": [0.28, 0.38, 6.0, 6.0, 6.0],
        "workspace_min_m": [-1.0, -1.5, 0.0], "workspace_max_m": [1.0, 1.5, 1.6],
        "tracking_distance_max_m": 0.1, "tracking_distance_max_rad": 0.6,
        "first_target_distance_max_m": 0.02, "first_target_distance_max_rad": 0.3,
        "gripper_width_min_m": 0.0, "gripper_width_max_m": 0.16, "command_age_max_s": 0.3,
        "base": {
            "speed_max_m_s": 0.2, "acceleration_max_m_s2": 0.25,
            "angular_speed_max_rad_s": 0.5, "angular_acceleration_max_rad_s2": 1.0,
        },
    }  # fmt: skip
    content["watchdog"] |= {"timeout_s": 0.3, "deceleration_time_s": 0.4}
    content["cameras"], content["simulation"] = {}, None
    content["policy"]["alignment"] = {"joint_position": {"method": "linear", "max_age_s": 0.1}}
    content["policy"]["rate_hz"] = RATE
    content["stretch"] = {}
    return content


# For tests in real time: what a busy machine delays is no fault.
PATIENT = {"limits": {"command_age_max_s": 2.0}, "stretch": {"silence_s": 2.0}}


def stretch_rig(**changes):
    """That rig, with some sections' keys changed."""
    content = stretch_content()
    for section, values in changes.items():
        content[section] = content[section] | values
    return parse_rig(content, "test")
