"""LeRobot's datasets, by files written here; tests/hardware/lerobot has LeRobot itself read and write them."""

import json

import numpy as np
import pytest
from streams_in_memory import arm_contract, arm_samples

from robot_learning.contract import Contract, Feature, StreamSpec
from robot_learning.data.importers import import_dataset
from robot_learning.data.lerobot_export import export_lerobot
from robot_learning.data.sample import Sample
from robot_learning.data.store import Store
from robot_learning.data.writer import EpisodeWriter
from robot_learning.errors import StoreError, UserError

parquet = pytest.importorskip("pyarrow.parquet")
import pyarrow as pa  # noqa: E402

pytest.importorskip("imageio_ffmpeg")

RATE = 10
LENGTHS = (7, 12, 5)
TASKS = ("push the block", "pull the block", "push the block")


def smooth_frames(n, rng, shape=(32, 48)):
    """Pictures that a video codec keeps nearly whole: slow gradients that move."""
    y, x = np.mgrid[: shape[0], : shape[1]] / np.array(shape)[:, None, None]
    phase = rng.uniform(0, 6, 3) + np.arange(n)[:, None] * 0.2
    waves = np.sin(2 * x[None, ..., None] + y[None, ..., None] + phase[:, None, None, :])
    return (127.5 + 100 * waves).astype(np.uint8)


def recorded(path, lengths=LENGTHS, seed=0):
    """A store whose samples are all on the grid, so that an export has each of them once."""
    step = 1_000_000_000 // RATE

    def stream(name, shape, unit="1", dtype="float64", **more):
        return StreamSpec(name=name, shape=shape, dtype=dtype, unit=unit, rate_hz=RATE, **more)

    streams = (
        stream("joints", (3,), "rad"),
        stream("gripper", (1,), "m", "float32"),
        stream("block", (2,), "px"),
        stream("front", (32, 48, 3), "rgb", "uint8", codec="lossless"),
        stream("depth", (4, 6), "depth_mm", "uint16", codec="depth"),
        stream("action_gated", (2,), "rad"),
    )
    features = [
        Feature(
            name=s.name.removesuffix("_gated"), stream=s.name, role="action" if "action" in s.name else "observation",
            alignment="nearest" if "action" in s.name else "previous", max_age_s=0.1, privileged=s.name == "block",
        )
        for s in streams
    ]  # fmt: skip
    contract = Contract(rig="toy", robot="toy", policy_rate_hz=RATE, streams=streams, features=tuple(features))
    store, rng, content = Store.create(path), np.random.default_rng(seed), []
    for k, n in enumerate(lengths):
        values = {s.name: rng.normal(size=(n, *s.shape)).astype(s.dtype) for s in streams[:3]}
        values["front"] = smooth_frames(n, rng)
        values["depth"] = rng.integers(0, 4000, (n, 4, 6), dtype=np.uint16)
        values["action_gated"] = rng.normal(size=(n, 2))
        provenance = {"from": "a test"}
        writer = EpisodeWriter(store, contract, {"task": TASKS[k], "operator": "", "provenance": provenance})
        writer.append(
            Sample(name, i * step, i * step, i, v) for name, rows in values.items() for i, v in enumerate(rows)
        )
        writer.seal("success" if k else "failure", "operator")
        content.append(values)
    return store, content


@pytest.mark.parametrize("images", ["image", "video"])
def test_what_is_exported_is_imported_again(tmp_path, images):
    store, content = recorded(tmp_path / "store")
    report = export_lerobot(store, tmp_path / "set", images=images, progress=False)
    assert (report.episodes, report.steps) == (3, sum(LENGTHS))
    assert any("depth" in note for note in report.notes)
    back = import_dataset(tmp_path / "set", tmp_path / "back", progress=False)
    assert len(back.written) == 3
    assert any("units" in note for note in back.notes)
    for episode, want, task in zip(Store.open(tmp_path / "back").episodes(), content, TASKS, strict=True):
        got = {name: s.read(np.arange(len(s))) for name, s in episode.streams.items()}
        assert episode.metadata["task"] == task
        state = np.concatenate([want["joints"], want["gripper"]], axis=1)
        np.testing.assert_array_equal(got["state"], state.astype(np.float32))
        np.testing.assert_array_equal(got["environment_state"], want["block"].astype(np.float32))
        np.testing.assert_array_equal(got["action_gated"], want["action_gated"].astype(np.float32))
        if images == "image":
            np.testing.assert_array_equal(got["front"], want["front"])
        else:  # 4:2:0 and quantised: no pixel far off, and no frame mistaken for its neighbour
            error = np.abs(got["front"].astype(int) - want["front"])
            assert error.max() <= 24
            assert error.mean() < 3
            neighbour = np.abs(got["front"][1:].astype(int) - want["front"][:-1]).mean()
            assert neighbour > 3 * error.mean()


def test_statistics_are_those_of_all_steps(tmp_path):
    store, content = recorded(tmp_path / "store")
    export_lerobot(store, tmp_path / "set", images="image", progress=False)
    stats = json.loads((tmp_path / "set/meta/stats.json").read_text())
    action = np.concatenate([c["action_gated"] for c in content])
    for name, want in (
        ("min", action.min(0)),
        ("max", action.max(0)),
        ("mean", action.mean(0)),
        ("std", action.std(0)),
    ):
        np.testing.assert_allclose(stats["action"][name], want, rtol=1e-6)
    assert stats["action"]["count"] == [sum(LENGTHS)]
    assert np.shape(stats["observation.images.front"]["mean"]) == (3, 1, 1)
    assert (
        0 <= np.min(stats["observation.images.front"]["min"]) <= np.max(stats["observation.images.front"]["max"]) <= 1
    )


