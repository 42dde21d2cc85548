import json
import sys

import numpy as np
import pytest
from streams_in_memory import arm_contract, arm_samples

from robot_learning.data.cache import TrainingCache
from robot_learning.data.exporters import export_robomimic
from robot_learning.data.importers import import_dataset
from robot_learning.data.store import Store
from robot_learning.data.writer import EpisodeWriter
from robot_learning.errors import StoreError, UserError

h5py = pytest.importorskip("h5py")
ENV_ARGS = {"env_name": "Lift", "type": 1, "env_kwargs": {"control_freq": 20, "robots": ["Panda"]}}


def demos(seed=0, lengths=(6, 11, 4)):
    rng = np.random.default_rng(seed)
    out = []
    for n in lengths:
        obs = {
            "robot0_eef_pos": rng.normal(size=(n + 1, 3)),
            "object": rng.normal(size=(n + 1, 10)).astype(np.float32),
            "agentview_image": rng.integers(0, 256, (n + 1, 20, 24, 3), dtype=np.uint8),
        }
        out.append({
            "actions": rng.normal(size=(n, 7)), "states": rng.normal(size=(n, 32)),
            "rewards": rng.normal(size=n), "dones": np.arange(n) // (n - 1),
            **{f"obs/{k}": v[:-1] for k, v in obs.items()}, **{f"next_obs/{k}": v[1:] for k, v in obs.items()},
        })  # fmt: skip
    return out


def write(path, content, env_args=ENV_ARGS):
    with h5py.File(path, "w") as file:
        for k, demo in enumerate(content):
            group = file.create_group(f"data/demo_{k}")
            group.attrs["num_samples"] = len(demo["actions"])
            for key, values in demo.items():
                group[key] = values
        file["data"].attrs["total"] = sum(len(d["actions"]) for d in content)
        if env_args is not None:
            file["data"].attrs["env_args"] = json.dumps(env_args)
        file["mask/train"] = np.array(["demo_0", "demo_2"], "S")
        file["mask/valid"] = np.array(["demo_1"], "S")
    return path


def test_a_file_imported_and_exported_is_the_same(tmp_path):
    content = demos()
    source = write(tmp_path / "lift.hdf5", content)
    report = import_dataset(source, tmp_path / "s", progress=False)
    assert len(report.written) == 3
    assert export_robomimic(Store.open(tmp_path / "s"), tmp_path / "out.hdf5", progress=False) == 3
    with h5py.File(tmp_path / "out.hdf5") as got, h5py.File(source) as want:
        for k, demo in enumerate(content):
            group = got[f"data/demo_{k}"]
            assert group.attrs["num_samples"] == len(demo["actions"])
            for key, values in demo.items():
                assert np.array_equal(group[key][:], values), key
                assert group[key].dtype == values.dtype, key
        assert json.loads(got["data"].attrs["env_args"]) == ENV_ARGS
        assert got["data"].attrs["total"] == want["data"].attrs["total"]
        assert {n: got["mask"][n][:].tolist() for n in got["mask"]} == {
            "train": [b"demo_0", b"demo_2"], "valid": [b"demo_1"]
        }  # fmt: skip


def test_demos_keep_their_numbers_order(tmp_path):
    content = demos(lengths=[3] * 11)
    import_dataset(write(tmp_path / "many.hdf5", content), tmp_path / "s", progress=False)
    for k, episode in enumerate(Store.open(tmp_path / "s").episodes()):
        assert episode.metadata["provenance"]["demo"] == f"demo_{k}"
        assert np.array_equal(episode.streams["action_gated"].read(range(3)), content[k]["actions"])


def test_what_the_file_says_becomes_contract_and_metadata(tmp_path):
    import_dataset(write(tmp_path / "lift.hdf5", demos()), tmp_path / "s", progress=False)
    episode = Store.open(tmp_path / "s").episodes()[0]
    c = episode.contract
    assert (c.robot, c.policy_rate_hz, episode.metadata["task"]) == ("panda", 20, "Lift")
    assert [f.name for f in c.observations] == ["agentview_image", "object", "robot0_eef_pos"]
    assert c.stream("agentview_image").codec == "lossless"
    assert "states" not in [f.name for f in c.features]
    assert "synthesised" in episode.metadata["provenance"]["stamps"]


