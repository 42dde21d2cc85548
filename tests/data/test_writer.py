"""From samples to a sealed episode that plain tools can read and verify."""

from __future__ import annotations

import hashlib
import json
import subprocess
from pathlib import Path

import numpy as np
import pytest
import recordings
import zarr

from robot_learning.clock import FakeClock
from robot_learning.data.format import STORE_FILE
from robot_learning.data.sample import Sample
from robot_learning.data.store import Store
from robot_learning.data.writer import EpisodeWriter
from robot_learning.errors import StoreError, UnknownName


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return recordings.new_store(tmp_path)


def test_every_sample_comes_back_as_it_was_given(store: Store) -> None:
    episode = recordings.record(store)
    assert {name: len(s) for name, s in episode.streams.items()} == recordings.COUNTS
    assert recordings.differences(episode) == []
    assert episode.metadata["task"] == "test"
    assert episode.metadata["outcome"] == "success"
    assert episode.metadata["termination_reason"] == "operator"
    assert episode.contract == recordings.CONTRACT


def test_flushing_after_every_sample_stores_the_same_values(store: Store) -> None:
    writer = EpisodeWriter(store, recordings.CONTRACT, {"task": "test"})
    counts = {"front": 3, "wrist": 4, "front_depth": 2, "joint_position": 20, "gripper": 5}
    for sample in recordings.samples(counts):
        writer.append([sample])
        writer.flush()
    assert writer.counts == counts
    episode = writer.seal("failure", "operator")
    assert recordings.differences(episode) == []
    assert {name: len(s) for name, s in episode.streams.items()} == counts


def test_exact_shards_and_blocks_have_no_ragged_end(store: Store) -> None:
    episode = recordings.record(store, {"wrist": 512, "joint_position": 2048})
    assert recordings.differences(episode) == []
    assert sorted(p.name for p in (episode.path / "wrist" / "data").glob("c.*")) == ["c.0.0.0.0", "c.1.0.0.0"]
    assert len(episode.streams["front"]) == 0


def test_an_episode_without_samples_can_be_sealed_and_read(store: Store) -> None:
    episode = recordings.record(store, {"front": 0})
    assert episode.duration_s == 0.0
    assert episode.streams["front"].read([]).shape == (0, 16, 24, 3)


def test_zarr_agrees_with_the_metadata_that_was_written(store: Store) -> None:
    episode = recordings.record(store)
    group = zarr.open_group(episode.path, mode="r", use_consolidated=False)
    for spec in recordings.STREAMS:
        array = zarr.open_array(episode.path / spec.name / "data", mode="r")
        assert array.shape == (recordings.COUNTS[spec.name], *spec.shape)
        assert array.dtype == spec.dtype
        assert array.metadata == episode.group[f"{spec.name}/data"].metadata
        assert group[f"{spec.name}/time"].metadata == episode.group[f"{spec.name}/time"].metadata


def test_coreutils_can_verify_a_sealed_episode(store: Store) -> None:
    episode = recordings.record(store)
    done = subprocess.run(
        ["sha256sum", "-c", "SHA256SUMS"], cwd=episode.path, capture_output=True, text=True, check=True
    )
    files = [p for p in episode.path.rglob("*") if p.is_file()]
    assert done.stdout.count(": OK") == len(files) - 1
    assert episode.digest == hashlib.sha256((episode.path / "SHA256SUMS").read_bytes()).hexdigest()


def test_nothing_is_left_open_after_sealing_or_discarding(store: Store) -> None:
    recordings.record(store)
    writer = EpisodeWriter(store, recordings.CONTRACT, {"task": "test"})
    writer.append(recordings.samples())
    assert store.open_episodes() == [writer.id]
    writer.discard()
    assert store.open_episodes() == []
    assert len(store.episodes()) == 1


