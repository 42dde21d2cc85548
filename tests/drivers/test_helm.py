"""Between a target and the gate, on a fake clock: who commands, what is held, stops, home, trajectories."""

import numpy as np
import pytest
from plain_robot import DOWN_6D, HOME, START, PlainRobot

from robot_learning.clock import NS_PER_S, FakeClock
from robot_learning.drivers.commanders import Commander
from robot_learning.drivers.helm import Helm
from robot_learning.drivers.interfaces import EeTarget, JointTarget
from robot_learning.drivers.motions import Trajectory
from robot_learning.drivers.mujoco.robot import MujocoPanda
from robot_learning.drivers.mujoco.world import World
from robot_learning.drivers.targets import flatten
from robot_learning.errors import SafetyError
from robot_learning.rig import load_rig

TELEOP, POLICY = Commander("/r/teleop", "~/target", b"t"), Commander("/r/policy", "~/target", b"p")
PERIOD_S = 0.05
RIG = load_rig("panda_sim")
JOINT_RIG = RIG.model_copy(update={"robot": RIG.robot.model_copy(update={"command": "joint_target"})})


class FakeMovingRobot(PlainRobot):
    """Says that its joints move at `speed`."""

    speed = 0.0

    def observe(self):
        state = super().observe()
        state.joint_velocity[:] = self.speed
        return state


class Station:
    def __init__(self, rig=RIG):
        self.clock = FakeClock(10 * NS_PER_S)
        self.robot = FakeMovingRobot(self.clock)
        self.helm = Helm(self.robot, rig, self.clock)

    def ee(self, x=0.0, age_s=0.0):
        stamp = self.clock.now_ns() - round(age_s * NS_PER_S)
        return EeTarget(stamp, START + np.array([x, 0, 0]), DOWN_6D.copy(), 0.08)

    def send(self, target=None, commander=TELEOP, wait_s=PERIOD_S):
        """Let a period pass, then command; the watchdog is polled meanwhile as its thread does."""
        self.wait(wait_s)
        return self.helm.command(target or self.ee(), commander)

    def wait(self, seconds):
        for _ in range(max(1, round(seconds / 0.01))):
            self.clock.advance(0.01)
            self.helm.poll()


@pytest.fixture
def station():
    return Station()


def test_a_robot_that_nobody_commands_stands_without_a_fault(station):
    station.wait(60)
    assert station.helm.gate.state == "inactive"
    assert station.robot.stops == 0


def test_the_first_target_arms_the_gate_and_silence_then_stops_the_robot_until_recover(station):
    assert not station.send().refused
    assert station.helm.gate.state == "active"
    station.wait(0.3)
    assert (station.helm.gate.state, station.helm.gate.stop_reason) == ("stopped", "watchdog")
    assert station.robot.stops == 1
    commands = len(station.robot.commands)
    assert station.send().refused
    assert len(station.robot.commands) == commands
    assert station.helm.recover() == "recovered from: watchdog"
    assert not station.send().refused


def test_recover_waits_until_the_robot_stands(station):
    station.send()
    station.helm.stop("stop")
    station.robot.speed = 0.5
    with pytest.raises(SafetyError, match=r"still moves at 0\.50 rad/s"):
        station.helm.recover()
    assert station.helm.gate.state == "stopped"
    station.robot.speed = 0.0
    station.helm.recover()
    assert station.helm.gate.state == "inactive"


def test_two_commanders_at_once_stop_the_robot_and_both_are_named(station):
    station.send()
    station.send(commander=POLICY)
    assert station.helm.gate.stop_reason == "two commanders: /r/policy and /r/teleop"
    station.helm.recover()
    station.send(commander=TELEOP)  # both go on: so does the fault
    assert station.helm.gate.state == "stopped"


def test_two_publishers_of_the_same_name_are_two_commanders(station):
    station.send()
    station.send(commander=Commander("/r/teleop", "~/target", b"another process"))
    assert station.helm.gate.stop_reason == "two commanders: /r/teleop and /r/teleop"


