import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from streams_in_memory import MS, ArraySource, feature, spec

from robot_learning.data.alignment import NEVER_NS, align, lerp, slerp
from robot_learning.rotation import quaternion_to_matrix, rotation_distance

STAMPS = st.lists(st.integers(0, 2_000), min_size=1, max_size=40).map(lambda v: np.sort(np.array(v)) * MS)
TIMES = st.lists(st.integers(-100, 2_200), min_size=1, max_size=20).map(lambda v: np.array(v) * MS)
METHODS = st.sampled_from(["previous", "nearest", "linear"])
ROLES = st.sampled_from(["observation", "action"])


def ramp(stamp, received=None):
    return ArraySource(stamp, np.asarray(stamp, float)[:, None], received)


@given(stamp=STAMPS, times=TIMES)
def test_previous_is_the_newest_sample_at_or_before(stamp, times):
    got = align(feature("previous", 0.1), spec(), ramp(stamp), times)
    for k, t in enumerate(times):
        past = stamp[stamp <= t]
        if len(past) and t - past[-1] <= 100 * MS:
            assert got.valid[k]
            assert got.values[k, 0] == past[-1]
            assert got.age_ns[k] == t - past[-1]
        else:
            assert not got.valid[k]
            assert got.values[k, 0] == 0


@given(stamp=STAMPS, times=TIMES, method=METHODS, latency=st.lists(st.integers(0, 300), min_size=40, max_size=40))
def test_what_is_received_after_t_has_no_influence_on_an_observation_at_t(stamp, times, method, latency):
    received = np.maximum.accumulate(stamp + np.array(latency[: len(stamp)]) * MS)
    f, s = feature(method, 0.2), spec()
    whole = align(f, s, ramp(stamp, received), times)
    for k, t in enumerate(times):
        known = received <= t
        alone = align(f, s, ramp(stamp[known], received[known]), times[k : k + 1])
        assert alone.valid[0] == whole.valid[k]
        assert alone.values[0] == whole.values[k]
        assert alone.age_ns[0] == whole.age_ns[k]


@given(stamp=STAMPS, times=TIMES, role=ROLES)
def test_previous_never_reads_a_sample_stamped_in_the_future(stamp, times, role):
    early = stamp - 500 * MS  # received before it was stamped: a sensor whose clock is ahead
    got = align(feature("previous", 10.0, role), spec(), ramp(stamp, early), times)
    assert np.all(got.values[got.valid, 0] <= times[got.valid])


@given(stamp=STAMPS, times=TIMES, method=METHODS, role=ROLES, max_age=st.integers(1, 300))
def test_valid_means_that_the_age_is_within_the_maximum(stamp, times, method, role, max_age):
    got = align(feature(method, max_age / 1000, role), spec(), ramp(stamp), times)
    assert np.array_equal(got.valid, got.age_ns <= max_age * MS)
    assert np.all(got.age_ns >= 0)


@given(stamp=STAMPS, times=TIMES, method=METHODS, role=ROLES)
def test_an_instant_has_the_same_value_alone_and_among_others(stamp, times, method, role):
    f, s = feature(method, 0.2, role), spec()
    whole = align(f, s, ramp(stamp), times)
    for k in range(len(times)):
        assert np.array_equal(align(f, s, ramp(stamp), times[k : k + 1]).values[0], whole.values[k])


@given(stamp=STAMPS, times=TIMES)
def test_nearest_action_is_the_nearest_of_all(stamp, times):
    got = align(feature("nearest", 10.0, "action"), spec(), ramp(stamp), times)
    assert got.valid.all()
    assert np.array_equal(np.abs(got.values[:, 0] - times), np.abs(stamp[None] - times[:, None]).min(1))


def test_linear_of_a_ramp_is_exact_one_period_in_the_past():
    stamp = np.arange(100) * 10 * MS
    times = np.array([200, 203, 555, 980]) * MS
    got = align(feature("linear", 0.05), spec(rate_hz=100), ramp(stamp), times)
    assert got.valid.all()
    np.testing.assert_allclose(got.values[:, 0], times - 10 * MS, rtol=1e-12)


def test_linear_action_is_read_at_the_instant_itself():
    stamp = np.arange(100) * 10 * MS
    times = np.array([203, 555]) * MS
    got = align(feature("linear", 0.05, "action"), spec(rate_hz=100), ramp(stamp), times)
    np.testing.assert_allclose(got.values[:, 0], times, rtol=1e-12)


