import json
import os
import shutil
from types import SimpleNamespace

import numpy as np
import pytest
from streams_in_memory import MS, arm_contract, arm_samples, feature, spec

from robot_learning.contract import Contract, Feature
from robot_learning.data.cache import TrainingCache, Windows
from robot_learning.data.edits import edit
from robot_learning.data.images import resize
from robot_learning.data.sample import Sample
from robot_learning.data.store import Store, Stream
from robot_learning.data.windows import WindowSpec
from robot_learning.data.writer import EpisodeWriter
from robot_learning.errors import ContractMismatch, StoreError, UnknownName, UserError

FEATURES = ["position", "camera", "action"]


def contract(max_age_s=0.1):
    action = Feature(name="action", stream="action_gated", role="action", alignment="nearest", max_age_s=0.02)
    return Contract(
        rig="r", robot="r", policy_rate_hz=10,
        streams=(spec((1,), rate_hz=10), spec((1,), rate_hz=10, name="action_gated")),
        features=(feature("previous", max_age_s), action),
    )  # fmt: skip


def add(store, c, samples):
    writer = EpisodeWriter(store, c, {"task": "t"})
    writer.append(samples)
    return writer.seal(None, "test")


def counted(steps, base=0.0, skip_obs=(), skip_action=()):
    """Step k observes base + k and does base + k + 0.5."""
    out = []
    for k in range(steps):
        t = k * 100 * MS
        if k not in skip_obs:
            out.append(Sample("x", t, t, k, np.array([float(base + k)])))
        if k not in skip_action:
            out.append(Sample("action_gated", t, t, k, np.array([base + k + 0.5])))
    return out


@pytest.fixture
def store(tmp_path):
    return Store.create(tmp_path / "store")


def build(store, **more):
    return TrainingCache.build(store, more.pop("features", ["x", "action"]), progress=False, **more)


def windows_of(store, **more):
    return Windows(build(store), WindowSpec(**more), ["x"], ["action"])


def test_a_window_has_its_observations_and_the_actions_from_the_oldest_on(store):
    add(store, contract(), counted(6))
    batch = windows_of(store, To=2, Tp=3).batch([3])
    assert batch["observation"]["x"][0, :, 0].tolist() == [2, 3]
    assert batch["action"][0, :, 0].tolist() == [2.5, 3.5, 4.5]
    assert batch["mask"].tolist() == [[True] * 3]
    assert batch["observation"]["x"].dtype == batch["action"].dtype == np.float32


def test_padding_repeats_the_ends_and_the_mask_says_so(store):
    add(store, contract(), counted(4))
    windows = windows_of(store, To=2, Tp=3)
    first, last = windows.batch([0]), windows.batch([3])
    assert first["observation"]["x"][0, :, 0].tolist() == [0, 0]
    assert first["action"][0, :, 0].tolist() == [0.5, 0.5, 1.5]
    assert first["mask"][0].tolist() == [False, True, True]
    assert last["action"][0, :, 0].tolist() == [2.5, 3.5, 3.5]
    assert last["mask"][0].tolist() == [True, True, False]


def test_windows_with_more_padding_than_allowed_are_left_out(store):
    add(store, contract(), counted(6))
    add(store, contract(), counted(2, base=100))
    windows = windows_of(store, To=2, Tp=4, pad_after=1)
    batch = windows.batch(np.arange(len(windows)))
    assert batch["observation"]["x"][:, -1, 0].tolist() == [0, 1, 2, 3, 4, 100]
    assert batch["mask"][:, -1].tolist() == [True, True, True, True, False, False]
    assert len(windows_of(store, To=2, Tp=4)) == 8  # all of them
    with pytest.raises(UserError, match=r"pad_after .*got -1"):
        WindowSpec(2, 4, pad_after=-1)


def test_windows_do_not_reach_into_another_episode(store):
    add(store, contract(), counted(5, base=0))
    add(store, contract(), counted(5, base=100))
    windows = windows_of(store, To=3, Tp=6)
    batch = windows.batch(np.arange(len(windows)))
    for row in range(len(windows)):
        values = np.concatenate([batch["observation"]["x"][row, :, 0], batch["action"][row, :, 0]])
        assert (values < 50).all() or (values >= 100).all()


def test_an_action_offset_of_zero_begins_at_the_newest_observation(store):
    add(store, contract(), counted(6))
    assert windows_of(store, To=2, Tp=2, action_offset=0).batch([3])["action"][0, :, 0].tolist() == [3.5, 4.5]


def test_a_future_follows_the_newest_observation_and_ends_with_the_episode(store):
    add(store, contract(), counted(5))
    batch = windows_of(store, To=2, Tp=1, future=3).batch([0, 2])
    np.testing.assert_array_equal(batch["future"]["x"][..., 0], [[2, 3, 4], [4, 4, 4]])
    np.testing.assert_array_equal(batch["future_mask"], [[True, True, True], [True, False, False]])


