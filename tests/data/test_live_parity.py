"""One recorded episode, seen live and in training: the windows are the same, bit for bit."""

import numpy as np
import pytest
from streams_in_memory import arm_contract, arm_samples

from robot_learning.data.cache import TrainingCache, Windows
from robot_learning.data.images import resize
from robot_learning.data.live import LiveBuffer
from robot_learning.data.store import Store
from robot_learning.data.windows import StaleObservation, WindowSpec, observe
from robot_learning.data.writer import EpisodeWriter

OBSERVATIONS = ["position", "orientation", "camera", "gripper"]
TO = 3


def record(path, samples, contract):
    writer = EpisodeWriter(Store.create(path), contract, {"task": "t", "operator": "", "provenance": {}})
    writer.append(samples)
    writer.seal("success", "test")
    return Store.open(path)


@pytest.fixture(scope="module")
def episode(tmp_path_factory):
    contract = arm_contract()
    samples = arm_samples(contract, seconds=3.0)
    return contract, samples, record(tmp_path_factory.mktemp("parity") / "store", samples, contract)


def live_windows(contract, samples, times, size=None):
    """Feed samples as they arrive and observe at each grid time, knowing nothing of what comes later."""
    buffer = LiveBuffer(contract, seconds=(TO - 1) / contract.policy_rate_hz)
    waiting = iter(samples)
    following = next(waiting)
    for now in times:
        while following is not None and following.received_ns <= now:
            buffer.extend([following])
            following = next(waiting, None)
        try:
            yield observe(contract, buffer.sources, int(now), TO, OBSERVATIONS)
        except StaleObservation as error:
            yield error


def test_live_windows_equal_training_windows(episode, tmp_path):
    contract, samples, store = episode
    cache = TrainingCache.build(store, [*OBSERVATIONS, "action"], root=tmp_path, progress=False)
    windows = Windows(cache, WindowSpec(TO, 4), OBSERVATIONS, ["action"])
    batch = windows.batch(np.arange(len(windows)))["observation"]
    trained = {int(row): i for i, row in enumerate(windows.rows)}
    assert len(trained) > 40
    for row, live in enumerate(live_windows(contract, samples, cache.times)):
        if row not in trained:
            assert isinstance(live, StaleObservation)  # refused live, left out of training
            continue
        for name in OBSERVATIONS:
            expected = live[name] if name == "camera" else live[name].astype(np.float32)
            assert np.array_equal(batch[name][trained[row]], expected), (name, row)


def test_the_fixture_holds_what_makes_parity_hard(episode):
    _contract, _samples, store = episode
    streams = store.episodes()[0].streams
    for name in OBSERVATIONS:
        assert (streams[name].received - streams[name].stamp).min() > 0
        assert np.diff(streams[name].sequence).max() > 1  # lost samples
        assert np.ptp(np.diff(streams[name].stamp)) > 0  # jitter


def test_resized_images_equal_live_ones_resized_by_the_same_function(episode, tmp_path):
    contract, samples, store = episode
    cache = TrainingCache.build(store, [*OBSERVATIONS, "action"], image_size=(4, 5), root=tmp_path, progress=False)
    windows = Windows(cache, WindowSpec(TO, 4), OBSERVATIONS, ["action"])
    for row, live in enumerate(live_windows(contract, samples, cache.times)):
        if row == windows.rows[20]:
            assert np.array_equal(windows.batch([20])["observation"]["camera"][0], resize(live["camera"], (4, 5)))


def test_observing_the_stored_episode_equals_observing_live(episode):
    contract, samples, store = episode
    streams = store.episodes()[0].streams
    times = samples[0].stamp_ns + np.arange(200_000_000, 2_800_000_000, 37_000_000)  # off the grid, too
    for now, live in zip(times, live_windows(contract, samples, times), strict=True):
        if isinstance(live, StaleObservation):
            with pytest.raises(StaleObservation, match=live.feature):
                observe(contract, streams, int(now), TO, OBSERVATIONS)
            continue
        stored = observe(contract, streams, int(now), TO, OBSERVATIONS)
        for name in OBSERVATIONS:
            assert np.array_equal(stored[name], live[name])
