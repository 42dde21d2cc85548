"""From hands to targets, on a fake clock."""

from dataclasses import replace

import numpy as np
import pytest

from robot_learning.clock import FakeClock
from robot_learning.deployment.teleop import Teleop
from robot_learning.drivers.interfaces import RobotState
from robot_learning.drivers.mujoco.kinematics import Kinematics
from robot_learning.drivers.teleop.hands import Hands, shape
from robot_learning.errors import ConfigError
from robot_learning.rig import load_rig
from robot_learning.rig_parts.teleop_inputs import TOOL
from robot_learning.rotation import matrix_to_quaternion, rotation_6d_to_matrix, rotation_distance

T = 0.02
LINEAR = 0.15


class Follower:
    """A rig whose robot follows each target `lag` of the way per tick; 0: it stands."""

    def __init__(self, command="ee_target", mode="ee", lag=1.0, kinematics=True, **teleop):
        rig = load_rig("panda_sim")
        robot = rig.robot.model_copy(update={"command": command})
        config = rig.teleop.model_copy(update={"mode": mode, "response": 1.0, **teleop})
        self.rig = rig.model_copy(update={"robot": robot, "teleop": config})
        self.clock, self.lag = FakeClock(10**9), lag
        self.kinematics = Kinematics.of(rig)
        self.teleop = Teleop(self.rig, self.clock, kinematics=self.kinematics if kinematics else None)
        q = np.array(rig.robot.home_joint_position)
        position, rotation = self.kinematics.forward(q)
        zero = np.zeros(7)
        self.state = RobotState(10**9, q, zero, zero, position, matrix_to_quaternion(rotation), np.array([0.08]))
        self.targets, self.stopped, self.notes = [], "", []
        self.teleop.tick(Hands(), self.state)  # the dead-man was open at first

    def tick(self, axis=None, value=1.0, held=True, words=(), count=1, closed=None):
        for i in range(count):
            self.clock.advance(T)
            self.state = replace(self.state, stamp_ns=self.clock.now_ns())
            motions = {} if axis is None else {TOOL[axis]: value} | ({"joint": value} if axis == 0 else {})
            hands = Hands(motions, held, words if i == 0 else (), closed)
            motion = self.teleop.tick(hands, self.state, self.stopped)
            self.targets.append(motion.target)
            if motion.note:
                self.notes.append(motion.note)
            if motion.target is not None:
                self._follow(motion.target)
        return motion

    def _follow(self, target):
        state, lag = self.state, self.lag
        if self.rig.robot.command == "joint_target":
            q = state.joint_position + lag * (target.position - state.joint_position)
            position, rotation = self.kinematics.forward(q)
            self.state = replace(state, joint_position=q, ee_position=position,
                                 ee_orientation=matrix_to_quaternion(rotation))  # fmt: skip
        elif lag:
            position = state.ee_position + lag * (target.position - state.ee_position)
            orientation = matrix_to_quaternion(rotation_6d_to_matrix(target.rotation_6d))
            self.state = replace(state, ee_position=position, ee_orientation=orientation)


def test_axes_rest_within_the_dead_zone_and_begin_at_zero_outside():
    axes = np.array([0.05, -0.1, 0.1001, -0.55, 1.0, -1.0])
    np.testing.assert_allclose(shape(axes, 0.1, 1.0), [0, 0, 0.0001 / 0.9, -0.5, 1, -1], atol=1e-12)
    np.testing.assert_allclose(shape(axes, 0.1, 2.0)[3:], [-0.25, 1, -1])


def test_nothing_is_sent_before_the_dead_man_was_held():
    f = Follower()
    f.tick(axis=0, held=False, count=20)
    assert f.targets == [None] * 20


def test_the_first_target_is_where_the_robot_is():
    f = Follower()
    f.tick()
    np.testing.assert_allclose(f.targets[0].position, f.state.ee_position, atol=1e-9)
    assert f.targets[0].gripper_width == 0.08
    assert f.targets[0].stamp_ns == f.clock.now_ns()


@pytest.mark.parametrize("axis", range(3))
def test_a_full_axis_moves_the_tool_at_the_rigs_speed(axis):
    f = Follower()
    f.tick()
    f.tick(axis, count=20)  # up to speed
    begin = f.targets[-1].position
    f.tick(axis, count=5)
    moved = f.targets[-1].position - begin
    np.testing.assert_allclose(moved[axis], 5 * T * LINEAR, rtol=1e-6)
    np.testing.assert_allclose(np.delete(moved, axis), 0, atol=1e-9)


def test_a_turning_axis_turns_the_tool_about_the_base_and_leaves_it_in_place():
    f = Follower()
    f.tick()
    f.tick(5, count=20)
    begin = f.targets[-1]
    f.tick(5, count=25)
    R = rotation_6d_to_matrix(f.targets[-1].rotation_6d) @ rotation_6d_to_matrix(begin.rotation_6d).T
    angle = 25 * T * 0.6
    c, s = np.cos(angle), np.sin(angle)
    np.testing.assert_allclose(R, [[c, -s, 0], [s, c, 0], [0, 0, 1]], atol=1e-6)
    np.testing.assert_allclose(f.targets[-1].position, begin.position, atol=1e-9)