def test_a_recorded_store_survives_export_and_import(tmp_path):
    contract = arm_contract()
    store = Store.create(tmp_path / "a")
    for seed in range(2):
        writer = EpisodeWriter(store, contract, {"task": "t"})
        writer.append(arm_samples(contract, 2.0, seed))
        writer.seal("success", "test")
    # Lost samples leave holes on the grid: keep a stretch without one.
    from robot_learning.data.edits import edit

    first = TrainingCache.build(store, ["position", "orientation", "camera", "gripper", "action"], progress=False)
    start = 0
    for id, end in zip(first.episode_ids, first.episode_ends, strict=True):
        whole = np.logical_and.reduce([v[start:end] for v in first.valid.values()])
        runs = np.split(np.arange(end - start), np.flatnonzero(~whole))
        longest = max(runs, key=len)[1:-1]
        times = first.times[start:end][longest]
        edit(store, id, trim_ns=(int(times[0]), int(times[-1])))
        start = end
    store = Store.open(tmp_path / "a")
    export_robomimic(store, tmp_path / "a.hdf5", progress=False)
    import_dataset(tmp_path / "a.hdf5", tmp_path / "b", progress=False)
    again = Store.open(tmp_path / "b")
    with h5py.File(tmp_path / "a.hdf5") as file:
        assert file["mask/success"][:].tolist() == [b"demo_0", b"demo_1"]
        for k, episode in enumerate(again.episodes()):
            group = file[f"data/demo_{k}"]
            n = group.attrs["num_samples"]
            assert n > 5
            assert group["rewards"][:].tolist() == [0.0] * (n - 1) + [1.0]
            assert np.array_equal(episode.streams["action_gated"].read(range(n)), group["actions"][:])
            for name in ("position", "orientation", "camera", "gripper"):
                assert np.array_equal(episode.streams[name].read(range(n)), group[f"obs/{name}"][:])


def test_an_episode_with_a_hole_is_refused(tmp_path):
    contract = arm_contract()
    store = Store.create(tmp_path / "a")
    writer = EpisodeWriter(store, contract, {"task": "t"})
    samples = arm_samples(contract, 2.0)
    gap = [s for s in samples if s.stream != "position" or not 0.8e9 < s.stamp_ns - 5e9 < 1.2e9]
    writer.append(gap)
    episode = writer.seal(None, "test")
    with pytest.raises(StoreError, match=f"episode {episode.id} has no valid value of every feature at"):
        export_robomimic(store, tmp_path / "a.hdf5", progress=False)
    assert [p.name for p in tmp_path.iterdir()] == ["a"]


def test_an_existing_file_is_not_overwritten(tmp_path):
    import_dataset(write(tmp_path / "lift.hdf5", demos()), tmp_path / "s", progress=False)
    with pytest.raises(UserError, match="exists; give another name"):
        export_robomimic(Store.open(tmp_path / "s"), tmp_path / "lift.hdf5", progress=False)


def test_a_missing_h5py_names_the_extra(tmp_path, monkeypatch):
    source = write(tmp_path / "lift.hdf5", demos())
    monkeypatch.setitem(sys.modules, "h5py", None)
    with pytest.raises(UserError, match=r"robot_learning\[convert\]"):
        import_dataset(source, tmp_path / "s", progress=False)
    with pytest.raises(UserError, match=r"robot_learning\[convert\]"):
        export_robomimic(Store.open_or_create(tmp_path / "s"), tmp_path / "o.hdf5", progress=False)


def broken(change, **more):
    content = demos()
    change(content)
    return content


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (lambda c: c.clear(), "has no data/demo_<k>"),
        (lambda c: c[1].pop("actions"), "demo_1 lacks actions or obs"),
        (lambda c: c[1].update({"obs/object": c[1]["obs/object"][:-1]}), "demo_1: obs/object has (10,) steps"),
        (lambda c: c[1].pop("obs/object"), "obs/object of demo_1 is absent, of demo_0 float32 (10,)"),
        (lambda c: c[2].update(actions=c[2]["actions"][:, :6]), "actions of demo_2 is float64 (6,)"),
        (lambda c: c[0].update({"obs/text": np.array([b"a"] * 6)}), "obs/text is not an array of numbers"),
        (lambda c: [d.update({"obs/rewards": d["rewards"]}) for d in c], "an observation is called like one of"),
    ],
)
def test_a_malformed_file_is_refused_with_one_sentence(tmp_path, change, sentence):
    content = demos()
    change(content)
    lengths = [6, 11, 4]
    path = tmp_path / "bad.hdf5"
    with h5py.File(path, "w") as file:
        file.create_group("data")
        file["data"].attrs["env_args"] = json.dumps(ENV_ARGS)
        for k, demo in enumerate(content):
            group = file.create_group(f"data/demo_{k}")
            group.attrs["num_samples"] = lengths[k]
            for key, values in demo.items():
                group[key] = values
    with pytest.raises(UserError) as caught:
        import_dataset(path, tmp_path / "s", progress=False)
    assert sentence in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_file_without_rate_or_that_is_no_hdf5_is_refused(tmp_path):
    with pytest.raises(UserError, match="give --rate-hz"):
        import_dataset(write(tmp_path / "r.hdf5", demos(), env_args=None), tmp_path / "s", progress=False)
    (tmp_path / "text.hdf5").write_text("hello")
    with pytest.raises(UserError, match="can't be read as HDF5"):
        import_dataset(tmp_path / "text.hdf5", tmp_path / "s", progress=False)
