import threading

import numpy as np
import pytest
from plain_robot import DOWN_6D, HOME, START, PlainRobot

from robot_learning.clock import FakeClock
from robot_learning.drivers.gate import Gate
from robot_learning.drivers.interfaces import EeTarget, Gated, JointTarget, unseal
from robot_learning.errors import SafetyError
from robot_learning.rig import load_rig
from robot_learning.rig_parts.limits import Limits

LIMITS = load_rig("panda_sim").limits
RATE_HZ = 20
SECOND = 1_000_000_000


class Bench:
    """A gate before a plain robot on a fake clock, active."""

    def __init__(self, limits: Limits = LIMITS, follows: float = 1.0, kinematics=None) -> None:
        self.clock = FakeClock(10 * SECOND)
        self.robot = PlainRobot(self.clock, follows)
        self.gate = Gate(self.robot, limits, self.clock, RATE_HZ, kinematics)
        self.gate.activate()

    def ee(self, position=START, rotation=DOWN_6D, width=0.08, age_s=0.0, wait_s=0.05):
        self.clock.advance(wait_s)
        return self.gate.command(EeTarget(self.clock.now_ns() - round(age_s * 1e9), position, rotation, width))

    def joints(self, position=HOME, width=0.08, wait_s=0.05):
        self.clock.advance(wait_s)
        return self.gate.command(JointTarget(self.clock.now_ns(), position, width))


def refusing() -> Limits:
    return LIMITS.model_copy(update={"on_violation": "refuse"})


def names(result) -> list[str]:
    return [trip.name for trip in result.trips]


def test_a_target_within_limits_passes_unchanged():
    bench = Bench()
    for k in range(1, 10):
        result = bench.ee(START + np.array([0.01 * k, 0, 0]))
        assert not result.trips
        np.testing.assert_array_equal(result.gated.position, START + np.array([0.01 * k, 0, 0]))
        np.testing.assert_allclose(result.gated.rotation_6d, DOWN_6D, atol=1e-12)
        assert result.executed is bench.robot.commands[-1]


@pytest.mark.parametrize(
    ("change", "name"),
    [
        ({"position": [np.nan, 0, 0.3]}, "not_finite"),
        ({"position": [0.5, np.inf, 0.3]}, "not_finite"),
        ({"rotation": np.full(6, np.nan)}, "not_finite"),
        ({"width": np.nan}, "not_finite"),
        ({"position": [0.5, 0.0]}, "shape"),
        ({"position": "home"}, "shape"),
        ({"position": None}, "shape"),
        ({"rotation": np.eye(3)}, "shape"),
        ({"width": [0.01, 0.02]}, "shape"),
        ({"rotation": np.zeros(6)}, "rotation"),
        ({"rotation": [1, 0, 0, 1, 0, 0]}, "rotation"),
        ({"rotation": [1e300, 0, 0, 0, 1e300, 0]}, "rotation"),
        ({"age_s": 0.21}, "stale"),
        ({"age_s": -0.01}, "future"),
    ],
)
@pytest.mark.parametrize("limits", [LIMITS, refusing()], ids=["clip", "refuse"])
def test_what_makes_no_sense_is_refused_by_name_whatever_the_rig_says(limits, change, name):
    bench = Bench(limits)
    result = bench.ee(**change)
    assert names(result) == [name]
    assert result.gated is None
    assert result.executed is None
    assert bench.robot.commands == []
    assert bench.gate.trips == {name: 1}


@pytest.mark.parametrize("stamp", [1.5, None, "now", True])
def test_a_stamp_that_is_no_integer_is_refused(stamp):
    bench = Bench()
    bench.clock.advance(0.05)
    assert names(bench.gate.command(EeTarget(stamp, START, DOWN_6D, 0.08))) == ["shape"]


def test_a_command_older_than_the_last_is_refused():
    bench = Bench()
    bench.ee()
    assert names(bench.ee(age_s=0.1)) == ["order"]


def test_a_second_command_at_the_same_instant_is_refused():
    bench = Bench()
    bench.ee()
    assert names(bench.ee(wait_s=0)) == ["rate"]


def test_what_is_no_target_is_refused():
    bench = Bench()
    assert names(bench.gate.command(np.zeros(10))) == ["type"]


