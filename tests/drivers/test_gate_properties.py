"""Nothing that leaves the gate breaks a limit, whatever enters."""

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from plain_robot import DOWN_6D, HOME, PlainRobot

from robot_learning.clock import FakeClock
from robot_learning.drivers.gate import Gate
from robot_learning.drivers.interfaces import EeTarget, JointTarget
from robot_learning.errors import SafetyError
from robot_learning.rig import load_rig
from robot_learning.rotation import (
    matrix_to_rotation_6d,
    matrix_to_rotation_vector,
    rotation_6d_to_matrix,
    rotation_distance,
    rotation_vector_to_matrix,
)

CLIP = load_rig("panda_sim").limits
REFUSE = CLIP.model_copy(update={"on_violation": "refuse"})
PERIOD_S = 0.05
SLACK = 1 + 1e-6

intervals = st.sampled_from([0.0, 1e-4, 0.003, 0.03, 0.05, 0.05, 0.05, 0.05, 0.07, 0.3])
numbers = st.one_of(st.floats(), st.floats(-1, 1))


def commands(count: int) -> st.SearchStrategy:
    """(seconds waited, age, kind, values, rotation, width): four of five are targets that a robot could be sent.

    Kinds: `step` is relative to the last target that passed, `go` is a fixed place; both long ones and short.
    Each comes several times in a row, so that speed builds up.
    """
    sane = st.tuples(
        st.integers(1, 15),
        intervals,
        st.just(0.0),
        st.sampled_from(["step", "step", "go"]),
        st.one_of(*(st.lists(st.floats(-x, x), min_size=count, max_size=count) for x in (0.02, 0.1, 2.0))),
        st.lists(st.floats(-0.2, 0.2), min_size=6, max_size=6),
        st.floats(0, 0.08),
    )
    mad = st.tuples(
        st.just(1),
        intervals,
        st.sampled_from([0.0, 0.1, 0.25, -0.5]),
        st.sampled_from(["step", "go"]),
        st.lists(numbers, min_size=count - 1, max_size=count),
        st.lists(numbers, min_size=6, max_size=6),
        numbers,
    )
    return st.lists(st.one_of(sane, sane, sane, sane, mad), min_size=2, max_size=12).map(
        lambda runs: [rest for times, *rest in runs for _ in range(times)]
    )


def place(kind: str, values: list[float], base: np.ndarray) -> np.ndarray:
    """The values of a target near `base`, or the values themselves."""
    return base + values if kind == "step" and len(values) == len(base) else np.array(values)


def braked(velocity: np.ndarray, size: np.ndarray, loss: np.ndarray) -> np.ndarray:
    """What is left of a velocity that braked for a while."""
    return velocity * np.maximum(0.0, 1 - loss / np.maximum(size, 1e-12))


class Checker:
    """Runs commands through a gate and compares each output with the one before."""

    def __init__(self, limits, follows):
        self.clock = FakeClock(10**10)
        self.robot = PlainRobot(self.clock, follows)
        self.gate = Gate(self.robot, limits, self.clock, 1 / PERIOD_S)
        self.gate.activate()
        self.last_ns = self.clock.now_ns()

    def send(self, target):
        """The gated target and the seconds since the last one that passed, or None."""
        before = len(self.robot.commands)
        measured = self.robot.observe()
        try:
            result = self.gate.command(target)
        except SafetyError:
            result = None
        if result is None or result.gated is None:
            assert len(self.robot.commands) == before
            return None
        assert self.robot.commands[-1] is result.gated
        assert np.isfinite(result.gated.position).all()
        assert CLIP.gripper_width_min_m <= result.gated.gripper_width <= CLIP.gripper_width_max_m
        assert 0 <= self.clock.now_ns() - target.stamp_ns <= CLIP.command_age_max_s * 1e9
        elapsed = (self.clock.now_ns() - self.last_ns) / 1e9 if before else PERIOD_S
        self.last_ns = self.clock.now_ns()
        return result.gated, elapsed, measured


@pytest.mark.parametrize("limits", [CLIP, REFUSE], ids=["clip", "refuse"])
@settings(max_examples=60, deadline=None, derandomize=True)
@given(
    sequence=commands(3),
    follows=st.sampled_from([1.0, 0.5, 0.0]),
)
def test_no_tool_target_breaks_a_limit(limits, sequence, follows):
    check = Checker(limits, follows)
    position, rotation = check.robot.position.copy(), check.robot.rotation.copy()
    velocity, angular = np.zeros(3), np.zeros(3)
    low, high = np.array(limits.workspace_min_m), np.array(limits.workspace_max_m)
    a, alpha = limits.ee_acceleration_max_m_s2, limits.ee_angular_acceleration_max_rad_s2
    check.send(EeTarget(check.last_ns, position, DOWN_6D, 0.08))
    for wait_s, age_s, kind, p, r, width in sequence:
        check.clock.advance(wait_s)
        stamp = check.clock.now_ns() - round(age_s * 1e9)
        wanted = DOWN_6D + r if kind == "go" else matrix_to_rotation_6d(rotation) + 0.2 * np.array(r)
        passed = check.send(EeTarget(stamp, place(kind, p, position), wanted, width))
        if passed is None:
            continue
        gated, elapsed, measured = passed
        dt = min(elapsed, PERIOD_S)
        assert ((gated.position >= low) & (gated.position <= high)).all()
        v = (gated.position - position) / dt
        assert np.linalg.norm(v) <= limits.ee_speed_max_m_s * SLACK + 1e-6
        rest = braked(velocity, np.linalg.norm(velocity), a * (elapsed - dt))
        assert np.linalg.norm(v - rest) <= a * dt * SLACK + 1e-5
        stop = gated.position + v * np.linalg.norm(v) / (2 * a)
        assert ((stop >= low - 1e-6) & (stop <= high + 1e-6)).all()
        away, before = (np.linalg.norm(x - measured.ee_position) for x in (gated.position, position))
        assert away <= max(limits.tracking_distance_max_m, before) + 1e-9
        R = rotation_6d_to_matrix(gated.rotation_6d)
        columns = gated.rotation_6d.reshape(2, 3)
        np.testing.assert_allclose(columns @ columns.T, np.eye(2), atol=1e-9)
        w = matrix_to_rotation_vector(R @ rotation.T) / dt
        assert np.linalg.norm(w) <= limits.ee_angular_speed_max_rad_s * SLACK + 1e-5
        rest = braked(angular, np.linalg.norm(angular), alpha * (elapsed - dt))
        assert np.linalg.norm(w - rest) <= alpha * dt * SLACK + 1e-3
        position, rotation, velocity, angular = gated.position, R, v, w


