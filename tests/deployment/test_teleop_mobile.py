"""Teleoperation of a robot on a base, whose joints slide and turn: through the genuine gate, which must not object."""

import numpy as np
import pytest
import yaml

from robot_learning.clock import FakeClock
from robot_learning.deployment.teleop import Teleop
from robot_learning.drivers.gate import Gate
from robot_learning.drivers.interfaces import RobotState, unseal
from robot_learning.drivers.teleop.hands import Hands, Reading
from robot_learning.drivers.teleop.mapping import Mapping
from robot_learning.errors import ConfigError
from robot_learning.rig import parse_rig, rig_path

JOINTS = ("lift", "arm", "wrist_yaw")
STICKS = {
    "base_forward": "left_y", "base_turn": "-left_x", "lift": "right_y", "arm": "right_x",
    "wrist_yaw": {"axis": "dpad_x", "scale": -1.0},
}  # fmt: skip
PERIOD_S = 0.02


def mobile(teleop, **limits):
    """A rig like a Stretch: lift and arm slide, the wrist turns, the base drives."""
    content = yaml.safe_load(rig_path("panda_sim").read_text())
    content["robot"] |= {
        "type": "other", "command": "joint_target", "joint_names": list(JOINTS), "joint_units": ["m", "m", "rad"],
        "home_joint_position": [0.5, 0.1, 0.0], "joint_effort": False, "base": True,
    }  # fmt: skip
    content["limits"] |= {
        "on_violation": "refuse", "joint_position_min": [0.0, 0.0, -1.0], "joint_position_max": [1.1, 0.5, 4.0],
        "joint_velocity_max": [0.15, 0.15, 2.0], "joint_acceleration_max": [0.5, 0.5, 5.0],
        "tracking_distance_max_m": 0.05, "tracking_distance_max_rad": 0.5,
        "first_target_distance_max_m": 0.02, "first_target_distance_max_rad": 0.3,
        "base": {
            "speed_max_m_s": 0.2, "acceleration_max_m_s2": 0.4,
            "angular_speed_max_rad_s": 0.5, "angular_acceleration_max_rad_s2": 1.0,
        },
    } | limits  # fmt: skip
    content["cameras"], content["simulation"] = {}, None
    content["policy"]["alignment"] = {"joint_position": {"method": "linear", "max_age_s": 0.05}}
    content["teleop"] = {"response": 1.0, "device": "gamepad", "gamepad": {"axes": STICKS}} | teleop
    return parse_rig(content, "rig.yaml")


class FakeStretch:
    """Is at once where it is told to be, or stays."""

    def __init__(self, clock):
        self.clock, self.joints, self.velocity, self.blocked = clock, np.array([0.5, 0.1, 0.0]), np.zeros(2), False

    def observe(self):
        return RobotState(
            self.clock.now_ns(), self.joints, np.zeros(3), None, np.array([0.5, 0.0, 0.3]), np.array([1.0, 0, 0, 0]),
            np.array([0.04]), base_pose=np.zeros(3), base_velocity=self.velocity,
        )  # fmt: skip

    def command(self, gated):
        target = unseal(gated)
        if not self.blocked:
            self.joints = target.position
        self.velocity = target.base_velocity
        return target

    def stop(self):
        self.velocity = np.zeros(2)


class Station:
    """Hands, teleoperation, the gate and the robot, at 50 Hz."""

    def __init__(self, **teleop):
        self.rig, self.clock = mobile(teleop), FakeClock(10**9)
        self.robot = FakeStretch(self.clock)
        self.gate = Gate(self.robot, self.rig.limits, self.clock, 1 / PERIOD_S, joint_units=self.rig.robot.joint_units)
        self.gate.activate()
        mapping = Mapping(self.rig.teleop, "gamepad")
        self.teleop = Teleop(self.rig, self.clock, motions=mapping.motions)
        self.base, self.notes = [], []
        self.teleop.tick(Hands(), self.robot.observe())

    def tick(self, count=1, held=True, words=(), closed=None, **motions):
        for i in range(count):
            self.clock.advance(PERIOD_S)
            motion = self.teleop.tick(Hands(motions, held, words if i == 0 else (), closed), self.robot.observe())
            if motion.note:
                self.notes.append(motion.note)
            self.target = motion.target
            if motion.target is not None:
                assert self.gate.command(motion.target).executed is not None, self.gate.trips
                self.base.append(self.robot.velocity)
        return self.target