def test_speed_rises_and_falls_within_the_limit_of_acceleration():
    f = Follower()
    f.tick()
    f.tick(0, count=40)
    f.tick(0, held=False, count=40)
    x = np.array([t.position[0] for t in f.targets])
    speed = np.diff(x) / T
    assert np.abs(np.diff(speed) / T).max() <= LINEAR / 0.25 + 1e-6
    assert speed.max() == pytest.approx(LINEAR)
    assert speed[-1] == 0


def test_an_open_dead_man_keeps_sending_the_target_at_rest():
    f = Follower()
    f.tick(0, count=30)
    f.tick(0, held=False, count=100)
    assert all(t is not None for t in f.targets)
    stamps = [t.stamp_ns for t in f.targets]
    assert np.diff(stamps).tolist() == [20_000_000] * (len(stamps) - 1)
    assert len({t.position.tobytes() for t in f.targets[-80:]}) == 1


def test_axes_without_the_dead_man_move_nothing():
    f = Follower()
    f.tick()
    f.tick(0, held=False, count=50)
    np.testing.assert_allclose(f.targets[-1].position, f.targets[0].position, atol=1e-12)


def test_the_target_never_runs_away_from_a_robot_that_stands():
    f = Follower(lag=0.0)
    f.tick()
    f.tick(0, count=200)
    away = np.linalg.norm(f.targets[-1].position - f.state.ee_position)
    assert 0 < away < f.rig.limits.tracking_distance_max_m
    f.tick(5, count=400)
    turned = rotation_distance(
        rotation_6d_to_matrix(f.targets[-1].rotation_6d), rotation_6d_to_matrix(f.targets[0].rotation_6d)
    )
    assert 0 < turned < f.rig.limits.tracking_distance_max_rad


def test_the_target_stays_within_the_workspace_and_comes_back_at_once():
    f = Follower()
    f.tick()
    f.tick(2, count=1000)
    top = f.rig.limits.workspace_max_m[2]
    assert f.targets[-1].position[2] == top
    f.tick(2, -1.0, count=30)
    assert f.targets[-1].position[2] < top - 0.01


def accelerations(targets):
    """Of the tool's targets, (N, 3) [m/s2]."""
    return np.diff([t.position for t in targets], n=2, axis=0) / T**2


def test_what_keeps_the_tool_away_is_no_longer_pressed_once_the_hands_rest_within_the_limits():
    f = Follower(lag=0.0)
    f.tick()
    f.tick(2, -1.0, count=100)
    assert f.targets[-1].position[2] < f.state.ee_position[2] - 0.05
    f.tick(held=False, count=200)
    np.testing.assert_allclose(f.targets[-1].position, f.state.ee_position, atol=0.003)
    assert np.abs(accelerations(f.targets)).max() <= f.rig.limits.ee_acceleration_max_m_s2


@pytest.mark.parametrize("frame", ["base", "tool"])
def test_it_brakes_before_the_wall_of_the_workspace(frame):
    f = Follower(frame=frame)
    f.tick()
    f.tick(2, -1.0 if frame == "tool" else 1.0, count=400)  # the Panda's tool points down
    f.tick(1, count=400)
    assert f.targets[-1].position[2] == pytest.approx(f.rig.limits.workspace_max_m[2])
    assert np.abs(accelerations(f.targets)).max() <= f.rig.limits.ee_acceleration_max_m_s2


@pytest.mark.parametrize(("motion", "sign"), [(0, 1), (1, -1), (2, -1)])
def test_in_the_tools_frame_axes_are_those_of_the_tool_which_points_down(motion, sign):
    f = Follower(frame="tool")
    f.tick()
    begin = f.state.ee_position
    told = f.tick(motion, count=20)
    moved = f.targets[-1].position - begin
    assert moved[motion] * sign > 0.02
    np.testing.assert_allclose(np.delete(moved, motion), 0, atol=2e-3)
    np.testing.assert_allclose(told.linear, sign * LINEAR * np.eye(3)[motion], atol=2e-3)


def test_the_gripper_toggles():
    f = Follower()
    f.tick()
    widths = []
    for _ in range(3):
        f.tick(words=("gripper",))
        widths.append(f.targets[-1].gripper_width)
    assert widths == [0.0, 0.08, 0.0]


def test_a_stop_ends_it_and_it_begins_anew_where_the_robot_is_once_the_dead_man_was_open():
    f = Follower()
    f.tick(0, count=30)
    f.stopped = "watchdog"
    f.tick(0, count=5)
    assert f.targets[-5:] == [None] * 5
    assert "watchdog" in f.notes[-1]
    f.stopped = ""
    f.tick(0, count=5)
    assert f.targets[-5:] == [None] * 5  # held all the time: the operator has not seen it yet
    f.tick(held=False)
    f.state = replace(f.state, ee_position=f.state.ee_position + np.array([0.0, 0.1, 0.0]))
    f.tick()
    np.testing.assert_allclose(f.targets[-1].position, f.state.ee_position, atol=1e-9)