def test_a_goal_is_drawn_from_all_that_comes_after_the_window_in_its_episode(store):
    add(store, contract(), counted(10))
    add(store, contract(), counted(10, base=100))
    windows = windows_of(store, To=1, Tp=3, goal=2)  # the window of step 2 ends with the action of step 4
    batch = windows.batch(np.full(500, 2), np.random.default_rng(0))
    drawn = {tuple(goal) for goal in batch["goal"]["x"][..., 0]}
    assert drawn == {(5, 6), (6, 7), (7, 8), (8, 9)}
    assert batch["goal_mask"].all()
    near = windows_of(store, To=1, Tp=3, goal=2, goal_within=2).batch(np.full(500, 12), np.random.default_rng(0))
    assert {tuple(goal) for goal in near["goal"]["x"][..., 0]} == {(105, 106), (106, 107)}


def test_a_window_near_the_end_has_no_goal_and_says_so(store):
    add(store, contract(), counted(10))
    windows = windows_of(store, To=1, Tp=3, goal=2)
    batch = windows.batch([5, 6, 9])  # without a generator, each has its last
    np.testing.assert_array_equal(batch["goal_mask"], [True, False, False])
    np.testing.assert_array_equal(batch["goal"]["x"][..., 0], [[8, 9]] * 3)


def test_windows_with_a_missing_observation_are_left_out(store):
    add(store, contract(max_age_s=0.05), counted(8, skip_obs=(4,)))
    windows = windows_of(store, To=2, Tp=2)
    assert windows.rows.tolist() == [0, 1, 2, 3, 6, 7]


def test_actions_that_were_not_recorded_are_masked(store):
    add(store, contract(), counted(8, skip_action=(4,)))
    batch = windows_of(store, To=1, Tp=3).batch([3])
    assert batch["mask"][0].tolist() == [True, False, True]


def test_windows_of_some_episodes_only(store):
    for base in (0, 100, 200):
        add(store, contract(), counted(3, base=base))
    cache = build(store)
    windows = Windows(cache, WindowSpec(1, 1), ["x"], ["action"], episodes=[0, 2])
    assert windows.batch(np.arange(6))["observation"]["x"][:, 0, 0].tolist() == [0, 1, 2, 200, 201, 202]


def test_all_windows_equal_a_plain_loop_over_the_arrays(store):
    for steps in (7, 3, 12):
        add(store, contract(), counted(steps, base=100 * steps))
    cache = build(store)
    w = WindowSpec(3, 5, -1)
    windows = Windows(cache, w, ["x"], ["action"])
    batch = windows.batch(np.arange(len(windows)))
    row = start = 0
    for end in cache.episode_ends:
        for now in range(start, end):
            obs = [cache.arrays["x"][max(now + lag, start)] for lag in (-2, -1, 0)]
            act = [cache.arrays["action"][min(max(now + k, start), end - 1)] for k in range(-1, 4)]
            assert np.array_equal(batch["observation"]["x"][row], obs)
            assert np.array_equal(batch["action"][row], act)
            assert batch["mask"][row].tolist() == [start <= now + k < end for k in range(-1, 4)]
            row += 1
        start = end
    assert row == len(windows)


def test_several_action_features_stand_side_by_side(store):
    base = contract()
    second = Feature(name="grip", stream="x", role="action", alignment="nearest", max_age_s=0.05)
    c = base.model_copy(update={"features": (*base.features, second)})
    add(store, c, counted(4))
    windows = Windows(build(store, features=["x", "action", "grip"]), WindowSpec(1, 2), ["x"], ["action", "grip"])
    assert windows.action_dim == 2
    assert windows.batch([1])["action"][0].tolist() == [[1.5, 1.0], [2.5, 2.0]]


def test_a_cache_is_used_again_and_can_be_deleted(store):
    add(store, contract(), counted(4))
    first = build(store)
    stamp = os.stat(first.path).st_mtime_ns
    assert build(store).path == first.path
    assert os.stat(first.path).st_mtime_ns == stamp
    shutil.rmtree(store.path / "cache")
    assert np.array_equal(build(store).arrays["x"], [[0], [1], [2], [3]])


def test_another_snapshot_view_or_edit_is_another_cache(store):
    e = add(store, contract(), counted(6))
    paths = {build(store).path, build(store, features=["x"]).path}
    add(store, contract(), counted(4))
    paths.add(build(store).path)
    paths.add(build(store, episodes=[e.id]).path)
    edit(store, e.id, trim_ns=(100 * MS, 300 * MS))
    trimmed = build(Store.open(store.path), episodes=[e.id])
    paths.add(trimmed.path)
    assert trimmed.arrays["x"][:, 0].tolist() == [1, 2, 3]
    assert len(paths) == 4  # one episode of the first store is the first store's snapshot