def test_in_mode_base_the_axes_drive_within_the_rigs_speeds_ramped_up_and_down_and_no_joint_moves():
    station = Station(mode="base", base_speed_m_s=0.1, base_angular_speed_rad_s=0.3)
    station.tick(5)
    station.tick(60, base_forward=1.0, base_turn=-0.5, lift=1.0)
    np.testing.assert_allclose(station.robot.velocity, [0.1, -0.15])
    station.tick(60, held=False, base_forward=1.0)
    np.testing.assert_array_equal(station.robot.velocity, [0, 0])
    speeds = np.array(station.base)
    assert (np.abs(np.diff(speeds, axis=0)) / PERIOD_S <= [0.4, 1.0]).all()
    assert 0 < speeds[6, 0] < 0.1
    np.testing.assert_array_equal(station.robot.joints, [0.5, 0.1, 0.0])
    assert not station.gate.trips


def test_speeds_above_the_rigs_limits_are_those_limits():
    station = Station(mode="mixed", base_speed_m_s=9.0, base_angular_speed_rad_s=9.0, joint_speed_m_s=9.0)
    station.tick()
    station.tick(100, base_forward=1.0, base_turn=1.0, lift=1.0)
    np.testing.assert_allclose(station.robot.velocity, [0.2, 0.5])
    begin = station.robot.joints[0]
    station.tick(10, lift=1.0)
    assert station.robot.joints[0] - begin == pytest.approx(10 * PERIOD_S * 0.15, rel=1e-6)
    assert not station.gate.trips


def test_in_mode_mixed_joints_and_base_move_at_once_each_at_its_own_speed():
    station = Station(mode="mixed", joint_speed_m_s=0.08, joint_speed_rad_s=0.4)
    station.tick()
    station.tick(30, lift=1.0, arm=-0.5, wrist_yaw=1.0, base_turn=1.0)
    begin = station.robot.joints
    station.tick(20, lift=1.0, arm=-0.5, wrist_yaw=1.0, base_turn=1.0)
    np.testing.assert_allclose(station.robot.joints - begin, np.array([0.08, -0.04, 0.4]) * 20 * PERIOD_S)
    np.testing.assert_allclose(station.robot.velocity, [0, 0.4])
    assert not station.gate.trips


def test_in_mode_joint_a_sliding_joint_moves_in_metres_and_the_base_stands():
    station = Station(mode="joint", joint_speed_m_s=0.08)
    station.tick(30, joint=1.0, base_forward=1.0)
    begin = station.robot.joints
    station.tick(20, joint=1.0, base_forward=1.0)
    np.testing.assert_allclose(station.robot.joints - begin, [0.08 * 20 * PERIOD_S, 0, 0], atol=1e-12)
    station.tick(30)
    station.tick(2, words=("joint_down",))
    station.tick(30, joint=-1.0)
    assert station.robot.joints[2] < -0.05
    assert station.teleop.joint == 2
    np.testing.assert_array_equal(station.robot.velocity, [0, 0])


def test_a_target_is_ahead_of_a_blocked_joint_by_less_than_the_gate_allows_in_that_joints_unit():
    station = Station(mode="mixed", joint_speed_m_s=0.1, joint_speed_rad_s=1.0)
    station.tick()
    station.robot.blocked = True
    station.tick(200, arm=1.0, wrist_yaw=1.0)
    ahead = station.target.position - station.robot.joints
    np.testing.assert_allclose(ahead, [0, 0.7 * 0.05, 0.7 * 0.5])
    assert not station.gate.trips


def test_before_the_end_of_a_joints_range_it_brakes_and_comes_back_at_once():
    station = Station(mode="mixed", joint_speed_m_s=0.1)
    station.tick()
    station.tick(300, arm=1.0, lift=-0.5)
    assert station.robot.joints[1] == pytest.approx(0.5)
    station.tick(300, arm=-1.0, lift=-0.5)
    assert station.robot.joints.tolist() == pytest.approx([0, 0, 0])
    assert not station.gate.trips


