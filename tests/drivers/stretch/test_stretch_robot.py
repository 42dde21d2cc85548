"""The Stretch driver over a fake body: what it refuses, how it moves, how it stops."""

import numpy as np
import pytest
from fake_stretch_body import FakeStretchBody
from stretch_rigs import RATE, stretch_rig

from robot_learning.clock import FakeClock
from robot_learning.drivers.gate import Gate
from robot_learning.drivers.helm import Helm
from robot_learning.drivers.interfaces import EeTarget, JointTarget, seal
from robot_learning.drivers.stretch.robot import StretchRobot
from robot_learning.errors import ConfigError, SafetyError, UserError
from robot_learning.rotation import matrix_to_rotation_6d

pytest.importorskip("stretch_urdf", reason="hello-robot-stretch-urdf is not installed")
HOME = np.array([0.6, 0.1, 0.0, 0.0, 0.0])


class Station:
    """A driver over a fake body on a fake clock, and whatever it said."""

    def __init__(self, **changes):
        self.rig, self.clock = stretch_rig(**changes), FakeClock(10**12)
        self.body = FakeStretchBody(self.clock)
        self.robot = StretchRobot(self.rig, self.clock, self.body)
        self.heard = []
        self.robot.heard = self.heard.append

    def wait(self, seconds):
        for _ in range(round(seconds * RATE)):
            self.clock.advance(1 / RATE)
            self.robot.step()

    def send(self, joints=HOME, width=0.05, base=(0.0, 0.0)):
        target = JointTarget(self.clock.now_ns(), np.array(joints, dtype=float), width, np.array(base, dtype=float))
        return self.robot.command(seal(target))


@pytest.fixture
def station():
    station = Station()
    station.robot.open()
    return station


def test_a_robot_that_does_not_start_is_refused_and_told_nothing():
    station = Station()
    station.body.starts = False
    with pytest.raises(UserError, match=r"did not start: .*runstop is out.*stretch_free_robot_process"):
        station.robot.open()
    assert station.body.closed
    assert not station.body.moves
    assert station.body.pushes == 0


def test_a_robot_that_is_not_homed_is_refused_and_told_nothing():
    station = Station()
    station.body.homed = False
    with pytest.raises(SafetyError, match=r"not homed.*prepare home --rig stretch_test"):
        station.robot.open()
    assert station.body.closed
    assert station.body.pushes == 0


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda body: setattr(body, "runstop", True), "runstop is on"),
        (lambda body: setattr(body, "homed", False), "not homed"),
        (lambda body: setattr(body, "busy", "homing"), "it is homing"),
        (lambda body: setattr(body, "fault", "wrist_yaw does not answer"), "wrist_yaw does not answer"),
        (lambda body: body.contact_count.update(joint_lift=1), "joint_lift met more force"),
    ],
)
def test_what_goes_wrong_is_a_fault_within_one_state_and_nothing_is_commanded(station, change, words):
    station.send()
    change(station.body)
    station.clock.advance(1 / RATE)
    station.robot.step()
    assert words in station.robot.fault
    before = len(station.body.moves)
    with pytest.raises(SafetyError, match=f"does not move: .*{words}"):
        station.send()
    assert len(station.body.moves) == before


def test_a_robot_that_falls_silent_is_a_fault(station):
    station.body.frozen = True
    station.wait(0.9)
    assert not station.robot.fault
    station.wait(0.3)
    assert "nothing new was measured" in station.robot.fault
    with pytest.raises(SafetyError, match="can't recover yet: nothing new"):
        station.robot.recover()


def test_after_a_runstop_the_driver_waits_for_the_operator_and_then_holds_where_the_arm_was_left(station):
    station.send()
    station.body.runstop = True
    station.wait(0.1)
    with pytest.raises(SafetyError, match="can't recover yet: the runstop is on"):
        station.robot.recover()
    assert station.robot.mode == "runstopped"
    station.body.position["wrist_extension"] = 0.22  # pushed by hand
    station.body.runstop = False
    station.wait(1.0)
    assert station.robot.fault  # by itself it forgets nothing
    assert station.body.position["wrist_extension"] == 0.22
    assert not station.body.ignored
    station.robot.recover()
    station.wait(1.0)
    assert station.robot.fault == ""
    assert station.body.position["wrist_extension"] == pytest.approx(0.22, abs=1e-3)
    assert station.send([0.6, 0.22, 0, 0, 0]) is not None