def test_one_node_may_use_several_topics(station):
    station.send()
    station.helm.check_alone(Commander("/r/teleop", "~/target_gripper", b"g"))
    assert station.helm.gate.state == "active"


def test_a_commander_may_follow_another_after_silence(station):
    station.send()
    station.wait(1.1)
    station.helm.recover()
    assert not station.send(commander=POLICY).refused


def test_a_far_first_target_is_refused_and_the_next_may_begin_where_the_robot_is(station):
    outcome = station.send(station.ee(x=0.2))
    assert outcome.refused
    assert outcome.trips[-1].name == "first_target"
    assert station.robot.commands == []
    station.wait(5)  # nobody is commanding: silence is no fault
    assert station.helm.gate.state == "inactive"
    assert not station.send().refused
    assert station.helm.trips == {"first_target": 1}


def test_a_target_that_is_not_finite_moves_nothing_feeds_nothing_and_is_not_recorded(station):
    station.send()
    for _ in range(6):
        target = station.ee()
        target.position[1] = np.nan
        outcome = station.send(target)
        assert outcome.refused
        assert not outcome.recordable
    assert len(station.robot.commands) == 1
    assert station.helm.trips["not_finite"] >= 4
    assert station.helm.gate.stop_reason == "watchdog"


def test_a_stale_target_is_refused_and_answered_with_what_is_held(station):
    told = station.send(station.ee(x=0.01))
    outcome = station.send(station.ee(x=0.012, age_s=0.04), wait_s=0.1)
    assert not outcome.refused
    station.wait(0.1)
    outcome = station.send(station.ee(x=0.013, age_s=0.21), wait_s=0.1)
    assert outcome.refused
    assert outcome.trips[-1].name == "stale"
    assert len(station.robot.commands) == 2
    for stage in (outcome.gated, outcome.executed):
        assert stage.stamp_ns == outcome.commanded.stamp_ns
        np.testing.assert_allclose(stage.position[1:], told.gated.position[1:])
        assert abs(stage.position[0] - START[0]) < 0.0121


def test_what_is_recorded_has_stamps_that_only_grow(station):
    first = station.send()
    older = EeTarget(first.commanded.stamp_ns - 1, START, DOWN_6D.copy(), 0.08)
    again = station.send(older)
    assert (first.recordable, again.recordable, again.trips[-1].name) == (True, False, "order")


def test_a_robot_whose_state_stops_takes_no_target(station):
    station.send()
    station.robot.age_ns = NS_PER_S
    outcome = station.send()
    assert outcome.refused
    assert outcome.trips[-1].name == "state"
    station.wait(0.3)
    assert station.helm.gate.stop_reason == "watchdog"


def test_setting_the_time_stops_a_commanded_robot(station):
    station.send()
    station.clock.advance(3600)
    station.helm.time_jumped()
    assert station.helm.gate.stop_reason == "time was set"


def test_a_trajectory_is_followed_replaced_by_a_target_and_at_its_end_the_robot_just_holds():
    station = Station(JOINT_RIG)
    helm, now = station.helm, station.clock.now_ns()
    goal = HOME + np.array([0.1, 0, 0, 0, 0, 0, 0])
    helm.begin(Trajectory(JointTarget(now, HOME, 0.08), goal[None], [1.0], now))
    sent = []
    while helm.motion is not None:
        station.wait(PERIOD_S)
        outcome = helm.tick()
        sent += [outcome.gated.position[0]] if outcome else []
    assert np.all(np.diff(sent) >= -1e-9)
    assert abs(station.robot.joints[0] - goal[0]) < 0.02
    station.wait(2)
    assert helm.gate.state == "inactive"  # an orderly end is no fault
    now = station.clock.now_ns()
    helm.begin(Trajectory(JointTarget(now, station.robot.joints, 0.08), HOME[None], [1.0], now))
    station.wait(PERIOD_S)
    helm.tick()
    station.send(JointTarget(station.clock.now_ns(), station.robot.joints, 0.08))
    assert helm.motion is None


# Home, with the simulated arm