def test_linear_holds_the_last_sample_until_the_maximum_age():
    stamp = np.arange(10) * 10 * MS  # the last at 90 ms
    times = np.array([105, 150, 151]) * MS
    got = align(feature("linear", 0.05), spec(rate_hz=100), ramp(stamp), times)
    assert got.valid.tolist() == [True, True, False]
    assert got.values[:2, 0].tolist() == [90 * MS, 90 * MS]


def test_linear_does_not_bridge_a_gap():
    stamp = np.array([0, 10, 400, 410]) * MS
    got = align(feature("linear", 0.05), spec(rate_hz=100), ramp(stamp), np.array([220]) * MS)
    assert not got.valid[0]
    near_left = align(feature("linear", 0.05), spec(rate_hz=100), ramp(stamp), np.array([50]) * MS)
    assert near_left.valid[0]
    assert near_left.values[0, 0] == 10 * MS


def test_the_first_sample_serves_from_its_arrival_on():
    got = align(feature("linear", 0.05), spec(rate_hz=100), ramp([100 * MS]), np.array([99, 100, 105]) * MS)
    assert got.valid.tolist() == [False, True, True]


def test_an_empty_stream_is_never_valid():
    source = ArraySource(np.zeros(0), np.zeros((0, 3)))
    got = align(feature("linear"), spec((3,)), source, np.array([0, MS]))
    assert got.values.shape == (2, 3)
    assert not got.valid.any()
    assert np.all(got.age_ns == NEVER_NS)


def test_each_sample_is_read_once_and_only_where_needed():
    source = ramp(np.arange(10) * 100 * MS)
    align(feature("previous", 0.1), spec(rate_hz=10), source, np.arange(0, 300, 10) * MS)
    assert source.reads == 3


def test_values_keep_the_streams_dtype_and_shape():
    source = ArraySource([0, MS], np.arange(24, dtype=np.uint8).reshape(2, 2, 2, 3))
    s = spec((2, 2, 3), "rgb", dtype="uint8")
    got = align(feature("previous"), s, source, np.array([MS]))
    assert got.values.dtype == np.uint8
    assert np.array_equal(got.values[0], source.data[1])


UNIT = hnp.arrays(np.float64, (3, 4), elements=st.floats(-1, 1)).filter(
    lambda q: (np.linalg.norm(q, axis=1) > 0.1).all()
)


@settings(deadline=None)
@given(a=UNIT, b=UNIT, w=hnp.arrays(np.float64, 3, elements=st.floats(0, 1)))
def test_slerp_goes_the_short_way_at_constant_speed(a, b, w):
    q = slerp(a, b, w)
    np.testing.assert_allclose(np.linalg.norm(q, axis=1), 1, atol=1e-12)
    A, B, Q = (quaternion_to_matrix(x) for x in (a, b, q))
    np.testing.assert_allclose(rotation_distance(A, Q), w * rotation_distance(A, B), atol=1e-6)
    np.testing.assert_allclose(rotation_distance(Q, B), (1 - w) * rotation_distance(A, B), atol=1e-6)


def test_slerp_keeps_its_precision_where_the_two_nearly_agree():
    angle = 1e-7
    a, b = np.array([[1.0, 0, 0, 0]]), np.array([[np.cos(angle / 2), np.sin(angle / 2), 0, 0]])
    q = slerp(a, b, np.array([0.25]))
    assert 2 * q[0, 1] == pytest.approx(0.25 * angle, rel=1e-6)


def test_slerp_is_used_for_features_that_say_so():
    half = np.sqrt(0.5)
    source = ArraySource([0, 10 * MS], [[1.0, 0, 0, 0], [half, half, 0, 0]])
    s = spec((4,), "quaternion_wxyz", 100)
    got = align(feature("slerp", 0.05), s, source, np.array([15 * MS]))
    np.testing.assert_allclose(got.values[0], [np.cos(np.pi / 8), np.sin(np.pi / 8), 0, 0], atol=1e-12)


def test_lerp_is_exact_at_its_first_end():
    a = np.array([[0.1, 0.7]])
    assert np.array_equal(lerp(a, a + 1 / 3, np.array([0.0])), a)


def test_an_overtaken_sample_is_left_out():
    source = ArraySource([0, 20 * MS, 10 * MS, 30 * MS], [[0.0], [2.0], [1.0], [3.0]])
    got = align(feature("previous", 0.1), spec(), source, np.array([15, 20, 29, 30]) * MS)
    assert got.values[:, 0].tolist() == [0, 2, 2, 3]
