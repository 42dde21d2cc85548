"""Delays of joints and gripper, from motions simulated with known ones."""

import numpy as np
import pytest

from robot_learning.calibration.actuator import actuator_delay
from robot_learning.calibration.camera import CalibrationError
from robot_learning.calibration.gripper import gripper_delay

WITHIN_S = 0.005
STEP_S = 0.0005


def simulated(command_s, commands, end_s, delay_s, lag_s, rate_hz=100, noise=3e-4, seed=0):
    """Times and motion of joints that follow held commands: by Euler's method, not by the fit's own formula."""
    rng = np.random.default_rng(seed)
    fine = np.arange(0, end_s, STEP_S)
    heard = commands[np.clip(np.searchsorted(command_s, fine - delay_s, side="right") - 1, 0, None)]
    motion, x = np.empty_like(heard), heard[0].copy()
    for i, target in enumerate(heard):
        x = x + (target - x) * min(1.0, STEP_S / lag_s) if lag_s else target
        motion[i] = x
    every = round(1 / rate_hz / STEP_S)
    return fine[::every], motion[::every] + rng.normal(0, noise, motion[::every].shape)


def lively(duration_s=10.0, rate_hz=20, seed=0):
    """Commands of two joints: a chirp, and steps."""
    rng = np.random.default_rng(seed)
    t = np.arange(0, duration_s, 1 / rate_hz)
    t = t + rng.normal(0, 1e-3, len(t))
    return t, np.column_stack([0.2 * np.sin(2 * np.pi * (0.3 + 0.1 * t) * t), 0.1 * np.sign(np.sin(4.4 * t))])


@pytest.mark.parametrize(("delay", "lag"), [(0.06, 0.03), (0.0, 0.08), (0.12, 0.0), (0.02, 0.15), (0.2, 0.05)])
def test_delay_and_lag_are_told_apart(delay, lag):
    times, commands = lively()
    at, motion = simulated(times, commands, 10.0, delay, lag)
    found = actuator_delay(times, commands, at, motion + np.array([0.02, -0.01]), ["shoulder", "elbow"])
    assert abs(found.delay_s - delay) < WITHIN_S
    assert abs(found.lag_s - lag) < WITHIN_S
    assert set(found.joints) == {"shoulder", "elbow"}
    assert found.residual < 0.03


def test_joints_that_differ_are_told_one_by_one():
    times, commands = lively()
    a, first = simulated(times, commands[:, :1], 10.0, 0.05, 0.02)
    _, second = simulated(times, commands[:, 1:], 10.0, 0.05, 0.06)
    found = actuator_delay(times, commands, a, np.hstack([first, second]), ["a", "b"])
    assert abs(found.joints["a"][1] - 0.02) < WITHIN_S
    assert abs(found.joints["b"][1] - 0.06) < WITHIN_S


def test_joints_that_were_not_commanded_to_move_are_left_out():
    times, commands = lively()
    commands[:, 1] = 0.3
    at, motion = simulated(times, commands, 10.0, 0.05, 0.02)
    assert set(actuator_delay(times, commands, at, motion, ["a", "b"]).joints) == {"a"}


def test_a_slow_motion_gives_only_the_sum_and_is_refused_with_it():
    t = np.arange(0, 8, 0.01)
    commands = 0.05 * np.sin(2 * np.pi * 0.2 * t)[:, None]
    at, motion = simulated(t, commands, 8.0, 0.06, 0.04, noise=1e-3)
    with pytest.raises(CalibrationError, match=r"can't be told apart: .* their sum is (9\d|10\d) \+- \d+ ms"):
        actuator_delay(t, commands, at, motion, ["a"])


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda t, c, a, m: (t, c * 0.01, a, m * 0.01), r"nothing moved by 0\.01 rad or m as commanded \(a: 0\.00"),
        (lambda t, c, a, m: (t[:10], c[:10], a, m), "10 commands over .* are too few"),
        (lambda t, c, a, m: (t, c, a, m[::-1]), "the motion does not follow the commands"),
        (lambda t, c, a, m: (t[:0], c[:0], a, m), "0 commands over"),
    ],
    ids=["still", "short", "unrelated", "none"],
)
def test_data_that_cant_tell_is_refused(change, says):
    times, commands = lively()
    at, motion = simulated(times, commands, 10.0, 0.06, 0.03)
    with pytest.raises(CalibrationError, match=says):
        actuator_delay(*change(times, commands, at, motion), ["a", "b"])


def fingers(delay_s, speed_m_s, openings=4, pause_s=1.5, noise=1e-4, seed=0):
    """Commanded and measured widths of a gripper that opens and closes."""
    rng = np.random.default_rng(seed)
    end = 2 * openings * pause_s
    command_s = np.arange(0, end, 0.05)
    commanded = np.where((command_s // pause_s) % 2 == 0, 0.08, 0.0)
    fine = np.arange(0, end, STEP_S)
    heard = commanded[np.clip(np.searchsorted(command_s, fine - delay_s, side="right") - 1, 0, None)]
    width, x = np.empty(len(fine)), 0.08
    for i, target in enumerate(heard):
        x += np.clip(target - x, -speed_m_s * STEP_S, speed_m_s * STEP_S)
        width[i] = x
    every = round(0.01 / STEP_S)
    return command_s, commanded, fine[::every], width[::every] + rng.normal(0, noise, len(fine[::every]))


@pytest.mark.parametrize(("delay", "speed"), [(0.08, 0.1), (0.25, 0.1), (0.15, 0.2), (0.4, 0.08)])
def test_the_grippers_delay_is_found(delay, speed):
    found = gripper_delay(*fingers(delay, speed))
    assert abs(found.open_delay_s - delay) < WITHIN_S
    assert abs(found.close_delay_s - delay) < WITHIN_S
    assert found.speed_m_s == pytest.approx(speed, rel=0.05)
    assert len(found.motions) == 7
    assert found.spread_s < WITHIN_S


def test_a_gripper_that_does_not_move_or_is_not_told_to_is_refused():
    command_s, commanded, at, width = fingers(0.1, 0.1)
    with pytest.raises(CalibrationError, match="7 steps were commanded and 0 motions"):
        gripper_delay(command_s, commanded, at, np.full_like(width, 0.04))
    with pytest.raises(CalibrationError, match=r"the commanded width changed by 0\.0 mm"):
        gripper_delay(command_s, np.full_like(commanded, 0.08), at, width)


def test_delays_that_differ_too_much_are_refused():
    command_s, commanded, at, width = fingers(0.1, 0.1)
    late = np.where(at > 6.0, np.interp(at - 0.3, at, width), width)
    with pytest.raises(CalibrationError, match=r"differ by .* ms"):
        gripper_delay(command_s, commanded, at, late)
