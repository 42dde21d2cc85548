import threading

import numpy as np
import pytest

from robot_learning.drivers.gate import Gate
from robot_learning.drivers.interfaces import EeTarget, JointTarget
from robot_learning.drivers.mujoco.kinematics import Kinematics
from robot_learning.drivers.mujoco.panda import GRIPPER_MAX_M, JOINTS, TOOL_M, scene_xml
from robot_learning.drivers.mujoco.robot import MujocoPanda
from robot_learning.drivers.mujoco.world import World
from robot_learning.drivers.watchdog import Watchdog
from robot_learning.errors import SafetyError
from robot_learning.rig import load_rig
from robot_learning.rotation import matrix_to_rotation_6d, quaternion_to_matrix, rotation_distance

RIG = load_rig("panda_sim")
HOME = np.array(RIG.robot.home_joint_position)
LOW, HIGH = np.array(RIG.limits.joint_position_min), np.array(RIG.limits.joint_position_max)
PERIOD_NS = 50_000_000


class Bench:
    def __init__(self, rig=RIG) -> None:
        self.world = World(scene_xml())
        self.robot = MujocoPanda(rig, self.world)
        self.gate = Gate(self.robot, RIG.limits, self.world, RIG.policy.rate_hz)
        self.robot.connect()
        self.gate.activate()
        self.down = matrix_to_rotation_6d(quaternion_to_matrix(self.robot.observe().ee_orientation))

    def go(self, position, rotation=None, width=GRIPPER_MAX_M):
        rotation = self.down if rotation is None else rotation
        result = self.gate.command(EeTarget(self.world.now_ns(), position, rotation, width))
        self.world.advance_to(self.world.now_ns() + PERIOD_NS)
        return result


@pytest.fixture
def bench() -> Bench:
    return Bench()


def dh_forward(q: np.ndarray) -> np.ndarray:
    """Modified Denavit-Hartenberg chain of the datasheet (Craig 2005, eq. 3.6), flange and hand included."""
    T = np.eye(4)
    table = [(0, 0.333, 0), (0, 0, -1), (0, 0.316, 1), (0.0825, 0, 1), (-0.0825, 0.384, -1), (0, 0, 1), (0.088, 0, 1)]
    for (a, d, quarter), theta in zip(table, q, strict=True):
        ca, sa, c, s = (0 if quarter else 1), quarter, np.cos(theta), np.sin(theta)
        step = [[c, -s, 0, a], [s * ca, c * ca, -sa, -sa * d], [s * sa, c * sa, ca, ca * d], [0, 0, 0, 1]]
        T = T @ np.array(step)
    c, s = np.cos(-np.pi / 4), np.sin(-np.pi / 4)
    return T @ np.array([[c, -s, 0, 0], [s, c, 0, 0], [0, 0, 1, 0.107 + 0.1034], [0, 0, 0, 1]])


def test_the_model_has_the_datasheets_kinematics():
    kinematics = Kinematics(HOME, LOW, HIGH)
    for q in np.random.default_rng(0).uniform(LOW, HIGH, (50, len(JOINTS))):
        position, rotation = kinematics.forward(q)
        expected = dh_forward(q)
        np.testing.assert_allclose(position, expected[:3, 3], atol=1e-9)
        np.testing.assert_allclose(rotation, expected[:3, :3], atol=1e-9)
    assert TOOL_M == 0.1034


def test_inverse_kinematics_finds_poses_of_the_workspace_within_the_joints_ranges():
    kinematics = Kinematics(HOME, LOW, HIGH)
    down = kinematics.forward(HOME)[1]
    for target in np.random.default_rng(1).uniform([0.35, -0.3, 0.02], [0.65, 0.3, 0.45], (40, 3)):
        q = HOME
        for _ in range(4):
            q = kinematics.inverse(target, down, q)
        position, rotation = kinematics.forward(q)
        assert np.linalg.norm(position - target) < 1e-4
        assert rotation_distance(rotation, down) < 1e-3
        assert ((q >= LOW) & (q <= HIGH)).all()