def test_streams_at_other_rates_are_read_on_the_policys_grid(tmp_path):
    contract = arm_contract()
    store = Store.create(tmp_path / "store")
    writer = EpisodeWriter(store, contract, {"task": "", "operator": "", "provenance": {}})
    writer.append(arm_samples(contract, 2.0))
    writer.seal(None, "operator")
    report = export_lerobot(store, tmp_path / "set", progress=False)
    assert 36 <= report.steps <= 40
    import_dataset(tmp_path / "set", tmp_path / "back", progress=False)
    (episode,) = Store.open(tmp_path / "back").episodes()
    assert {name: len(s) for name, s in episode.streams.items()} == dict.fromkeys(episode.streams, report.steps)


def version_2(root, tamper=None):
    """A v2.1 dataset of two episodes, with images in the parquet files."""
    rng = np.random.default_rng(1)
    info = {
        "codebase_version": "v2.1", "robot_type": "so100", "fps": RATE, "chunks_size": 1000,
        "data_path": "data/chunk-{episode_chunk:03d}/episode_{episode_index:06d}.parquet", "video_path": None,
        "features": {
            "observation.state": {"dtype": "float32", "shape": [3], "names": None},
            "action": {"dtype": "float32", "shape": [2], "names": None},
            "next.reward": {"dtype": "float32", "shape": [1], "names": None},
            "timestamp": {"dtype": "float32", "shape": [1], "names": None},
            "frame_index": {"dtype": "int64", "shape": [1], "names": None},
            "episode_index": {"dtype": "int64", "shape": [1], "names": None},
        },
    }  # fmt: skip
    (root / "meta").mkdir(parents=True)
    (root / "data/chunk-000").mkdir(parents=True)
    content, lines = [], []
    for k, n in enumerate((4, 6)):
        values = {"observation.state": rng.normal(size=(n, 3)), "action": rng.normal(size=(n, 2))}
        values = {key: v.astype(np.float32) for key, v in values.items()}
        columns = {key: pa.array(v.tolist(), pa.list_(pa.float32())) for key, v in values.items()}
        columns["next.reward"] = pa.array(np.arange(n, dtype=np.float32))
        columns["timestamp"] = pa.array(np.arange(n, dtype=np.float32) / RATE)
        columns["frame_index"], columns["episode_index"] = pa.array(np.arange(n)), pa.array(np.full(n, k))
        parquet.write_table(pa.table(columns), root / f"data/chunk-000/episode_{k:06d}.parquet")
        content.append(values)
        lines.append(json.dumps({"episode_index": k, "tasks": [f"task {k}"], "length": n}))
    (root / "meta/episodes.jsonl").write_text("\n".join(lines) + "\n")
    if tamper:
        tamper(root, info)
    (root / "meta/info.json").write_text(json.dumps(info))
    return content


def test_version_2_1_is_imported(tmp_path):
    content = version_2(tmp_path / "old")
    import_dataset(tmp_path / "old", tmp_path / "store", progress=False)
    for k, (episode, want) in enumerate(zip(Store.open(tmp_path / "store").episodes(), content, strict=True)):
        assert episode.metadata["task"] == f"task {k}"
        assert episode.contract.robot == "so100"
        np.testing.assert_array_equal(episode.streams["state"].data[:], want["observation.state"])
        np.testing.assert_array_equal(episode.streams["action_gated"].data[:], want["action"])
        assert "next_reward" not in [f.name for f in episode.contract.features]  # a policy must not see it
        assert episode.streams["next_reward"].data[:].ravel().tolist() == list(range(len(want["action"])))


def _lose_a_file(root, info):
    (root / "data/chunk-000/episode_000001.parquet").unlink()


def _claim_more_steps(root, info):
    text = (root / "meta/episodes.jsonl").read_text()
    (root / "meta/episodes.jsonl").write_text(text.replace('"length": 6', '"length": 7'))


@pytest.mark.parametrize(
    ("tamper", "told"),
    [
        (_lose_a_file, "episode_000001.parquet"),
        (_claim_more_steps, "6 steps of episode 1"),
        (lambda root, info: info.update(codebase_version="v1.6"), "v3.0 and v2.1 can be imported"),
        (lambda root, info: info["features"].pop("action"), "no feature 'action'"),
        (lambda root, info: info["features"]["action"].update(shape=[5]), "'action' of episode 0"),
    ],
)
def test_a_damaged_dataset_is_refused_by_name(tmp_path, tamper, told):
    version_2(tmp_path / "old", tamper)
    with pytest.raises(UserError, match=told):
        import_dataset(tmp_path / "old", tmp_path / "store", progress=False)


def test_a_video_with_too_few_frames_is_refused(tmp_path):
    store, _ = recorded(tmp_path / "store", lengths=(6,))
    export_lerobot(store, tmp_path / "set", progress=False)
    (video,) = (tmp_path / "set/videos").rglob("*.mp4")
    video.write_bytes(video.read_bytes()[:-200])
    with pytest.raises(UserError, match=r"file-000\.mp4"):
        import_dataset(tmp_path / "set", tmp_path / "back", progress=False)


def test_an_export_overwrites_nothing_and_leaves_no_half(tmp_path):
    store, _ = recorded(tmp_path / "store", lengths=(6,))
    (tmp_path / "set").mkdir()
    with pytest.raises(UserError, match="exists"):
        export_lerobot(store, tmp_path / "set", progress=False)
    Store.create(tmp_path / "empty")
    with pytest.raises(StoreError, match="no episodes"):
        export_lerobot(Store.open(tmp_path / "empty"), tmp_path / "other", progress=False)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["empty", "set", "store"]
