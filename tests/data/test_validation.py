"""Each kind of damage is named with its place, and all else stays readable."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import recordings

from robot_learning.data.edits import edit
from robot_learning.data.sample import Sample
from robot_learning.data.store import Episode, Store
from robot_learning.data.validation import Problem, check
from robot_learning.data.writer import EpisodeWriter
from robot_learning.errors import StoreError


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return recordings.new_store(tmp_path)


def places(problems: list[Problem]) -> list[tuple[str | None, int | None]]:
    return [(p.stream, p.index) for p in problems]


def write(store: Store, samples: list[Sample]) -> Episode:
    absent = [s.name for s in recordings.STREAMS if s.name not in {x.stream for x in samples}]
    writer = EpisodeWriter(store, recordings.CONTRACT, {"task": "", "absent_streams": absent})
    writer.append(samples)
    return writer.seal(None, "operator")


def test_a_sound_store_has_no_problems(store: Store) -> None:
    recordings.record(store)
    assert check(store) == []


def test_a_flipped_byte_names_the_frame_and_spares_the_others(store: Store) -> None:
    episode = recordings.record(store)
    sound = recordings.record(store)
    shard = episode.path / "front" / "data" / "c.0.0.0.0"
    recordings.flip_byte(shard, shard.stat().st_size // 8)
    problems = check(store)
    assert {p.episode for p in problems} == {episode.id}
    index = problems[-1].index
    assert problems[-1] == Problem(episode.id, "front", index, "data is damaged")
    with pytest.raises(StoreError, match=rf"{episode.id}, stream 'front' can't be read"):
        store.episode(episode.id).streams["front"].read([index])
    others = [i for i in range(30) if i != index]
    expected = np.stack([recordings.stored_value("front", i) for i in others])
    assert np.array_equal(store.episode(episode.id).streams["front"].read(others), expected)
    assert np.array_equal(store.episode(episode.id).streams["wrist"].sequence, np.arange(300))
    assert recordings.differences(sound) == []


def test_a_flipped_byte_in_a_block_names_the_block(store: Store) -> None:
    episode = recordings.record(store)
    shard = episode.path / "joint_position" / "data" / "c.0.0"
    recordings.flip_byte(shard, shard.stat().st_size - 4100 - 50)  # in the second block of 1024
    assert ("joint_position", 1024) in places(check(episode))


@pytest.mark.parametrize("stream", ["front", "joint_position"])
def test_a_truncated_shard_names_what_can_no_longer_be_read(store: Store, stream: str) -> None:
    episode = recordings.record(store)
    shard = next((episode.path / stream / "data").glob("c.0*"))
    shard.write_bytes(shard.read_bytes()[:-200])
    last = recordings.COUNTS[stream] - 1
    problems = [p for p in check(episode) if p.index == 0]
    assert problems[0].stream == stream
    assert f"from here to sample {last}" in problems[0].what


def test_a_missing_shard_and_a_missing_stream_are_named(store: Store) -> None:
    episode = recordings.record(store)
    (episode.path / "wrist" / "data" / "c.1.0.0.0").unlink()
    shutil.rmtree(episode.path / "gripper")
    assert [str(p) for p in check(episode)] == [
        f"episode {episode.id}, stream 'wrist': the file wrist/data/c.1.0.0.0 is missing",
        f"episode {episode.id}, stream 'wrist', sample 256: data can't be read from here to sample 299: "
        "its file is missing",
        f"episode {episode.id}, stream 'gripper': the stream is missing",
    ]


def test_a_stray_file_is_named(store: Store) -> None:
    episode = recordings.record(store)
    (episode.path / "wrist" / "notes.txt").write_text("hello")
    assert [p.what for p in check(episode)] == ["the file wrist/notes.txt is not in SHA256SUMS"]


def test_any_flipped_byte_anywhere_is_found(store: Store) -> None:
    episode = recordings.record(store, {"front": 3, "joint_position": 20})
    rng = np.random.default_rng(0)
    for path in sorted(p for p in episode.path.rglob("*") if p.is_file()):
        whole = path.read_bytes()
        recordings.flip_byte(path, int(rng.integers(len(whole))))
        assert check(Episode(store.path, episode.id)), path
        path.write_bytes(whole)
    assert check(episode) == []


def test_stamps_and_sequence_that_do_not_increase_are_named(store: Store) -> None:
    rows = [(0, 0), (10, 1), (10, 2), (20, 2)]
    episode = write(store, [Sample("gripper", t, t, s, np.array(0, np.float32)) for t, s in rows])
    assert places(check(episode)) == [("gripper", 2), ("gripper", 3)]


def test_nan_is_found_where_it_is(store: Store) -> None:
    values = [np.full(7, np.nan if i == 5 else 1.0) for i in range(9)]
    episode = write(store, [Sample("joint_position", i, i, i, v) for i, v in enumerate(values)])
    assert places(check(episode)) == [("joint_position", 5)]


def test_a_stream_without_samples_must_be_declared_absent(store: Store) -> None:
    writer = EpisodeWriter(store, recordings.contract("wrist", "gripper"), {"task": ""})
    writer.append([recordings.sample("wrist", 0)])
    (problem,) = check(writer.seal(None, "operator"))
    assert (problem.stream, "absent_streams" in problem.what) == ("gripper", True)


def tampered(episode: Episode, change: dict) -> list[Problem]:
    """Problems after changing the stored description of an episode."""
    path = episode.path / "zarr.json"
    root = json.loads(path.read_text())
    root["attributes"]["robot_learning"] |= change
    path.write_text(json.dumps(root))
    return check(episode)


def test_an_unknown_format_version_is_named(store: Store) -> None:
    episode = recordings.record(store)
    other = recordings.record(store)
    (problem,) = tampered(episode, {"version": 9})
    assert "format version 9" in problem.what
    assert [p.episode for p in check(store)] == [episode.id]
    assert recordings.differences(other) == []


def test_an_episode_without_an_end_is_named(store: Store) -> None:
    episode = recordings.record(store)
    problems = tampered(episode, {"metadata": {"task": "", "outcome": None, "termination_reason": ""}})
    assert any("no end" in p.what for p in problems)


def test_lengths_that_disagree_are_named(store: Store) -> None:
    episode = recordings.record(store)
    quality = json.loads(json.dumps(episode.quality))
    quality["streams"]["gripper"]["samples"] = 90
    problems = tampered(Episode(store.path, episode.id), {"quality": quality})
    assert ("gripper", 90) in places(problems)
    assert any("data has 100 samples, recorded were 90" in p.what for p in problems)


def test_a_writer_that_died_is_a_problem_until_recovery(store: Store) -> None:
    writer = EpisodeWriter(store, recordings.CONTRACT, {"task": ""})
    writer.append(recordings.samples())
    writer.flush()
    assert check(store) == []  # it lives
    writer.abandon()
    (problem,) = check(store)
    assert problem.episode == writer.id
    assert "no end" in problem.what


def test_a_deleted_episode_is_no_problem_any_more(store: Store) -> None:
    episode = recordings.record(store)
    (episode.path / "SHA256SUMS").unlink()
    assert check(store)
    edit(store, episode.id, deleted=True)
    assert check(store) == []


def test_a_broken_edit_is_named_and_the_rest_is_readable(store: Store) -> None:
    broken, sound = recordings.record(store), recordings.record(store)
    edit(store, broken.id, task="x")
    next((store.path / "edits" / broken.id).glob("*.json")).write_text("{")
    (problem,) = check(store)
    assert problem.episode == broken.id
    assert recordings.differences(store.episode(sound.id)) == []