def test_the_tool_follows_a_moving_target_within_millimetres_and_without_overshoot(bench):
    start = bench.robot.observe().ee_position
    goal = start + np.array([0.1, 0.15, -0.2])
    for k in range(1, 41):
        smooth = (1 - np.cos(np.pi * k / 40)) / 2
        target = start + smooth * (goal - start)
        result = bench.go(target)
        assert not result.trips
        np.testing.assert_allclose(result.executed.position, target, atol=1e-4)
        assert np.linalg.norm(bench.robot.observe().ee_position - target) < 0.004
    for _ in range(10):
        bench.go(goal)
    assert np.linalg.norm(bench.robot.observe().ee_position - goal) < 0.001


def test_gravity_is_compensated(bench):
    bench.world.advance_to(2_000_000_000)
    np.testing.assert_allclose(bench.robot.observe().joint_position, HOME, atol=1e-6)


def test_a_gripper_of_widths_goes_to_the_width_asked_for():
    robot = RIG.robot.model_copy(update={"gripper": "width"})
    bench = Bench(RIG.model_copy(update={"robot": robot}))
    here = bench.robot.observe().ee_position
    for width in (0.0, 0.05, 0.08):
        for _ in range(15):
            bench.go(here, width=width)
        assert bench.robot.observe().gripper_width[0] == pytest.approx(width, abs=1e-3)


def test_a_gripper_that_only_opens_and_closes_does_so_and_says_what_it_did(bench):
    here = bench.robot.observe().ee_position
    # between the two thresholds it keeps what it does, from either side
    for width, becomes in ((0.06, 0.08), (0.04, 0.08), (0.02, 0.0), (0.04, 0.0), (0.05, 0.08)):
        for _ in range(15):
            result = bench.go(here, width=width)
        assert result.gated.gripper_width == width
        assert result.executed.gripper_width == becomes
        assert bench.robot.observe().gripper_width[0] == pytest.approx(becomes, abs=1e-3)


def test_states_are_sampled_at_the_rigs_rate_with_their_own_stamps(bench):
    bench.robot.states.clear()
    bench.world.advance_to(500_000_000)
    stamps = [s.stamp_ns for s in bench.robot.states]
    assert stamps == list(range(10_000_000, 500_000_001, 10_000_000))


def test_an_event_between_two_physics_steps_is_stamped_when_it_happened():
    world, stamps = World(scene_xml()), []
    world.every(30, stamps.append)
    world.start()
    world.advance_to(100_000_000)
    assert stamps == [0, 34_000_000, 67_000_000, 100_000_000]


def test_a_command_that_passed_no_gate_is_refused(bench):
    target = EeTarget(0, bench.robot.observe().ee_position, bench.down, 0.08)
    with pytest.raises(SafetyError):
        bench.robot.command(target)


def test_joint_speed_limits_hold_for_tool_targets(bench):
    start = bench.robot.observe()
    turned = quaternion_to_matrix(start.ee_orientation)
    last = start.joint_position
    for k in range(1, 30):
        angle = min(1.2, 0.1 * k)
        c, s = np.cos(angle), np.sin(angle)
        turn = np.array([[c, -s, 0], [s, c, 0], [0, 0, 1]]) @ turned
        bench.go(start.ee_position, matrix_to_rotation_6d(turn))
        q = bench.robot.observe().joint_position
        assert (np.abs(q - last) <= np.array(RIG.limits.joint_velocity_max) * 0.05 * 1.05).all()
        last = q