def test_state_that_stops_coming_ends_it_and_the_operator_is_told():
    f = Follower()
    f.tick(0, count=30)
    old = f.state
    for _ in range(20):
        f.clock.advance(T)
        motion = f.teleop.tick(Hands(dead_man=True), old)
        f.notes.append(motion.note)
    assert motion.target is None
    assert any("state" in note for note in f.notes)


def test_asking_to_take_over_begins_at_rest_so_that_the_policy_hears_a_person():
    f = Follower()
    f.tick(0, held=False, words=("take_over",), count=20)
    assert all(t is not None for t in f.targets)
    assert len({t.position.tobytes() for t in f.targets}) == 1


def test_a_dead_man_that_is_held_from_the_very_start_moves_nothing_until_it_was_open():
    f = Follower()
    f.teleop.let_go("")
    f.tick(0, count=20)
    assert f.targets == [None] * 20


def test_pressing_the_dead_man_while_stopped_tells_why_nothing_moves():
    f = Follower()
    f.stopped = "stop"
    f.tick()
    assert "recover" in f.notes[-1]


def test_a_lost_device_ends_it_and_what_is_still_held_when_it_returns_does_not_begin_anew():
    f = Follower()
    f.tick(0, count=30)
    assert f.teleop.let_go("device lost").note == "device lost"
    f.tick(0, count=10)
    assert f.targets[-10:] == [None] * 10
    f.tick(held=False)
    f.tick()
    assert f.targets[-1] is not None


def test_at_rest_it_takes_over_where_somebody_else_has_moved_the_robot():
    f = Follower()
    f.tick()
    f.tick(held=False, count=50)
    moved = f.state.ee_position + np.array([0.1, 0.1, -0.1])
    f.state = replace(f.state, ee_position=moved)
    f.tick(held=False, count=2)
    np.testing.assert_allclose(f.targets[-1].position, moved, atol=1e-9)


def test_in_joint_mode_the_chosen_joint_moves_alone():
    f = Follower("joint_target", "joint")
    f.tick()
    f.tick(words=("joint_up", "joint_up"))
    f.tick(0, count=20)
    begin = f.targets[-1].position
    f.tick(0, count=10)
    np.testing.assert_allclose((f.targets[-1].position - begin)[2], 10 * T * 0.4, rtol=1e-6)
    np.testing.assert_allclose(np.delete(f.targets[-1].position - begin, 2), 0, atol=1e-12)
    assert any("panda_joint3" in note for note in f.notes)
    f.tick(0, -1.0, count=2000)
    assert f.targets[-1].position[2] == f.rig.limits.joint_position_min[2]


def test_tool_motion_of_a_rig_with_joint_targets_goes_through_its_kinematics():
    f = Follower("joint_target", "ee")
    f.tick()
    begin = f.state.ee_position
    f.tick(0, count=50)
    tool = f.kinematics.position(f.targets[-1].position)
    np.testing.assert_allclose((tool - begin)[1:], 0, atol=2e-4)
    assert (tool - begin)[0] == pytest.approx(50 * T * LINEAR, abs=0.03)


def test_the_mode_switches_while_the_dead_man_is_open_and_begins_where_the_robot_is():
    f = Follower("joint_target", "ee")
    f.tick(0, count=30)
    f.tick(held=False, count=20)
    f.tick(held=False, words=("mode",))
    assert f.teleop.mode == "joint"
    assert all(target is not None for target in f.targets)  # silence would wake the robot's watchdog
    f.tick(held=False)
    f.tick()
    np.testing.assert_allclose(f.targets[-1].position, f.state.joint_position, atol=1e-9)


def test_the_mode_does_not_switch_in_motion_and_a_dead_man_held_through_it_moves_nothing():
    f = Follower("joint_target", "ee")
    f.tick(0, count=30)
    f.tick(0, words=("mode",))
    assert f.teleop.mode == "ee"
    assert "let go first" in f.notes[-1]
    f.tick(count=30)
    f.tick(words=("mode",))
    assert f.teleop.mode == "joint"
    begin = f.targets[-1].position
    f.tick(0, count=20)
    np.testing.assert_array_equal(f.targets[-1].position, begin)
    f.tick(held=False)
    f.tick(0, count=20)
    assert f.targets[-1].position[0] > begin[0]


def test_modes_that_the_rig_does_not_allow_are_refused_in_a_sentence():
    with pytest.raises(ConfigError, match="joint_target"):
        Follower("ee_target", "joint")
    with pytest.raises(ConfigError, match="kinematics"):
        Follower("joint_target", "ee", kinematics=False)
    f = Follower()
    f.tick(words=("mode",))
    assert f.teleop.mode == "ee"
    assert "joint_target" in f.notes[-1]


def test_the_speed_changes_in_steps_and_never_above_the_rigs():
    f = Follower()
    f.tick(words=("slower", "slower"))
    assert f.teleop.speed_scale == pytest.approx(0.64)
    f.tick(words=("faster",) * 10)
    assert f.teleop.speed_scale == 1.0
    f.tick(words=("slower",) * 50)
    assert f.teleop.speed_scale == pytest.approx(0.05)