def test_the_kind_of_command_does_not_change_while_active():
    bench = Bench()
    bench.ee()
    assert names(bench.joints()) == ["type"]


def test_a_far_first_target_is_refused_and_a_near_one_accepted_after_it():
    bench = Bench()
    with pytest.raises(SafetyError, match="begin where the robot is"):
        bench.ee(START + np.array([0.06, 0, 0]))
    assert bench.robot.commands == []
    assert bench.gate.trips == {"first_target": 1}
    assert bench.ee(START + np.array([0.004, 0, 0])).gated is not None


def test_a_first_target_turned_far_is_refused():
    with pytest.raises(SafetyError):
        Bench().ee(rotation=[np.cos(0.4), np.sin(0.4), 0, np.sin(0.4), -np.cos(0.4), 0])


def test_a_far_first_joint_target_is_refused():
    with pytest.raises(SafetyError):
        Bench().joints(HOME + 0.31)


def test_the_first_target_rule_holds_again_after_each_activation():
    bench = Bench()
    bench.ee()
    bench.robot.position = np.array([0.6, 0.2, 0.4])  # moved by hand
    bench.gate.stop()
    bench.gate.reset()
    bench.gate.activate()
    with pytest.raises(SafetyError):
        bench.ee(START)


def test_a_target_beyond_the_workspace_is_clipped_to_its_face():
    bench = Bench()
    for _ in range(60):
        result = bench.ee([0.5, 0.0, -1.0] if bench.robot.commands else START)
    assert "workspace" in names(result)
    assert result.gated.position[2] == pytest.approx(LIMITS.workspace_min_m[2], abs=1e-6)
    assert result.gated.position[2] >= LIMITS.workspace_min_m[2]


@pytest.mark.parametrize("wait_s", [0.05, 0.02])
@pytest.mark.parametrize("speed", [0.2, 0.27, 0.35, 0.43, 0.6])
def test_a_stream_of_targets_that_runs_into_a_wall_always_leaves_room_to_stop(speed, wait_s):
    bench = Bench()
    bench.ee()
    last, wall, a = START, LIMITS.workspace_max_m[1], LIMITS.ee_acceleration_max_m_s2
    for k in range(1, 200):
        gated = bench.ee(START + np.array([0, speed * wait_s * k, 0]), wait_s=wait_s).gated
        v = (gated.position[1] - last[1]) / wait_s
        assert gated.position[1] + v * abs(v) / (2 * a) <= wall + 1e-9
        last = gated.position
    assert last[1] == pytest.approx(wall, abs=1e-6)


def test_a_refusing_rig_sends_nothing_that_breaks_a_limit():
    bench = Bench(refusing())
    bench.ee()
    for position in ([0.5, 0.0, -1.0], START + np.array([0.1, 0, 0])):
        result = bench.ee(position)
        assert result.gated is None
        assert names(result)[-1] == "refused"
    assert len(bench.robot.commands) == 1
    assert bench.gate.trips["workspace"] == 1
    assert bench.gate.trips["velocity"] == 2


def test_the_gripper_width_is_clipped():
    result = Bench().ee(width=0.2)
    assert result.gated.gripper_width == LIMITS.gripper_width_max_m
    assert names(result) == ["gripper_width"]


def test_a_robot_that_does_not_follow_holds_the_reference_back():
    bench = Bench(follows=0.0)
    for k in range(100):
        result = bench.ee(START + np.array([0, 0, min(0.25, 0.005 * k)]))
    assert "tracking" in bench.gate.trips
    reference = bench.gate.reference(0)
    assert np.linalg.norm(reference.position - START) <= LIMITS.tracking_distance_max_m + 1e-9
    assert result.gated is None or np.linalg.norm(result.gated.position - START) <= 0.1 + 1e-9


