"""What the arm is told at each millisecond: between targets, near the arm, to rest; and when its states were."""

import numpy as np
import pytest

from robot_learning.drivers.franka.reference import STRETCH, Clips, Coming, JointPath, Reference, ToolPath, near
from robot_learning.drivers.franka.stamps import RobotTime
from robot_learning.rotation import matrix_to_rotation_vector, rotation_vector_to_matrix

PERIOD = 0.05
MS = 1_000_000


def clips(negative=(0.01, 0.02, 0.03), positive=(0.04, 0.05, 0.06), negative_rad=0.1, positive_rad=0.2):
    return Clips(np.array(negative), np.array(positive), np.full(3, negative_rad), np.full(3, positive_rad))


def at_rest(position=(0, 0, 0), rotation=None):
    return Reference(np.array(position, float), np.eye(3) if rotation is None else rotation, np.zeros(3), np.zeros(3))


def test_between_two_targets_the_reference_moves_at_constant_speed_and_says_how_fast():
    path = ToolPath(np.zeros(3), np.eye(3), PERIOD)
    turn = rotation_vector_to_matrix(np.array([0, 0, 0.3]))
    path.to(np.array([0.01, 0, 0]), turn, 10.0)
    half = path.at(10.0 + PERIOD * STRETCH / 2)
    assert np.allclose(half.position, [0.005, 0, 0])
    assert np.allclose(matrix_to_rotation_vector(half.rotation), [0, 0, 0.15])
    assert np.allclose(half.velocity, [0.01 / (PERIOD * STRETCH), 0, 0])
    assert np.allclose(half.angular_velocity, [0, 0, 0.3 / (PERIOD * STRETCH)])
    end = path.at(11.0)
    assert np.allclose(end.position, [0.01, 0, 0])
    assert np.allclose(end.rotation, turn)
    assert not end.velocity.any()
    assert not end.angular_velocity.any()


def test_steady_targets_make_a_reference_without_rest_or_jumps():
    path = ToolPath(np.zeros(3), np.eye(3), PERIOD)
    speed, positions, velocities = 0.2, [], []
    late = np.random.default_rng(0).uniform(0, 0.004, 40)  # targets jitter
    ticks = iter([i * PERIOD + j for i, j in enumerate(late)] + [1e9])
    due = next(ticks)
    for ms in range(1, 1900):
        if ms / 1000 > due:
            path.to(np.array([speed * ms / 1000, 0, 0]), np.eye(3), ms / 1000)
            due = next(ticks)
        now = path.at(ms / 1000)
        positions.append(now.position[0])
        velocities.append(now.velocity[0])
    steps = np.diff(positions[200:])
    assert (steps > 0).all()
    assert steps.max() < 1.2 * speed / 1000
    assert min(velocities[200:]) > 0.8 * speed


def test_joints_likewise():
    path = JointPath(np.zeros(7), PERIOD)
    path.to(np.full(7, 0.1), 1.0)
    q, dq = path.at(1.0 + PERIOD * STRETCH / 4)
    assert np.allclose(q, 0.025)
    assert np.allclose(dq, 0.1 / (PERIOD * STRETCH))
    q, dq = path.at(2.0)
    assert np.allclose(q, 0.1)
    assert not dq.any()


def test_a_stop_decelerates_constantly_from_the_measured_motion():
    measured = Reference(np.array([1.0, 0, 0]), np.eye(3), np.array([0.2, 0, 0]), np.array([0, 0.5, 0]))
    coming = Coming(measured, 5.0, 0.4)
    assert np.allclose(coming.at(5.0).velocity, measured.velocity)
    assert np.allclose(coming.at(5.2).velocity, [0.1, 0, 0])
    end = coming.at(6.0)
    assert np.allclose(end.position, [1.0 + 0.2 * 0.4 / 2, 0, 0])
    assert np.allclose(matrix_to_rotation_vector(end.rotation), [0, 0.5 * 0.4 / 2, 0])
    assert not end.velocity.any()
    speeds = [coming.at(5 + t).velocity[0] for t in np.arange(0, 0.4, 0.001)]
    assert np.allclose(np.diff(speeds), -0.2 / 400)


def test_each_axis_and_each_sign_has_its_own_clip():
    for sign, expected in ((1, [0.04, 0.05, 0.06]), (-1, [-0.01, -0.02, -0.03])):
        far = at_rest(sign * np.ones(3))
        held, limited = clips().near(far, np.zeros(3), np.eye(3))
        assert limited
        assert np.allclose(held.position, expected)


def test_rotations_are_clipped_about_the_base_frames_axes():
    measured = rotation_vector_to_matrix(np.array([0.4, -0.2, 0.1]))
    for turn, expected in (([0, 0, 0.5], [0, 0, 0.2]), ([0, -0.5, 0], [0, -0.1, 0])):
        far = at_rest(rotation=rotation_vector_to_matrix(np.array(turn, float)) @ measured)
        held, limited = clips().near(far, np.zeros(3), measured)
        assert limited
        assert np.allclose(matrix_to_rotation_vector(held.rotation @ measured.T), expected)


def test_what_is_near_passes_unchanged():
    reference = Reference(np.array([0.005, -0.005, 0]), np.eye(3), np.ones(3), np.ones(3))
    held, limited = clips().near(reference, np.zeros(3), np.eye(3))
    assert held is reference
    assert not limited


def test_an_axis_that_is_clipped_is_not_pushed_by_the_damping_either():
    reference, velocity, limited = near(
        np.array([1.0, 0.0]), np.array([0.3, 0.3]), np.zeros(2), np.full(2, 0.1), np.full(2, 0.1)
    )
    assert limited
    assert np.allclose(reference, [0.1, 0.0])
    assert np.allclose(velocity, [0.0, 0.3])


def test_stamps_are_the_shortest_delay_after_the_robots_own():
    random, stamps = np.random.default_rng(0), RobotTime()
    truth, made = [], []
    for ms in range(0, 3000, 5):
        true_ns = 7_000_000_000 + ms * MS
        made.append(stamps.stamp(ms, true_ns + int(random.exponential(2 * MS)) + 100_000))
        truth.append(true_ns)
    error = np.array(made[50:]) - np.array(truth[50:])
    assert (np.diff(made) > 0).all()
    assert np.abs(error).max() < 1 * MS


@pytest.mark.parametrize("rate", [1 - 1e-4, 1 + 1e-4, 0.95])
def test_a_robots_clock_that_runs_slow_or_fast_is_followed(rate):
    stamps = RobotTime()
    for step in range(4000):
        received = 5_000_000_000 + step * 5 * MS
        stamp = stamps.stamp(int(step * 5 * rate), received)
        assert 0 <= received - stamp < 15 * MS


def test_a_robot_that_restarts_or_jumps_begins_anew_and_stamps_only_grow():
    stamps, made = RobotTime(), []
    for step, robot_ms in enumerate([10_000, 10_005, 10_010, 0, 5, 10, 900_000, 900_005]):
        received = 1_000_000_000 + step * 5 * MS
        made.append(stamps.stamp(robot_ms, received))
        assert made[-1] <= received
        assert received - made[-1] < 5 * MS
    assert (np.diff(made) > 0).all()