@pytest.mark.parametrize("limits", [CLIP, REFUSE], ids=["clip", "refuse"])
@settings(max_examples=50, deadline=None, derandomize=True)
@given(
    sequence=commands(7),
    follows=st.sampled_from([1.0, 0.5, 0.0]),
)
def test_no_joint_target_breaks_a_limit(limits, sequence, follows):
    check = Checker(limits, follows)
    position, velocity = HOME.copy(), np.zeros(7)
    low, high = np.array(limits.joint_position_min), np.array(limits.joint_position_max)
    speed, a = np.array(limits.joint_velocity_max), np.array(limits.joint_acceleration_max)
    check.send(JointTarget(check.last_ns, position, 0.08))
    for wait_s, age_s, kind, p, _, width in sequence:
        check.clock.advance(wait_s)
        stamp = check.clock.now_ns() - round(age_s * 1e9)
        passed = check.send(JointTarget(stamp, place(kind, p, position), width))
        if passed is None:
            continue
        gated, elapsed, _ = passed
        assert ((gated.position >= low) & (gated.position <= high)).all()
        dt = min(elapsed, PERIOD_S)
        v = (gated.position - position) / dt
        assert (np.abs(v) <= speed * SLACK + 1e-6).all()
        rest = braked(velocity, np.abs(velocity), a * (elapsed - dt))
        assert (np.abs(v - rest) <= a * dt * SLACK + 1e-5).all()
        stop = gated.position + v * np.abs(v) / (2 * a)
        assert ((stop >= low - 1e-6) & (stop <= high + 1e-6)).all()
        position, velocity = gated.position, v


@settings(max_examples=40, deadline=None, derandomize=True)
@given(
    goal=st.tuples(st.floats(0.25, 0.75), st.floats(-0.4, 0.4), st.floats(0.005, 0.6)),
    waits=st.lists(st.sampled_from([0.003, 0.01, 0.02, 0.05, 0.05, 0.08]), min_size=3, max_size=20),
)
def test_a_constant_target_is_reached_without_overshoot_at_any_intervals(goal, waits):
    check = Checker(CLIP, 1.0)
    start, goal = check.robot.position.copy(), np.array(goal)
    total = np.linalg.norm(goal - start)
    if total < 0.02:
        return  # within one step it is passed on as it is
    along = (goal - start) / total
    check.clock.advance(0.05)
    check.gate.command(EeTarget(check.clock.now_ns(), start, DOWN_6D, 0.08))
    arrived = 0
    for wait_s in itertools.islice(itertools.cycle(waits), 3000):
        check.clock.advance(wait_s)
        gated = check.gate.command(EeTarget(check.clock.now_ns(), goal, DOWN_6D, 0.08)).gated
        assert (gated.position - start) @ along <= total + 1e-9
        arrived = arrived + 1 if np.array_equal(gated.position, goal) else 0
        if arrived == 5:
            return
    pytest.fail(f"still {np.linalg.norm(gated.position - goal)} m away")


@settings(max_examples=25, deadline=None, derandomize=True)
@given(angle=st.floats(0.2, 3.1), axis=st.sampled_from([0, 1, 2]), wait_s=st.sampled_from([0.01, 0.05]))
def test_a_constant_rotation_is_reached_without_overshoot(angle, axis, wait_s):
    check = Checker(CLIP, 1.0)
    start = check.robot.rotation.copy()
    goal = rotation_vector_to_matrix(np.eye(3)[axis] * angle) @ start
    position = check.robot.position.copy()
    check.clock.advance(0.05)
    check.gate.command(EeTarget(check.clock.now_ns(), position, DOWN_6D, 0.08))
    left = angle
    for _ in range(2000):
        check.clock.advance(wait_s)
        gated = check.gate.command(EeTarget(check.clock.now_ns(), position, matrix_to_rotation_6d(goal), 0.08)).gated
        now = rotation_distance(rotation_6d_to_matrix(gated.rotation_6d), goal)
        assert now <= left + 1e-6  # nearer at every step: it never swings through
        left = now
        if left < 1e-8:
            return
    pytest.fail(f"still {left} rad away")
