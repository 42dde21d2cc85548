import numpy as np
import pytest
from streams_in_memory import MS, ArraySource, arm_contract, feature, spec

from robot_learning.contract import Contract, Feature
from robot_learning.data.live import LiveBuffer
from robot_learning.data.sample import Sample
from robot_learning.data.windows import StaleObservation, WindowSpec, grid, observe, step_ns
from robot_learning.errors import ContractMismatch, StoreError, UnknownName, UserError


def contract(policy_rate_hz=10.0, rate_hz=10.0, max_age_s=0.1):
    action = Feature(name="action", stream="action_gated", role="action", alignment="nearest", max_age_s=1.0)
    return Contract(
        rig="r", robot="r", policy_rate_hz=policy_rate_hz,
        streams=(spec((1,), rate_hz=rate_hz), spec((1,), rate_hz=rate_hz, name="action_gated")),
        features=(feature("previous", max_age_s), action),
    )  # fmt: skip


def counted(stamp):
    return ArraySource(stamp, np.arange(len(stamp), dtype=float)[:, None])


def test_the_default_window_begins_its_actions_with_the_oldest_observation():
    assert WindowSpec(2, 16).first_action == -1
    assert WindowSpec(2, 16, 0).first_action == 0


@pytest.mark.parametrize(("To", "Tp"), [(0, 1), (1, 0)])
def test_an_empty_window_is_refused(To, Tp):
    with pytest.raises(UserError, match=f"To={To}, Tp={Tp}"):
        WindowSpec(To, Tp)


def test_the_grid_runs_from_the_first_full_observation_to_the_last_action():
    obs = ArraySource([105 * MS, 205 * MS, 305 * MS, 405 * MS], np.zeros((4, 1)))
    sources = {"x": obs, "action_gated": counted(np.array([0, 100, 200, 300]) * MS)}
    times = grid(contract(), sources, ["x", "action"])
    assert (times // MS).tolist() == [200, 300]  # in phase with the actions, not before the first observation


def test_the_grid_without_actions_ends_with_the_last_sample():
    sources = {"x": counted(np.arange(4) * 100 * MS)}
    assert (grid(contract(), sources, ["x"]) // MS).tolist() == [0, 100, 200, 300]


@pytest.mark.parametrize("rate", [30.0, 12.5, 7.0, 60.0, 29.97])
def test_the_grid_keeps_step_with_a_simulator_at_rates_that_nanoseconds_cannot_divide(rate):
    c = contract(rate, rate)
    stamp = np.round(np.arange(900) * 1e9 / rate).astype(np.int64)
    sources = {"x": counted(stamp), "action_gated": counted(stamp)}
    times = grid(c, sources, ["x", "action"])
    assert len(times) == 900
    for k in (0, 1, 2, 450, 899):
        assert observe(c, sources, int(times[k]), 1, ["x"])["x"][0, 0] == k


def test_a_missing_stream_of_an_episode_is_named():
    with pytest.raises(StoreError, match="feature 'x' has no samples"):
        grid(contract(), {"action_gated": counted([0])}, ["x", "action"])
    with pytest.raises(StoreError, match="'action_gated' has no actions"):
        grid(contract(), {"x": counted([0])}, ["x", "action"])


def test_observe_gives_the_oldest_first():
    sources = {"x": counted(np.arange(6) * 100 * MS)}
    assert observe(contract(), sources, 500 * MS, 3, ["x"])["x"][:, 0].tolist() == [3, 4, 5]


def test_at_an_episodes_start_the_first_grid_time_is_repeated():
    sources = {"x": counted(np.arange(6) * 100 * MS)}
    assert observe(contract(), sources, 100 * MS, 4, ["x"])["x"][:, 0].tolist() == [0, 0, 0, 1]


def test_a_stale_observation_names_feature_and_age():
    sources = {"x": counted(np.arange(6) * 100 * MS)}
    with pytest.raises(StaleObservation, match=r"feature 'x' \(stream 'x'\) is 0.35 s old; at most 0.1 s") as caught:
        observe(contract(), sources, 850 * MS, 1, ["x"])
    assert caught.value.feature == "x"
    assert caught.value.age_s == pytest.approx(0.35)


def test_an_observation_that_never_came_is_named():
    with pytest.raises(StaleObservation, match=r"'x'.*has no sample yet"):
        observe(contract(), {}, 0, 1, ["x"])
    with pytest.raises(StaleObservation, match=r"'x'.*has no sample yet"):
        observe(contract(), {"x": counted([100 * MS])}, 50 * MS, 1, ["x"])


def test_the_step_is_rounded_up():
    assert step_ns(contract(30.0)) == 33_333_334


def sample(stamp, value, stream="x"):
    return Sample(stream, stamp * MS, stamp * MS, stamp, np.array([float(value)]))


def test_a_live_buffer_is_bounded_in_time_and_in_count():
    buffer = LiveBuffer(contract(), seconds=1.0)
    buffer.extend(sample(100 * k, k) for k in range(10_000))
    assert len(buffer.sources["x"].stamp) < 20
    buffer.clear()
    buffer.extend(Sample("x", 5, 5, k, np.zeros(1)) for k in range(10_000))  # a clock that stands still
    assert len(buffer.sources["x"].stamp) < 40


def test_what_a_live_buffer_gave_is_not_changed_by_later_samples():
    buffer = LiveBuffer(contract(), seconds=0.2)
    buffer.extend([sample(0, 0), sample(100, 1)])
    before = buffer.sources
    buffer.extend(sample(100 * k, k) for k in range(2, 100))
    assert observe(contract(), before, 100 * MS, 2, ["x"])["x"][:, 0].tolist() == [0, 1]


def test_a_window_longer_than_the_live_buffer_is_stale_rather_than_padded():
    buffer = LiveBuffer(contract(), seconds=0.1)
    buffer.extend(sample(100 * k, k) for k in range(100))
    assert observe(contract(), buffer.sources, 9900 * MS, 2, ["x"])["x"][:, 0].tolist() == [98, 99]
    with pytest.raises(StaleObservation):
        observe(contract(), buffer.sources, 9900 * MS, 12, ["x"])


def test_overtaken_samples_are_left_out_and_counted():
    buffer = LiveBuffer(contract(), seconds=1.0)
    buffer.extend([sample(100, 1), sample(50, 7), sample(200, 2)])
    assert (buffer.sources["x"].stamp // MS).tolist() == [100, 200]
    assert buffer.late == {"x": 1}


def test_a_live_buffer_refuses_foreign_streams_and_shapes():
    buffer = LiveBuffer(arm_contract(), seconds=1.0)
    with pytest.raises(UnknownName, match="did you mean 'position'"):
        buffer.extend([sample(0, 0, "positions")])
    with pytest.raises(ContractMismatch, match=r"'position' has shape \(1,\), the contract says \(2,\)"):
        buffer.extend([sample(0, 0, "position")])


def test_a_live_buffer_keeps_no_streams_that_policies_do_not_observe():
    buffer = LiveBuffer(contract(), seconds=1.0)
    buffer.extend([sample(0, 0, "action_gated")])
    assert set(buffer.sources) == {"x"}