class Simulated:
    def __init__(self, scene, rig=RIG):
        self.world = World(scene)
        self.robot = MujocoPanda(rig, self.world)
        self.helm = Helm(self.robot, rig, self.world)
        self.robot.place(HOME + np.array([0.4, 0.2, -0.3, -0.2, 0.2, 0.3, -0.4]))
        self.world.start()

    def run(self, seconds=30.0):
        """Tick as the node does; the outcomes, until the motion is over."""
        outcomes = []
        end = self.world.now_ns() + round(seconds * NS_PER_S)
        while self.helm.motion is not None and self.world.now_ns() < end:
            self.world.advance_to(self.world.now_ns() + round(PERIOD_S * NS_PER_S))
            self.helm.poll()
            if (outcome := self.helm.tick()) is not None:
                outcomes.append(outcome)
        return outcomes


@pytest.fixture(scope="module")
def scene():
    from robot_learning.drivers.mujoco.panda import scene_xml

    return scene_xml()


@pytest.mark.parametrize("rig", [RIG, JOINT_RIG], ids=["ee_target", "joint_target"])
def test_home_is_reached_within_all_limits_and_leaves_the_robot_ready(scene, rig):
    simulated = Simulated(scene, rig)
    seconds = simulated.helm.home()
    outcomes = simulated.run()
    assert seconds < 8
    assert [trip.name for outcome in outcomes for trip in outcome.trips] == []
    position, _ = simulated.robot.kinematics.forward(HOME)
    np.testing.assert_allclose(simulated.robot.observe().ee_position, position, atol=0.005)
    assert simulated.helm.gate.state == "inactive"


def test_stop_ends_the_way_home(scene):
    simulated = Simulated(scene)
    simulated.helm.home()
    simulated.run(0.5)
    simulated.helm.stop("stop")
    assert simulated.run() == []
    simulated.world.advance_to(simulated.world.now_ns() + NS_PER_S)
    assert np.abs(simulated.robot.observe().joint_velocity).max() < 0.01
    with pytest.raises(SafetyError, match="is stopped"):
        simulated.helm.home()


def test_home_is_refused_while_somebody_commands(station):
    station.send()
    with pytest.raises(SafetyError, match="/r/teleop commands the robot"):
        station.helm.home()


def test_an_action_and_its_target_are_two_forms_of_one_thing():
    from robot_learning.drivers.targets import measured, to_target

    rng = np.random.default_rng(0)
    mobile = JOINT_RIG.robot.model_copy(update={"base": True})
    for robot, size in ((RIG.robot, 10), (JOINT_RIG.robot, 8), (mobile, 10)):
        values = rng.normal(size=size)
        np.testing.assert_array_equal(flatten(to_target(robot, values, 5)), values)
    state = PlainRobot(FakeClock(5)).observe()
    np.testing.assert_allclose(flatten(measured("ee_target", state, 5)), [*START, *DOWN_6D, 0.08], atol=1e-12)
    np.testing.assert_allclose(flatten(measured("joint_target", state, 5)), [*HOME, 0.08])


class Fragile(PlainRobot):
    """Holds by itself when told so by a test, until it is recovered."""

    fault, mends = "", True

    def recover(self):
        if self.mends:
            self.fault = ""


def test_a_robot_that_holds_by_itself_stops_the_gate_and_comes_back_only_when_asked():
    clock = FakeClock(10**9)
    robot = Fragile(clock)
    helm = Helm(robot, RIG, clock)
    me = Commander("me", "t", b"1")
    helm.command(EeTarget(clock.now_ns(), START.copy(), DOWN_6D.copy(), 0.08), me)
    assert helm.gate.state == "active"
    robot.fault = "reflex: cartesian_reflex"
    assert helm.poll()
    assert (helm.gate.state, helm.gate.stop_reason) == ("stopped", "robot: reflex: cartesian_reflex")
    assert not helm.poll()  # told once
    robot.mends = False
    with pytest.raises(SafetyError, match="still holds by itself: reflex"):
        helm.recover()
    assert helm.gate.state == "stopped"
    robot.mends = True
    assert helm.recover() == "recovered from: robot: reflex: cartesian_reflex"
    assert helm.gate.state == "inactive"