def test_joint_targets_are_held_to_range_speed_and_workspace():
    low, high = np.array(LIMITS.joint_position_min), np.array(LIMITS.joint_position_max)
    bench = Bench(kinematics=lambda q: np.array([0.5, q[0], 0.3]))
    bench.joints()
    last, wanted = HOME, HOME + np.array([2.0, 0, 0, 3.0, 0, 0, 0])
    for _ in range(100):
        result = bench.joints(wanted)
        if result.gated is None:
            assert "workspace" in names(result)
            continue
        q = result.gated.position
        assert ((q >= low) & (q <= high)).all()
        assert (np.abs(q - last) <= np.array(LIMITS.joint_velocity_max) / RATE_HZ + 1e-9).all()
        assert q[0] <= LIMITS.workspace_max_m[1]
        last = q
    assert {"joint_position", "joint_velocity", "workspace"} <= set(bench.gate.trips)


def test_an_old_state_of_the_robot_lets_nothing_pass():
    bench = Bench()
    bench.robot.age_ns = SECOND
    assert names(bench.ee()) == ["state"]
    bench.gate.stop()
    bench.gate.reset()
    with pytest.raises(SafetyError, match="connected and running"):
        bench.gate.activate()


def test_a_robot_outside_its_limits_is_not_activated():
    clock = FakeClock()
    robot = PlainRobot(clock)
    robot.position = np.array([0.9, 0.0, 0.3])
    with pytest.raises(SafetyError, match="outside its limits"):
        Gate(robot, LIMITS, clock, RATE_HZ).activate()


def test_nothing_passes_before_activation():
    clock = FakeClock()
    robot = PlainRobot(clock)
    result = Gate(robot, LIMITS, clock, RATE_HZ).command(EeTarget(0, START, DOWN_6D, 0.08))
    assert names(result) == ["inactive"]
    assert robot.commands == []


def test_after_a_stop_nothing_passes_until_somebody_acknowledges():
    bench = Bench()
    bench.ee()
    bench.gate.stop("operator")
    bench.gate.stop("later reason")
    assert bench.robot.stops == 2
    assert bench.gate.stop_reason == "operator"
    assert names(bench.ee()) == ["stopped"]
    with pytest.raises(SafetyError, match="operator"):
        bench.gate.activate()
    bench.gate.reset()
    assert names(bench.ee()) == ["inactive"]
    bench.gate.activate()
    assert bench.ee().gated is not None


def test_trips_stay_counted_until_reset():
    bench = Bench()
    bench.ee(width=1.0)
    bench.ee()
    bench.ee(width=1.0)
    assert bench.gate.trips == {"gripper_width": 2}
    bench.gate.reset()
    assert bench.gate.trips == {}


def test_stop_gets_through_while_a_command_hangs_in_the_driver():
    bench = Bench()
    inside, leave = threading.Event(), threading.Event()
    send = bench.robot.command

    def hang(gated):
        inside.set()
        assert leave.wait(10)
        return send(gated)

    bench.robot.command = hang
    worker = threading.Thread(target=bench.ee)
    worker.start()
    assert inside.wait(10)
    bench.gate.stop()  # returns, although the command has not
    assert bench.gate.state == "stopped"
    assert bench.robot.stops == 1
    leave.set()
    worker.join(10)
    assert bench.robot.stops == 2  # and what the command set in motion after the stop is stopped again


def test_a_stop_during_activation_wins():
    bench = Bench()
    bench.gate.stop()
    bench.gate.reset()
    observe = bench.robot.observe

    def observe_while_somebody_stops():
        bench.gate.stop()
        return observe()

    bench.robot.observe = observe_while_somebody_stops
    bench.gate.activate()
    assert bench.gate.state == "stopped"


def test_only_what_a_gate_made_is_a_command():
    target = EeTarget(0, START.copy(), DOWN_6D.copy(), 0.08)
    clock = FakeClock()
    robot = PlainRobot(clock)
    for fake in (target, Gated(target, object()), Gated(target, None), None):
        with pytest.raises(SafetyError, match=r"Gate\.command"):
            robot.command(fake)


def test_a_seal_fits_no_other_target_and_a_sealed_target_can_not_be_changed():
    sealed = []
    bench = Bench()
    bench.robot.command = lambda gated: sealed.append(gated) or gated.target
    bench.ee()
    assert unseal(sealed[0]) is sealed[0].target
    other = EeTarget(0, START + 1, DOWN_6D.copy(), 0.08)
    with pytest.raises(SafetyError):
        unseal(Gated(other, sealed[0].key))
    with pytest.raises(ValueError, match="read-only"):
        sealed[0].target.position[0] = 9