def test_a_damaged_cache_is_built_again(store):
    add(store, contract(), counted(4))
    cache = build(store)
    values = cache.path / "0_values.npy"
    content = values.read_bytes()
    del cache
    values.write_bytes(content[:-8])
    assert np.array_equal(build(store).arrays["x"], [[0], [1], [2], [3]])


def test_a_build_that_fails_leaves_nothing(store, monkeypatch):
    def full(*_):
        raise OSError(28, "No space left on device")

    add(store, contract(), counted(4))
    monkeypatch.setattr("robot_learning.data.cache.align", full)
    with pytest.raises(StoreError, match=r"can't be written to .*No space left"):
        build(store)
    assert list((store.path / "cache").iterdir()) == []


def test_too_little_space_is_told_before_anything_is_read(store, monkeypatch):
    add(store, contract(), counted(4))
    monkeypatch.setattr("shutil.disk_usage", lambda _: SimpleNamespace(free=3))
    monkeypatch.setattr(Stream, "read", None)
    with pytest.raises(StoreError, match=r"0\.0 GB are free"):
        build(store)


def test_a_view_without_images_reads_no_image(store, monkeypatch):
    c = arm_contract()
    add(store, c, arm_samples(c, 1.0))
    seen = []
    read = Stream.read
    monkeypatch.setattr(Stream, "read", lambda self, i: (seen.append(self.spec.name), read(self, i))[1])
    build(store, features=["position", "gripper", "action"])
    assert set(seen) == {"position", "gripper", "action_gated"}


def test_images_are_stored_at_training_resolution(store):
    c = arm_contract(image=(8, 10))
    add(store, c, arm_samples(c, 1.0))
    whole, small = build(store, features=FEATURES), build(store, features=FEATURES, image_size=(4, 5))
    assert small.arrays["camera"].shape[1:] == (4, 5, 3)
    assert small.arrays["camera"].dtype == np.uint8
    assert np.array_equal(small.arrays["camera"][5:8], resize(whole.arrays["camera"][5:8], (4, 5)))
    batch = Windows(small, WindowSpec(2, 4), ["position", "camera"], ["action"]).batch([0, 1])
    assert batch["observation"]["camera"].shape == (2, 2, 4, 5, 3)
    assert batch["observation"]["camera"].dtype == np.uint8


def test_resizing_by_a_whole_factor_is_the_mean_of_each_block():
    frames = np.random.default_rng(0).integers(0, 256, (2, 8, 12, 3), dtype=np.uint8)
    blocks = frames.reshape(2, 4, 2, 6, 2, 3).mean((2, 4))
    assert np.abs(resize(frames, (4, 6)) - blocks).max() <= 1  # rows and columns are rounded one after the other


def test_resizing_depth_invents_no_distance():
    depth = np.random.default_rng(0).choice(np.array([0, 800, 3000], np.uint16), (2, 9, 12))
    small = resize(depth, (4, 5))
    assert small.shape == (2, 4, 5)
    assert set(np.unique(small)) <= {0, 800, 3000}


def test_mistakes_are_named(store, tmp_path):
    with pytest.raises(StoreError, match="no sealed episodes"):
        build(store)
    e = add(store, contract(), counted(4))
    with pytest.raises(UnknownName, match="did you mean 'action'"):
        build(store, features=["x", "actoin"])
    with pytest.raises(UnknownName, match="unknown episode"):
        build(store, episodes=["01XYZ"])
    with pytest.raises(UserError, match="height and width"):
        build(store, image_size=(0, 3))
    with pytest.raises(UnknownName, match="unknown feature of the training cache 'z'"):
        Windows(build(store), WindowSpec(1, 1), ["z"], ["action"])
    add(store, contract(max_age_s=0.2), counted(4))
    with pytest.raises(ContractMismatch, match=f"max_age_s of feature 'x': episode {e.id} has 0.1"):
        build(store)


def test_an_episode_without_a_needed_stream_is_named(store):
    e = add(store, contract(), [s for s in counted(4) if s.stream == "x"])
    with pytest.raises(StoreError, match=f"episode {e.id}: stream 'action_gated' has no actions"):
        build(store)


def test_the_cache_says_what_it_was_built_from(store):
    e = add(store, contract(), counted(4))
    cache = build(store)
    assert cache.episode_ids == [e.id]
    assert cache.episode_ends.tolist() == [4]
    assert cache.contract == contract()
    assert json.loads((cache.path / "view.json").read_text())["snapshot"] == cache.snapshot_hash
    assert len(cache) == 4
    assert (cache.times // MS).tolist() == [0, 100, 200, 300]