def test_a_guarded_contact_counts_once_and_is_forgotten_by_recovering(station):
    station.body.contact_count["joint_lift"] = 3
    station.wait(0.1)
    assert "joint_lift" in station.robot.fault
    station.robot.recover()
    station.wait(0.5)
    assert station.robot.fault == ""


def test_a_stream_of_positions_is_a_steady_motion(station):
    """Told each position alone at top speed, the lift would halt between two."""
    lift, speeds = 0.6, []
    for k in range(80):
        for _ in range(8):
            station.clock.advance(1 / RATE / 8)
            station.body.advance()
            if k > 40:
                speeds.append(station.body.velocity["joint_lift"])
        station.robot.step()
        lift += 0.06 / RATE  # 6 cm/s
        station.send([lift, 0.1, 0, 0, 0])
    assert np.mean(speeds) == pytest.approx(0.06, rel=0.02)
    assert min(speeds) > 0.05
    assert max(speeds) < 0.07
    assert abs(station.body.position["joint_lift"] - lift) < 0.004
    for _ in range(25):
        station.clock.advance(1 / RATE)
        station.robot.step()
        station.send([lift, 0.1, 0, 0, 0])
    assert station.body.position["joint_lift"] == pytest.approx(lift, abs=1e-3)


def test_motions_carry_the_rigs_acceleration_and_guards_and_never_more_than_its_speed():
    station = Station(stretch={"guards_percent": {"joint_lift": [-20, 45]}})
    station.robot.open()
    station.wait(0.04)
    station.send([0.6056, 0.1, 0.05, 0, 0])
    motions = station.body.goals
    assert motions["joint_lift"].guard == (-20, 45)
    assert motions["wrist_extension"].guard is None
    limits = station.rig.limits
    for i, name in enumerate(station.rig.robot.joint_names):
        assert 0 < motions[name].velocity <= limits.joint_velocity_max[i]
        assert motions[name].acceleration == limits.joint_acceleration_max[i]


def test_what_a_joint_was_told_already_it_is_not_told_again(station):
    """A stalled gripper backs off by itself; told to close again and again it would get too hot."""
    station.send(width=0.0)
    told = len(station.body.moves)
    for _ in range(10):
        station.wait(1 / RATE)
        station.send(width=0.0)
    assert station.body.moves[told:] == [] or all(
        "gripper_width" not in motions for motions in station.body.moves[told:]
    )
    station.robot.stop()
    station.wait(0.1)
    station.send(width=0.0)
    assert "gripper_width" in station.body.moves[-1]


def test_a_joint_that_the_collision_manager_held_back_is_told_again(station):
    target = [0.6, 0.104, 0, 0, 0]
    station.wait(1 / RATE)
    station.send(target)
    station.wait(1 / RATE)
    station.send(target)
    told = len(station.body.moves)
    station.body.collisions = ("wrist_extension",)
    station.wait(1 / RATE)
    station.send(target)
    assert [set(motions) for motions in station.body.moves[told:]] == [{"wrist_extension"}]


def test_a_motion_never_ends_beyond_the_joints_limits(station):
    lift = 0.6
    while lift < 1.09:
        station.clock.advance(1 / RATE)
        station.robot.step()
        lift = min(lift + 0.0055, 1.09)
        station.send([lift, 0.1, 0, 0, 0])
    assert max(moves["joint_lift"].position for moves in station.body.moves if "joint_lift" in moves) <= 1.09
    station.wait(1.0)
    assert station.body.position["joint_lift"] == pytest.approx(1.09, abs=1e-3)


