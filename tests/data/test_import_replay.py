import numcodecs
import numpy as np
import pytest
import zarr

from robot_learning.data.cache import TrainingCache
from robot_learning.data.importers import import_dataset, verify
from robot_learning.data.layouts import LAYOUTS, PUSHT
from robot_learning.data.replay import ReplaySource
from robot_learning.data.store import Store
from robot_learning.data.validation import check
from robot_learning.errors import StoreError, UnknownName, UserError
from robot_learning.training.dataset import family

ENDS = np.array([5, 12, 20])


def pusht_arrays(seed=0):
    rng = np.random.default_rng(seed)
    steps = ENDS[-1]
    return {
        "state": rng.uniform(0, 512, (steps, 5)).astype(np.float32),
        "action": rng.uniform(0, 512, (steps, 2)).astype(np.float32),
        "keypoint": rng.uniform(0, 512, (steps, 9, 2)).astype(np.float32),
        "n_contacts": rng.integers(0, 5, (steps, 1)).astype(np.float32),
        "img": rng.integers(0, 256, (steps, 96, 96, 3)).astype(np.float32),
    }


def replay(path, arrays, ends=ENDS):
    """A zarr v2 directory as Diffusion Policy writes it: blosc, several steps per chunk."""
    group = zarr.open_group(path, mode="w", zarr_format=2)
    for key, values in arrays.items():
        group.create_array(
            f"data/{key}", data=values, chunks=(7, *values.shape[1:]), compressors=numcodecs.Blosc("zstd", 5, 2)
        )
    if ends is not None:
        group.create_array("meta/episode_ends", data=np.asarray(ends))
    return path


def run(source, store, **more):
    return import_dataset(source, store, progress=False, **more)


def test_pusht_is_imported_value_by_value(tmp_path):
    arrays = pusht_arrays()
    report = run(replay(tmp_path / "p.zarr", arrays), tmp_path / "s", layout="pusht")
    store = Store.open(tmp_path / "s")
    episodes = store.episodes()
    assert [e.id for e in episodes] == report.written
    assert report.samples == 20 * 7
    for episode, rows in zip(episodes, np.split(np.arange(20), ENDS[:-1]), strict=True):
        got = {name: s.read(np.arange(len(s))) for name, s in episode.streams.items()}
        assert np.array_equal(got["agent_position"], arrays["state"][rows, :2])
        assert np.array_equal(got["block_position"], arrays["state"][rows, 2:4])
        assert np.array_equal(got["block_angle"], arrays["state"][rows, 4:])
        assert np.array_equal(got["keypoint"], arrays["keypoint"][rows])
        assert np.array_equal(got["contacts"], arrays["n_contacts"][rows])
        assert np.array_equal(got["action_gated"], arrays["action"][rows])
        assert np.array_equal(got["image"], arrays["img"][rows])
        assert got["image"].dtype == np.uint8
        assert episode.contract == PUSHT
        assert episode.metadata["task"] == LAYOUTS["pusht"].task
        assert episode.metadata["absent_streams"] == ["action_commanded", "action_executed"]
    assert check(store) == []


def test_stamps_come_from_the_nominal_rate_and_the_provenance_says_so(tmp_path):
    run(replay(tmp_path / "p.zarr", pusht_arrays()), tmp_path / "s", layout="pusht")
    episode = Store.open(tmp_path / "s").episodes()[1]
    assert episode.streams["image"].stamp.tolist() == [k * 100_000_000 for k in range(7)]
    provenance = episode.metadata["provenance"]
    assert provenance["source"] == "p.zarr"
    assert provenance["source_episode"] == 1
    assert "synthesised" in provenance["stamps"]
    assert "10 Hz" in provenance["stamps"]


def test_a_training_cache_of_an_import_has_the_sources_rows(tmp_path):
    arrays = pusht_arrays()
    run(replay(tmp_path / "p.zarr", arrays), tmp_path / "s", layout="pusht")
    features = ["agent_position", "block_angle", "image", "action"]
    cache = TrainingCache.build(Store.open(tmp_path / "s"), features, progress=False)
    assert cache.episode_ends.tolist() == ENDS.tolist()
    assert np.array_equal(cache.arrays["agent_position"], arrays["state"][:, :2])
    assert np.array_equal(cache.arrays["action"], arrays["action"])
    assert np.array_equal(cache.arrays["image"], arrays["img"])
    assert all(v.all() for v in cache.valid.values())