def moving_arm() -> Bench:
    """An arm in the middle of a swing, half-way through its last command."""
    bench = Bench()
    start = bench.robot.observe().ee_position
    for k in range(1, 13):
        bench.go(start + np.array([0.0, 0.001 * k * k, 0.0]))
    bench.gate.command(EeTarget(bench.world.now_ns(), start + np.array([0.0, 0.169, 0.0]), bench.down, 0.08))
    bench.world.advance_to(bench.world.now_ns() + PERIOD_NS // 2)
    bench.robot.states.clear()
    assert np.abs(bench.robot.observe().joint_velocity).max() > 0.3
    return bench


def test_stop_slows_down_over_the_rigs_time_and_holds_what_it_measures():
    bench = moving_arm()
    before = bench.robot.observe()
    bench.robot.stop()
    bench.world.advance_to(bench.world.now_ns() + 1_000_000_000)
    speeds = [np.abs(s.joint_velocity).max() for s in bench.robot.states]
    assert speeds[14] > 0.25 * np.abs(before.joint_velocity).max()  # half-way: slowing, not stopped dead
    assert max(speeds[40:]) < 0.01
    predicted = before.joint_position + before.joint_velocity * RIG.watchdog.deceleration_time_s / 2
    held = bench.robot.observe().joint_position
    np.testing.assert_allclose(held, predicted, atol=0.02)
    assert np.abs(held).max() > 1.5  # far from zeros: those are no safe place for an arm
    bench.world.advance_to(bench.world.now_ns() + 1_000_000_000)
    np.testing.assert_allclose(bench.robot.observe().joint_position, held, atol=1e-3)


def test_silence_trips_the_watchdog_and_the_arm_comes_to_rest():
    bench = moving_arm()
    watchdog = Watchdog(bench.gate, RIG.watchdog, bench.world)
    watchdog.feed()
    tripped_ns = None
    begin = bench.world.now_ns()
    while bench.world.now_ns() < begin + 1_000_000_000:
        bench.world.advance_to(bench.world.now_ns() + 10_000_000)
        if watchdog.poll():
            tripped_ns = bench.world.now_ns() - begin
    assert tripped_ns == 210_000_000
    assert np.abs(bench.robot.observe().joint_velocity).max() < 0.01
    assert bench.go(bench.robot.observe().ee_position).trips[0].name == "stopped"
    bench.gate.reset()
    bench.gate.activate()
    assert bench.go(bench.robot.observe().ee_position).gated is not None


def test_a_robot_that_was_pushed_away_holds_where_it_is_and_not_where_it_was_told():
    bench = Bench()
    bench.go(bench.robot.observe().ee_position)
    body = bench.world.model.body("hand").id
    bench.world.data.xfrc_applied[body, 1] = 400.0
    bench.world.advance_to(bench.world.now_ns() + 300_000_000)
    pushed = bench.robot.observe()
    assert np.abs(pushed.joint_position - HOME).max() > 0.02
    bench.gate.stop()
    bench.world.advance_to(bench.world.now_ns() + 50_000_000)
    bench.world.data.xfrc_applied[body, 1] = 0.0
    bench.world.advance_to(bench.world.now_ns() + 1_500_000_000)
    now = bench.robot.observe().joint_position
    assert np.linalg.norm(now - HOME) > 0.3 * np.linalg.norm(pushed.joint_position - HOME)


def test_stop_from_another_thread_is_heeded():
    bench = moving_arm()
    thread = threading.Thread(target=bench.gate.stop)
    thread.start()
    thread.join()
    bench.world.advance_to(bench.world.now_ns() + 500_000_000)
    assert np.abs(bench.robot.observe().joint_velocity).max() < 0.01


def test_joint_targets_are_followed():
    bench = Bench()
    goal = HOME + np.array([0.3, 0.1, -0.1, 0.2, 0.0, 0.1, 0.4])
    for k in range(1, 41):
        q = HOME + (goal - HOME) * (1 - np.cos(np.pi * k / 40)) / 2
        result = bench.gate.command(JointTarget(bench.world.now_ns(), q, 0.04))
        np.testing.assert_allclose(result.executed.position, q, atol=1e-9)
        bench.world.advance_to(bench.world.now_ns() + PERIOD_NS)
    bench.world.advance_to(bench.world.now_ns() + 200_000_000)
    np.testing.assert_allclose(bench.robot.observe().joint_position, goal, atol=2e-3)