def test_a_stop_decelerates_within_its_time_and_holds(station):
    lift = 0.6
    for _ in range(40):
        station.clock.advance(1 / RATE)
        station.robot.step()
        lift += 0.004
        station.send([lift, 0.1, 0, 0, 0], base=(0.2, 0.0))
    before, speed = station.body.position["joint_lift"], station.body.velocity["joint_lift"]
    assert speed > 0.08
    station.robot.stop()
    station.robot.step()
    station.wait(0.8)
    assert station.body.velocity["joint_lift"] == pytest.approx(0, abs=2e-3)
    expected = before + speed * station.rig.watchdog.deceleration_time_s / 2
    assert station.body.position["joint_lift"] == pytest.approx(expected, abs=4e-3)
    assert station.body.base.tolist() == [0.0, 0.0]
    told = np.array([speeds for _, speeds in station.body.base_told])[-20:, 0]
    assert np.diff(told).min() > -0.25 / RATE * 1.3  # with its acceleration limit


def test_the_base_stops_by_itself_where_nobody_goes_on_and_the_joints_stay(station):
    for _ in range(20):
        station.wait(1 / RATE)
        station.send(base=(0.1, 0.3))
    station.wait(0.48)
    assert station.body.base.tolist() == [0.1, 0.3]
    station.wait(1.0)
    assert station.body.base.tolist() == [0.0, 0.0]
    assert station.robot.fault == ""
    assert station.robot.diagnostics()["base_timeouts"] == "1"
    # The gate believes that the base still drives: the driver itself keeps to its acceleration on the way back.
    executed = station.send(base=(0.1, 0.0))
    assert 0 < station.body.base[0] < 2.5 * 0.25 / RATE
    assert executed.base_velocity.tolist() == station.body.base.tolist()
    for _ in range(20):
        station.wait(1 / RATE)
        station.send(base=(0.1, 0.0))
    assert station.body.base.tolist() == [0.1, 0.0]


def test_a_gripper_told_to_close_squeezes_and_a_closed_one_measures_zero(station):
    station.send(width=0.03)
    assert station.body.goals["gripper_width"].position == pytest.approx(0.03)
    station.send(width=0.0)
    assert station.body.goals["gripper_width"].position == pytest.approx(-0.02)
    station.wait(2.0)
    assert station.robot.observe().gripper_width.tolist() == [0.0]


def test_a_gripper_that_opens_and_closes_keeps_what_it_does_in_between():
    station = Station(robot={"gripper": "open_close"})
    station.robot.open()
    assert station.send(width=0.09).gripper_width == pytest.approx(0.05)  # as it was found
    assert station.send(width=0.12).gripper_width == pytest.approx(0.16)
    assert station.send(width=0.09).gripper_width == pytest.approx(0.16)
    assert station.send(width=0.05).gripper_width == 0.0


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"limits": {"joint_position_max": [1.2, 0.5, 4.0, 0.4, 2.8]}}, "joint_position_max of joint_lift is 1.2"),
        ({"limits": {"joint_velocity_max": [0.2, 0.3, 2, 2, 2]}}, "joint_velocity_max of joint_lift is 0.2"),
        ({"limits": {"joint_acceleration_max": [0.28, 0.5, 6, 6, 6]}}, "acceleration_max of wrist_extension is 0.5"),
        ({"stretch": {"tool": "eoa_wrist_dw3_tool_sg3_pro"}}, "this robot's parameters say eoa_wrist_dw3_tool_sg3"),
        ({"robot": {"state_rate_hz": 30}}, "state_rate_hz = 30 is above the 25 Hz"),
        ({"limits": {"gripper_width_max_m": 0.3}}, "gripper_width_max_m is 0.3, above the robot's own"),
    ],
)
def test_a_rig_that_allows_more_than_its_robot_can_is_refused(change, words):
    station = Station(**change)
    with pytest.raises(ConfigError, match=words):
        station.robot.open()
    assert station.body.closed


