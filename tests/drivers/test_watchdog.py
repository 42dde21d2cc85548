import numpy as np
from plain_robot import DOWN_6D, START, PlainRobot

from robot_learning.clock import FakeClock
from robot_learning.drivers.braking import Braking
from robot_learning.drivers.gate import Gate
from robot_learning.drivers.interfaces import EeTarget
from robot_learning.drivers.watchdog import Watchdog
from robot_learning.rig import WatchdogConfig, load_rig

CONFIG = WatchdogConfig(timeout_s=0.2, deceleration_time_s=0.3)


def bench():
    clock = FakeClock(10**10)
    robot = PlainRobot(clock)
    gate = Gate(robot, load_rig("panda_sim").limits, clock, 20)
    gate.activate()
    return clock, robot, gate, Watchdog(gate, CONFIG, clock)


def send(clock, gate):
    return gate.command(EeTarget(clock.now_ns(), START, DOWN_6D, 0.08))


def test_commands_that_keep_coming_keep_the_robot_active():
    clock, robot, gate, watchdog = bench()
    for _ in range(100):
        clock.advance(0.1)
        assert send(clock, gate).gated is not None
        watchdog.feed()
        assert not watchdog.poll()
    assert robot.stops == 0


def test_silence_stops_the_robot_once_and_latches():
    clock, robot, gate, watchdog = bench()
    clock.advance(0.05)
    send(clock, gate)
    watchdog.feed()
    clock.advance(0.2)
    assert not watchdog.poll()  # the last moment that is allowed
    clock.advance(0.001)
    assert watchdog.poll()
    assert robot.stops == 1
    assert gate.trips == {"watchdog": 1}
    assert gate.stop_reason == "watchdog"
    clock.advance(1)
    assert not watchdog.poll()
    assert robot.stops == 1
    assert send(clock, gate).trips[0].name == "stopped"


def test_silence_from_the_start_stops_too():
    clock, robot, _, watchdog = bench()
    assert not watchdog.poll()
    clock.advance(0.21)
    assert watchdog.poll()
    assert robot.stops == 1


def test_an_inactive_gate_is_left_alone_and_a_new_activation_starts_the_count_anew():
    clock, robot, gate, watchdog = bench()
    watchdog.feed()
    clock.advance(0.3)
    assert watchdog.poll()
    gate.reset()
    clock.advance(5)
    assert not watchdog.poll()
    gate.activate()
    assert not watchdog.poll()
    clock.advance(0.1)
    assert not watchdog.poll()
    assert robot.stops == 1


def test_braking_starts_at_the_measured_motion_and_ends_at_rest():
    q, v = np.array([0.3, -1.0]), np.array([0.8, -0.4])
    braking = Braking(q, v, 1_000_000_000, 0.3)
    position, velocity = braking.at(1_000_000_000)
    np.testing.assert_array_equal(position, q)
    np.testing.assert_array_equal(velocity, v)
    position, velocity = braking.at(braking.end_ns + 10**9)
    np.testing.assert_allclose(position, q + v * 0.3 / 2)
    np.testing.assert_array_equal(velocity, 0)


def test_braking_decelerates_evenly():
    braking = Braking(np.zeros(1), np.ones(1), 0, 0.3)
    times = np.arange(0, 300_000_001, 10_000_000)
    position, velocity = (np.array(x)[:, 0] for x in zip(*(braking.at(int(t)) for t in times), strict=True))
    np.testing.assert_allclose(np.diff(velocity) / 0.01, -1 / 0.3)
    np.testing.assert_allclose(np.diff(position) / 0.01, (velocity[1:] + velocity[:-1]) / 2)