def test_a_joint_that_something_keeps_away_is_no_longer_pressed_once_the_hands_rest_and_no_limit_breaks():
    station = Station(mode="mixed", joint_speed_m_s=0.1)
    station.tick()
    station.robot.blocked = True
    station.tick(100, arm=1.0, wrist_yaw=1.0)
    station.tick(100, arm=1.0)
    assert station.target.position[1] - station.robot.joints[1] > 0.03  # as long as the hands press
    station.tick(200, held=False)
    np.testing.assert_allclose(station.target.position, station.robot.joints, atol=0.01)
    assert not station.gate.trips


def test_a_robot_that_others_moved_far_is_held_where_it_is_at_once():
    station = Station(mode="mixed")
    station.tick(5)
    station.tick(40, held=False)
    station.robot.joints = station.robot.joints + np.array([0.08, 0, 0])
    motion = station.teleop.tick(Hands(), station.robot.observe())  # others commanded it through the gate
    np.testing.assert_allclose(motion.target.position, station.robot.joints)


def test_the_mode_goes_round_through_those_that_the_rig_allows():
    station = Station(mode="joint")
    station.tick(held=False)
    seen = []
    for _ in range(4):
        station.tick(words=("mode",))
        station.tick(2, held=False)
        seen.append(station.teleop.mode)
    assert seen == ["base", "mixed", "joint", "base"]  # ee needs kinematics, which nobody gave
    assert "the axes move lift, arm, wrist_yaw, base_forward, base_turn" in station.notes


def test_while_the_base_drives_the_mode_stays_and_a_released_dead_man_brings_it_to_rest():
    station = Station(mode="base")
    station.tick(40, base_forward=1.0)
    station.tick(base_forward=1.0, words=("mode",))
    assert station.teleop.mode == "base"
    assert "let go first" in station.notes[-1]
    station.tick(40, held=False)
    station.tick(held=False, words=("mode",))
    assert station.teleop.mode == "mixed"
    assert not station.gate.trips


def test_the_gripper_follows_a_trigger_only_once_that_has_met_it():
    station = Station(mode="mixed")
    station.tick(closed=0.0)
    assert station.target.gripper_width == 0.04  # half open, and a trigger at rest does not open it
    assert station.tick(closed=0.3).gripper_width == 0.04
    assert station.tick(closed=0.52).gripper_width == pytest.approx(0.08 * 0.48)
    assert station.tick(closed=1.0).gripper_width == 0.0
    station.tick(held=False, closed=0.0)  # let go, with the dead-man
    assert station.tick(closed=0.0).gripper_width == 0.0
    assert station.tick(closed=1.0).gripper_width == 0.0
    assert station.tick(closed=0.5).gripper_width == pytest.approx(0.04)


def test_a_trigger_that_is_pulled_past_the_grippers_place_at_once_has_met_it():
    station = Station(mode="mixed")
    station.tick(closed=0.0)
    assert station.tick(closed=1.0).gripper_width == 0.0


def test_the_whole_way_from_a_gamepads_sticks_to_the_base_and_three_joints():
    station = Station(mode="mixed")
    mapping = Mapping(station.rig.teleop, "gamepad")
    mapping.opened(station.rig.teleop.gamepad.inputs.buttons)
    mapping.hands(Reading())
    axes = {"left_y": 1.0, "left_x": -1.0, "right_y": 1.0, "right_x": 1.0, "dpad_x": -1.0}
    hands = mapping.hands(Reading(axes, frozenset({"right_shoulder"})))
    assert hands.dead_man
    begin = station.robot.joints
    station.tick(50, **hands.motions)
    assert (station.robot.joints > begin).all()
    assert (station.robot.velocity > 0).all()


@pytest.mark.parametrize(
    ("teleop", "says"),
    [
        ({"mode": "mixed", "gamepad": {}}, "mode mixed needs axes that are mapped to joints, .*lift: right_y"),
        ({"mode": "ee"}, "needs the kinematics"),
        ({"gamepad": {"axes": {"lfit": "left_y"}}}, "'lfit' is neither a motion nor a joint; did you mean 'lift'"),
        ({"mode": "driving"}, "'base' or 'mixed'"),
    ],
)
def test_modes_and_joints_that_the_rig_does_not_have_are_refused_in_a_sentence(teleop, says):
    with pytest.raises(ConfigError, match=says):
        Station(**teleop)