def test_a_base_whose_wheels_can_t_do_both_is_refused():
    base = {
        "speed_max_m_s": 0.25, "acceleration_max_m_s2": 0.25,
        "angular_speed_max_rad_s": 0.5, "angular_acceleration_max_rad_s2": 1.0,
    }  # fmt: skip
    with pytest.raises(ConfigError, match=r"need of a wheel, in m/s, is 0\.328"):
        Station(limits={"base": base}).robot.open()


def test_a_standing_stretch_takes_tool_targets_too():
    standing = Station(robot={"base": False, "command": "ee_target"}, limits={"base": None})
    standing.robot.open()
    position, rotation = standing.robot.kinematics.forward(HOME)
    for k in range(40):
        standing.wait(1 / RATE)
        goal = position - 0.002 * min(k, 25) * np.eye(3)[1]  # out along the arm
        target = EeTarget(standing.clock.now_ns(), goal, matrix_to_rotation_6d(rotation), 0.05)
        executed = standing.robot.command(seal(target))
    np.testing.assert_allclose(executed.position, goal, atol=1e-3)
    standing.wait(0.5)
    np.testing.assert_allclose(standing.robot.observe().ee_position, goal, atol=2e-3)


def test_effort_in_newtons_is_not_claimed():
    with pytest.raises(ConfigError, match="joint_effort must be false"):
        Station(robot={"joint_effort": True})


def test_modes_are_named_as_stretch_ros2_names_them(station):
    assert station.robot.mode == "navigation"
    station.body.busy = "stowing"
    station.wait(0.1)
    assert station.robot.mode == "stowing"
    standing = Station(robot={"base": False}, limits={"base": None})
    standing.robot.open()
    assert standing.robot.mode == "position"


def test_states_are_said_once_each_with_their_own_stamp(station):
    station.heard.clear()
    for _ in range(20):
        station.clock.advance(0.5 / RATE)
        station.robot.step()
    stamps = [state.stamp_ns for state in station.heard]
    assert len(stamps) == len(set(stamps)) == 10
    state = station.heard[-1]
    np.testing.assert_allclose(state.joint_position, HOME, atol=1e-3)
    np.testing.assert_allclose(state.ee_position, station.robot.kinematics.position(state.joint_position))
    assert state.base_velocity.shape == (2,)


def test_a_heading_that_passes_a_full_turn_goes_on(station):
    headings = []
    for heading in (2.0, 4.0, 6.0, 0.5, 3.0, 5.5, 0.2, 5.8, 3.5):
        station.body.heading = heading
        station.wait(1 / RATE)
        headings.append(station.robot.observe().base_pose[2])
    turns = np.array([0, 0, 0, 1, 1, 1, 2, 1, 1])
    np.testing.assert_allclose(headings, np.array([2.0, 4.0, 6.0, 0.5, 3.0, 5.5, 0.2, 5.8, 3.5]) + 2 * np.pi * turns)


def test_behind_the_gate_the_driver_goes_home_and_the_watchdog_stops_it(station):
    helm = Helm(station.robot, station.rig, station.clock)
    station.body.position |= {"wrist_extension": 0.3, "joint_wrist_yaw": 1.0}
    station.wait(0.1)
    station.robot.stop()
    station.wait(0.1)
    helm.home()
    while helm.motion is not None:
        station.wait(1 / RATE)
        helm.tick()
    assert not helm.trips
    station.wait(0.5)
    np.testing.assert_allclose(station.robot.observe().joint_position, HOME, atol=3e-3)

    gate = Gate(
        station.robot, station.rig.limits, station.clock, RATE, station.robot.kinematics.position,
        station.rig.robot.joint_units,
    )  # fmt: skip
    gate.activate()
    for k in range(1, 12):
        station.wait(1 / RATE)
        position = HOME + 0.003 * k * np.eye(5)[0]
        result = gate.command(JointTarget(station.clock.now_ns(), position, 0.05, np.array([0.1, 0.0])))
        assert result.executed is not None, result.trips
    gate.stop("watchdog")
    station.wait(1.0)
    assert np.abs(station.robot.observe().joint_velocity).max() < 2e-3
    assert station.body.base.tolist() == [0.0, 0.0]