def test_a_second_import_adds_nothing(tmp_path):
    source = replay(tmp_path / "p.zarr", pusht_arrays())
    run(source, tmp_path / "s", layout="pusht")
    report = run(source, tmp_path / "s", layout="pusht")
    assert report.written == []
    assert report.skipped == 3
    assert len(Store.open(tmp_path / "s").episodes()) == 3


def test_an_interrupted_import_is_completed_by_running_it_again(tmp_path, monkeypatch):
    source = replay(tmp_path / "p.zarr", pusht_arrays())
    read = ReplaySource.episode

    def interrupted(self, index):
        if index == 2:
            raise KeyboardInterrupt
        return read(self, index)

    monkeypatch.setattr(ReplaySource, "episode", interrupted)
    with pytest.raises(KeyboardInterrupt):
        run(source, tmp_path / "s", layout="pusht")
    monkeypatch.undo()
    report = run(source, tmp_path / "s", layout="pusht")
    store = Store.open(tmp_path / "s")
    assert report.skipped == 2
    assert [e.metadata["provenance"]["source_episode"] for e in store.episodes()] == [0, 1, 2]
    assert store.open_episodes() == []


def test_optional_keys_may_be_absent(tmp_path):
    arrays = {k: v for k, v in pusht_arrays().items() if k in ("state", "action")}
    run(replay(tmp_path / "p.zarr", arrays), tmp_path / "s", layout="pusht")
    episode = Store.open(tmp_path / "s").episodes()[0]
    assert set(episode.metadata["absent_streams"]) == {
        "image", "keypoint", "contacts", "action_commanded", "action_executed"
    }  # fmt: skip


def test_without_a_layout_keys_become_streams(tmp_path):
    arrays = pusht_arrays()
    source = replay(
        tmp_path / "other.zarr", {"robot0_EEF-pos": arrays["state"], "action": arrays["action"], "img": arrays["img"]}
    )
    run(source, tmp_path / "s", rate_hz=20, robot="arm", task="push")
    episode = Store.open(tmp_path / "s").episodes()[0]
    c = episode.contract
    assert (c.robot, c.policy_rate_hz) == ("arm", 20)
    assert {f.name: f.stream for f in c.features} == {
        "action": "action_gated", "img": "img", "robot0_eef_pos": "robot0_eef_pos"
    }  # fmt: skip
    assert c.stream("img").codec == "lossless"
    assert c.stream("robot0_eef_pos").dtype == "float32"
    assert np.array_equal(episode.streams["robot0_eef_pos"].read(range(5)), arrays["state"][:5])
    assert episode.streams["img"].stamp[1] == 50_000_000


def test_left_out_keys_are_told(tmp_path):
    arrays = pusht_arrays()
    report = run(replay(tmp_path / "p.zarr", arrays | {"extra": arrays["action"]}), tmp_path / "s", layout="pusht")
    assert any("data/extra is not part of layout 'pusht'" in note for note in report.notes)


def test_chunks_without_a_file_are_told(tmp_path):
    source = replay(tmp_path / "p.zarr", pusht_arrays())
    (source / "data" / "state" / "1.0").unlink()
    report = run(source, tmp_path / "s", layout="pusht")
    assert any("data/state has no file for 1 of 3 chunks" in note for note in report.notes)


@pytest.mark.parametrize(
    ("ends", "sentence"),
    [
        ([5, 5, 20], "must increase from above 0; entry 1 is 5 after 5"),
        ([0, 12, 20], "must increase from above 0; entry 0 is 0"),
        ([12, 5, 20], "entry 1 is 5 after 12"),
        ([5, 12, 21], "ends at step 21, data/ has 20 steps; steps are missing"),
        ([5, 12], "ends at step 12, data/ has 20 steps; the steps behind it belong to no episode"),
        ([5.0, 20.0], "one whole number per episode; got float64"),
        (np.zeros(0, int), "one whole number per episode"),
        (None, "is not a replay buffer"),
    ],
)
def test_malformed_episode_ends_are_refused(tmp_path, ends, sentence):
    with pytest.raises(UserError) as caught:
        run(replay(tmp_path / "p.zarr", pusht_arrays(), ends), tmp_path / "s", layout="pusht")
    assert sentence in str(caught.value)


def broken(change):
    arrays = pusht_arrays()
    change(arrays)
    return arrays


