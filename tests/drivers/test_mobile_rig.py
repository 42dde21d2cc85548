"""A rig whose joints slide and whose base drives: units, limits and the gate."""

import numpy as np
import pytest
import yaml

from robot_learning.clock import FakeClock
from robot_learning.drivers.gate import FirstTargetRefused, Gate
from robot_learning.drivers.interfaces import JointTarget, RobotState, unseal
from robot_learning.errors import ConfigError
from robot_learning.rig import load_rig, parse_rig, rig_path
from robot_learning.topics import action_names, topics

JOINTS = ("lift", "arm", "yaw")
RATE = 20


def mobile(**changes):
    """The content of a rig file with three joints, two of which slide, on a base."""
    content = yaml.safe_load(rig_path("panda_sim").read_text())
    content["robot"] |= {
        "type": "other", "command": "joint_target", "joint_names": list(JOINTS), "joint_units": ["m", "m", "rad"],
        "home_joint_position": [0.5, 0.1, 0.0], "joint_effort": False, "base": True,
    }  # fmt: skip
    content["limits"] |= {
        "joint_position_min": [0.0, 0.0, -1.0], "joint_position_max": [1.1, 0.5, 4.0],
        "joint_velocity_max": [0.2, 0.2, 2.0], "joint_acceleration_max": [2.0, 2.0, 20.0],
        "tracking_distance_max_m": 0.05, "tracking_distance_max_rad": 0.5,
        "first_target_distance_max_m": 0.02, "first_target_distance_max_rad": 0.3,
        "base": {
            "speed_max_m_s": 0.2, "acceleration_max_m_s2": 0.4,
            "angular_speed_max_rad_s": 0.5, "angular_acceleration_max_rad_s2": 1.0,
        },
    }  # fmt: skip
    content["cameras"], content["simulation"] = {}, None
    content["policy"]["alignment"] = {"joint_position": {"method": "linear", "max_age_s": 0.05}}
    for section, values in changes.items():
        content[section] |= values
    return parse_rig(content, "test")


class Cart:
    """Is at once where it is told to be."""

    def __init__(self, clock):
        self.clock, self.joints, self.velocity, self.stops = clock, np.array([0.5, 0.1, 0.0]), np.zeros(2), 0

    def observe(self):
        return RobotState(
            self.clock.now_ns(), self.joints, np.zeros(3), None, np.array([0.5, 0.0, 0.3]), np.array([1.0, 0, 0, 0]),
            np.array([0.04]), base_pose=np.zeros(3), base_velocity=self.velocity,
        )  # fmt: skip

    def command(self, gated):
        target = unseal(gated)
        self.joints, self.velocity = target.position, target.base_velocity
        return target

    def stop(self):
        self.velocity, self.stops = np.zeros(2), self.stops + 1


@pytest.fixture
def station():
    rig, clock = mobile(), FakeClock(10**9)
    cart = Cart(clock)
    gate = Gate(cart, rig.limits, clock, RATE, joint_units=rig.robot.joint_units)
    gate.activate()
    return clock, cart, gate


def send(station, joints, base):
    clock, _, gate = station
    clock.advance(1 / RATE)
    return gate.command(JointTarget(clock.now_ns(), np.array(joints), 0.04, None if base is None else np.array(base)))


def test_streams_have_the_joints_units_and_the_base():
    rig = mobile()
    units = {spec.name: (spec.shape, spec.unit) for spec in rig.streams()}
    assert units["joint_position"] == ((3,), "m[2] rad[1]")
    assert units["joint_velocity"] == ((3,), "m/s[2] rad/s[1]")
    assert units["base_pose"] == ((3,), "m[2] rad[1]")
    assert units["base_velocity"] == ((2,), "m/s[1] rad/s[1]")
    assert units["action_gated"] == ((6,), "m[2] rad[1] m[1] m/s[1] rad/s[1]")
    assert "joint_effort" not in units
    assert action_names(rig) == (*JOINTS, "gripper_width", "base_forward", "base_turn")
    assert set(topics(rig)) == set(units)
    assert "base_pose" not in topics(load_rig("panda_sim"))


def test_the_bases_velocity_is_limited_and_its_change_too(station):
    _, cart, gate = station
    speeds = [send(station, cart.joints, [1.0, -2.0]).gated.base_velocity for _ in range(15)]
    np.testing.assert_allclose(speeds[0], [0.4 / RATE, -1.0 / RATE])
    np.testing.assert_allclose(np.diff(speeds[:5], axis=0), [[0.4 / RATE, -1.0 / RATE]] * 4, atol=1e-9)
    np.testing.assert_allclose(speeds[-1], [0.2, -0.5])
    assert {"base_speed", "base_turning", "base_speed_acceleration"} <= set(gate.trips)
    gate.stop()
    assert cart.velocity.tolist() == [0.0, 0.0]


def test_a_base_that_was_stopped_begins_at_rest_again(station):
    _, cart, gate = station
    for _ in range(5):
        send(station, cart.joints, [0.2, 0.0])
    gate.stop()
    gate.reset()
    gate.activate()
    np.testing.assert_allclose(send(station, cart.joints, [0.2, 0.0]).gated.base_velocity, [0.02, 0.0])


def test_after_a_silence_the_base_does_not_go_on_from_where_it_was(station):
    clock, cart, _ = station
    for _ in range(20):
        send(station, cart.joints, [0.2, 0.5])
    clock.advance(1.0)  # the base has stopped by itself meanwhile
    np.testing.assert_allclose(send(station, cart.joints, [0.0, 0.0]).gated.base_velocity, [0.0, 0.0], atol=1e-12)


@pytest.mark.parametrize(("base", "trip"), [(None, "base"), ([np.nan, 0.0], "not_finite"), ([0.1], "shape")])
def test_a_target_without_a_good_base_velocity_is_refused(station, base, trip):
    result = send(station, station[1].joints, base)
    assert result.executed is None
    assert [t.name for t in result.trips] == [trip]


def test_a_base_velocity_for_a_robot_that_stands_is_refused():
    rig, clock = mobile(robot={"base": False}, limits={"base": None}), FakeClock(10**9)
    gate = Gate(Cart(clock), rig.limits, clock, RATE)
    gate.activate()
    result = gate.command(JointTarget(clock.now_ns(), np.array([0.5, 0.1, 0.0]), 0.04, np.zeros(2)))
    assert [t.name for t in result.trips] == ["base"]


def test_distances_are_in_each_joints_unit(station):
    with pytest.raises(FirstTargetRefused):  # 3 cm of a sliding joint: more than 2 cm, though less than 0.3
        send(station, [0.53, 0.1, 0.0], [0, 0])
    assert send(station, [0.5, 0.1, 0.05], [0, 0]).executed is not None


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"robot": {"home_joint_position": [0.0]}}, "home_joint_position needs 3 values"),
        ({"robot": {"joint_units": ["m"]}}, "joint_units needs 3 values"),
        ({"robot": {"command": "ee_target"}}, "needs command: joint_target"),
        ({"limits": {"base": None}}, "robot.base and limits.base go together"),
        ({"limits": {"joint_velocity_max": [1.0]}}, "limits.joint_velocity_max needs 3 values, got 1"),
    ],
)
def test_a_rig_that_does_not_fit_itself_is_refused(changes, words):
    with pytest.raises(ConfigError, match=words):
        mobile(**changes)
