"""Clocks: the fake one obeys, the real one never runs backwards."""

import pytest

from robot_learning.clock import FakeClock, SystemClock


def test_a_fake_clock_moves_only_when_told():
    clock = FakeClock(5)
    assert clock.now_ns() == clock.now_ns() == 5
    clock.advance(1.5)
    assert clock.now_ns() == 1_500_000_005
    clock.sleep_until(10)  # the past is no reason to go back
    assert clock.now_ns() == 1_500_000_005
    with pytest.raises(ValueError, match="backwards"):
        clock.advance(-1)


def test_the_system_clock_does_not_run_backwards_and_sleeps_long_enough():
    clock = SystemClock()
    stamps = [clock.now_ns() for _ in range(1000)]
    assert stamps == sorted(stamps)
    due = clock.now_ns() + 2_000_000
    clock.sleep_until(due)
    assert clock.now_ns() >= due