def test_two_writers_at_once_do_not_meet(store: Store) -> None:
    first, second = (EpisodeWriter(store, recordings.CONTRACT, {"task": str(i)}) for i in range(2))
    for sample in recordings.samples({"wrist": 20, "joint_position": 100}):
        first.append([sample])
        second.append([sample])
    episodes = [first.seal("success", "operator"), second.seal("success", "operator")]
    assert {e.id for e in store.episodes()} == {e.id for e in episodes}
    assert all(recordings.differences(e) == [] for e in episodes)


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (np.zeros(6), r"takes float64 \(7,\) .* got float64 \(6,\)"),
        (np.zeros(7, np.float32), r"got float32 \(7,\)"),
        ([0.0] * 7, "got list"),
    ],
)
def test_a_sample_that_does_not_fit_its_stream_is_refused(store: Store, data: object, message: str) -> None:
    writer = EpisodeWriter(store, recordings.CONTRACT, {})
    with pytest.raises(StoreError, match=message):
        writer.append([Sample("joint_position", 0, 0, 0, data)])
    writer.discard()


def test_an_unknown_stream_is_refused_with_the_closest_name(store: Store) -> None:
    writer = EpisodeWriter(store, recordings.CONTRACT, {})
    with pytest.raises(UnknownName, match="did you mean 'joint_position'"):
        writer.append([Sample("joint_positions", 0, 0, 0, np.zeros(7))])
    writer.discard()


def test_metadata_that_is_not_json_is_refused_before_anything_is_written(store: Store) -> None:
    with pytest.raises(StoreError, match="JSON"):
        EpisodeWriter(store, recordings.CONTRACT, {"provenance": {"scale": float("nan")}})
    assert store.open_episodes() == []


def test_the_clock_names_the_beginning(store: Store) -> None:
    writer = EpisodeWriter(store, recordings.CONTRACT, {}, FakeClock(12345))
    writer.append(recordings.samples({"gripper": 2}))
    assert writer.seal(None, "operator").metadata["recorded_ns"] == 12345


def test_a_folder_that_is_no_store_is_refused(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="not a store"):
        Store.open(tmp_path)
    (tmp_path / "precious.txt").write_text("x")
    with pytest.raises(StoreError, match="not empty and not a store"):
        Store.open_or_create(tmp_path)


def test_a_store_is_created_once(store: Store) -> None:
    with pytest.raises(StoreError, match="is a store already"):
        Store.create(store.path)
    assert Store.open_or_create(store.path).path == store.path


def test_another_format_version_is_refused(store: Store) -> None:
    (store.path / STORE_FILE).write_text(json.dumps({"format": "robot_learning.store", "version": 2}))
    with pytest.raises(StoreError, match="has format version 2; this robot_learning reads version 1"):
        Store.open(store.path)


def test_a_misspelt_episode_is_answered_with_the_closest(store: Store) -> None:
    episode = recordings.record(store)
    with pytest.raises(UnknownName, match=f"did you mean '{episode.id}'"):
        store.episode(episode.id[:-1] + "_")


def test_an_unwritable_store_is_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(StoreError, match="can't be written or read"):
        Store.create(tmp_path / "file" / "store")


def test_reading_beyond_the_end_is_an_index_error(store: Store) -> None:
    stream = recordings.record(store).streams["front"]
    with pytest.raises(IndexError, match="samples 0 to 29"):
        stream.read([30])
    assert np.array_equal(stream.read([5, 2, 5]), np.stack([recordings.stored_value("front", i) for i in (5, 2, 5)]))


def test_quality_counts_what_the_samples_show(store: Store) -> None:
    writer = EpisodeWriter(store, recordings.CONTRACT, {})
    stamps = [0, 1_000_000, 2_000_000, 5_000_000, 5_000_000]  # a hole of two, then no progress
    for sequence, stamp in zip([0, 1, 2, 5, 5], stamps, strict=True):
        value = np.full(7, np.inf if stamp == 0 else 0.0)
        writer.append([Sample("joint_position", stamp, stamp + 200_000, sequence, value)])
        writer.flush()
    record = writer.seal(None, "operator").quality["streams"]["joint_position"]
    assert record["samples"] == 5
    assert record["missing"] == 2
    assert record["repeated_sequence"] == 1
    assert record["not_increasing"] == 1
    assert record["gaps"] == 1
    assert record["longest_interval_s"] == pytest.approx(0.003)
    assert record["not_finite"] == 1
    assert record["rate_hz"] == pytest.approx(4 / 0.005)
    assert record["jitter_s"] == pytest.approx(np.std([1e-3, 1e-3, 3e-3, 0]))
    assert record["latency_mean_s"] == pytest.approx(2e-4)
