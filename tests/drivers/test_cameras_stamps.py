"""A device's clock as ours, and its frame numbers as one count."""

import numpy as np
import pytest

from robot_learning.clock import NS_PER_S
from robot_learning.drivers.cameras.stamps import DeviceTime, FrameCount, Rising

MS = 1_000_000
PERIOD_MS = 1e3 / 30


def arrivals(delays_ms, start_ms=50.0, ours_ms=1_000_000.0, drift=0.0, period_ms=PERIOD_MS):
    """Device stamps [ms] and when frames came [ns], for a delay of each frame."""
    for n, delay in enumerate(delays_ms):
        taken = n * period_ms
        yield start_ms + taken * (1 + drift), round((ours_ms + taken + delay) * MS)


def test_jitter_of_arrival_does_not_reach_the_stamps():
    delays = 5 + np.random.default_rng(0).gamma(1.5, 4, 600)  # transport takes 5 ms at least
    time = DeviceTime()
    stamps = np.array([time.map(*frame) for frame in arrivals(delays)])
    truth = (1_000_000 + np.arange(600) * PERIOD_MS) * MS
    late_ms = (stamps - truth) / MS
    assert (np.diff(stamps) > 0).all()
    assert late_ms[100:].min() >= 5
    assert late_ms[100:].max() < 5.5  # what is left is the shortest delay, the same for all
    assert (stamps[100:] - truth[100:]).std() < 0.1 * np.std(delays) * MS


def test_clocks_that_drift_apart_are_followed():
    delays = 5 + np.random.default_rng(1).gamma(1.5, 2, 9000)  # five minutes
    time = DeviceTime()
    stamps = np.array([time.map(*frame) for frame in arrivals(delays, drift=-1e-4)])  # the device's clock is slow
    late_ms = (stamps - (1_000_000 + np.arange(9000) * PERIOD_MS) * MS) / MS
    assert late_ms[300:].min() > 4
    assert late_ms[300:].max() < 7


@pytest.mark.parametrize("frame", [(900, 0.0), (300, 5.0)], ids=["restart", "nearly"])
def test_a_device_that_begins_anew_is_mapped_anew(frame):
    time = DeviceTime()
    last = [time.map(*f) for f in arrivals([5] * 60, start_ms=10_000)][-1]
    stamp = time.map(frame[1], last + 700 * MS)
    assert stamp == last + 700 * MS


def test_a_counter_of_microseconds_in_32_bits_goes_on_where_it_wraps():
    wrap_ms = 2**32 / 1e3
    time, stamps = DeviceTime(), []
    for device_ms, arrived in arrivals([5] * 90, start_ms=wrap_ms - 1000):
        stamps.append(time.map(device_ms % wrap_ms, arrived))
    assert np.abs(np.diff(stamps) - PERIOD_MS * MS).max() < 1000


def test_a_device_that_stood_still_is_not_stamped_in_the_past():
    time = DeviceTime()
    for frame in arrivals([5] * 60):
        last = time.map(*frame)
    # Our machine slept: its clock went on by 30 s, the device's by one period.
    device_ms = 50 + 60 * PERIOD_MS
    arrived = last + 30 * NS_PER_S
    assert time.map(device_ms, arrived) == arrived


def test_stamps_rise_unless_our_own_clock_was_set_back():
    rising = Rising()
    start = 1000 * NS_PER_S
    assert [rising(start + n) for n in (0, 30, 10, 50)] == [start, start + 30, start + 31, start + 50]
    assert rising(start - 3600 * NS_PER_S) == start - 3600 * NS_PER_S
    assert rising(start - 3600 * NS_PER_S + 30) == start - 3600 * NS_PER_S + 30


def test_frame_numbers_are_one_count_with_the_devices_holes():
    count = FrameCount()
    assert [count.see(n) for n in (7, 8, 11, 12)] == [7, 8, 11, 12]
    assert (count.frames, count.missing) == (4, 2)
    assert [count.see(n) for n in (1, 2, 4)] == [13, 14, 16]  # the device counts anew
    assert count.missing == 3
    count.restart()
    assert [count.see(n) for n in (90, 91)] == [17, 18]  # after a connection, whatever it lost meanwhile
    assert count.missing == 3