@pytest.mark.parametrize(
    ("change", "more", "sentence"),
    [
        (lambda a: a.pop("state"), {"layout": "pusht"}, "has no data/state, which layout 'pusht' needs"),
        (lambda a: a.pop("action"), {"rate_hz": 10}, "has no data/action; it has img, keypoint"),
        (lambda a: a.update(action=a["action"][:-1]), {"layout": "pusht"}, "all keys under data/ have one length"),
        (lambda a: a.update(state=a["state"][:, :4]), {"layout": "pusht"}, "(5,) per step; it has (4,)"),
        (lambda a: a["img"].__setitem__((7, 0, 0, 0), 0.5), {"layout": "pusht"}, "img of episode 1 has values"),
        (lambda a: a["img"].__setitem__((0, 0, 0, 0), 256), {"layout": "pusht"}, "not whole numbers"),
        (lambda a: None, {}, "give --rate-hz"),
        (lambda a: None, {"rate_hz": -1.0}, "positive number of steps per second"),
        (lambda a: None, {"layout": "pusht", "rate_hz": 20.0}, "10 steps per second, --rate-hz says 20"),
        (lambda a: a.update({"Img": a["state"]}), {"rate_hz": 10}, "would both be stream 'img'"),
    ],
)  # fmt: skip
def test_a_malformed_source_is_refused_with_one_sentence(tmp_path, change, more, sentence):
    with pytest.raises(UserError) as caught:
        run(replay(tmp_path / "p.zarr", broken(change)), tmp_path / "s", **more)
    assert sentence in str(caught.value)
    assert "\n" not in str(caught.value)


def test_what_is_not_there_or_no_buffer_is_refused(tmp_path):
    with pytest.raises(UserError, match="there is nothing at"):
        run(tmp_path / "none.zarr", tmp_path / "s", layout="pusht")
    (tmp_path / "empty").mkdir()
    with pytest.raises(UserError, match="is not a replay buffer"):
        run(tmp_path / "empty", tmp_path / "s", layout="pusht")
    with pytest.raises(UnknownName, match="did you mean 'pusht'"):
        run(replay(tmp_path / "p.zarr", pusht_arrays()), tmp_path / "s", layout="push_t")


def test_a_damaged_chunk_is_refused(tmp_path):
    source = replay(tmp_path / "p.zarr", pusht_arrays())
    (source / "data" / "state" / "1.0").write_bytes(b"not blosc at all")
    with pytest.raises(UserError, match=r"data/state of episode 1 can't be read"):
        run(source, tmp_path / "s", layout="pusht")
    assert Store.open(tmp_path / "s").open_episodes() == []


def test_verification_takes_a_wrong_episode_out_of_use(tmp_path):
    run(replay(tmp_path / "p.zarr", pusht_arrays()), tmp_path / "s", layout="pusht")
    store = Store.open(tmp_path / "s")
    episode = store.episodes()[0]
    values = {name: s.read(np.arange(len(s))) for name, s in episode.streams.items()}
    verify(store, episode, values)
    values["action_gated"] = values["action_gated"] + 1e-9
    with pytest.raises(StoreError, match="stream 'action_gated': what was read back is not what was imported"):
        verify(store, episode, values)
    assert episode.id not in [e.id for e in store.episodes()]


def test_mirror_images_follow_the_episodes_and_say_of_which_they_are(tmp_path):
    arrays = pusht_arrays()
    source = replay(tmp_path / "p.zarr", arrays)
    report = run(source, tmp_path / "s", layout="pusht", mirror=True)
    episodes = Store.open(tmp_path / "s").episodes()
    assert len(report.written) == len(episodes) == 2 * len(ENDS)
    assert [e.metadata["provenance"].get("mirror_image_of") for e in episodes] == [None, None, None, 0, 1, 2]
    got = {name: s.read(np.arange(len(s))) for name, s in episodes[4].streams.items()}
    x, y = arrays["state"][5:12, 2:4].astype(np.float64).T
    assert np.array_equal(got["block_position"], np.stack([512 - y, 512 - x], 1))
    assert np.array_equal(got["image"][:, 10, 20], arrays["img"][5:12, 95 - 20, 95 - 10])
    assert [family(e) for e in episodes[:3]] == [family(e) for e in episodes[3:]]  # held out together
    assert len({family(e) for e in episodes}) == len(ENDS)
    assert run(source, tmp_path / "s", layout="pusht", mirror=True).skipped == 2 * len(ENDS)


def test_mirror_images_want_a_layout_that_knows_the_symmetry(tmp_path):
    source = replay(tmp_path / "p.zarr", pusht_arrays())
    with pytest.raises(UserError, match=r"--layout pusht"):
        run(source, tmp_path / "s", rate_hz=10, mirror=True)
