"""Edits change how an episode is read, never its bytes; snapshots name both."""

from __future__ import annotations

import hashlib
import json
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
import recordings

from robot_learning.data.edits import edit, history
from robot_learning.data.snapshot import snapshot, snapshot_of
from robot_learning.data.store import Episode, Store
from robot_learning.errors import StoreError, UnknownName


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return recordings.new_store(tmp_path)


def content(episode: Episode) -> dict[str, bytes]:
    return {str(p): p.read_bytes() for p in episode.path.rglob("*") if p.is_file()}


def test_edits_show_in_the_metadata_and_leave_the_bytes_alone(store: Store) -> None:
    episode = recordings.record(store)
    before = content(episode)
    edit(store, episode.id, outcome="failure", task="another task", editor="ada", note="dropped it")
    edited = store.episode(episode.id)
    assert edited.metadata["outcome"] == "failure"
    assert edited.metadata["task"] == "another task"
    assert edited.metadata["termination_reason"] == "operator"
    assert content(edited) == before
    assert history(store.path, episode.id)[0]["editor"] == "ada"


def test_the_last_edit_wins_and_the_history_stays(store: Store) -> None:
    episode = recordings.record(store)
    for outcome in ("failure", None, "success"):
        edit(store, episode.id, outcome=outcome)
    assert store.episode(episode.id).metadata["outcome"] == "success"
    assert [r["outcome"] for r in history(store.path, episode.id)] == ["failure", None, "success"]


def test_a_trim_cuts_every_stream_by_its_own_stamps(store: Store) -> None:
    episode = recordings.record(store)
    edit(store, episode.id, trim_ns=(200_000_000, 500_000_000))
    trimmed = store.episode(episode.id)
    assert (trimmed.start_ns, trimmed.end_ns, trimmed.duration_s) == (200_000_000, 500_000_000, 0.3)
    positions = trimmed.streams["joint_position"]
    assert np.array_equal(positions.stamp, np.arange(200, 501) * 1_000_000)
    assert np.array_equal(positions.read([0, 300])[:, 0], [200, 500])
    front = trimmed.streams["front"]
    assert front.stamp.min() >= 200_000_000
    assert front.stamp.max() <= 500_000_000
    assert np.array_equal(front.read([0])[0], recordings.stored_value("front", int(front.sequence[0])))
    assert front.data.shape[0] == 30
    with pytest.raises(IndexError):
        positions.read([301])
    edit(store, episode.id, trim_ns=None)
    assert len(store.episode(episode.id).streams["joint_position"]) == 1500


@pytest.mark.parametrize("trim", [(-1, 5), (5, 5), (10, 5), (0, 10**12)])
def test_a_trim_outside_the_episode_is_refused(store: Store, trim: tuple[int, int]) -> None:
    episode = recordings.record(store)
    with pytest.raises(StoreError, match="inside an episode"):
        edit(store, episode.id, trim_ns=trim)


def test_a_deleted_episode_is_left_out_until_it_is_undeleted(store: Store) -> None:
    first, second = recordings.record(store), recordings.record(store)
    whole = snapshot(store)
    edit(store, first.id, deleted=True)
    assert [e.id for e in store.episodes()] == [second.id]
    assert [e.id for e in store.episodes(include_deleted=True)] == sorted([first.id, second.id])
    assert snapshot(store) == snapshot_of([second])
    edit(store, first.id, deleted=False)
    assert snapshot(store) == whole


def test_a_misspelt_edit_or_outcome_is_refused(store: Store) -> None:
    episode = recordings.record(store)
    with pytest.raises(UnknownName, match="did you mean 'outcome'"):
        edit(store, episode.id, outcom="success")
    with pytest.raises(StoreError, match="'success', 'failure' or None"):
        edit(store, episode.id, outcome="great")
    with pytest.raises(StoreError, match="nothing to edit"):
        edit(store, episode.id)
    assert history(store.path, episode.id) == []


def test_editors_at_the_same_time_lose_nothing(store: Store) -> None:
    episode = recordings.record(store)
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda i: edit(store, episode.id, task=f"task {i}"), range(24)))
    assert sorted(r["task"] for r in history(store.path, episode.id)) == sorted(f"task {i}" for i in range(24))


def test_a_snapshot_is_the_hash_of_sorted_ids_and_digests(store: Store) -> None:
    episodes = [recordings.record(store) for _ in range(2)]
    taken = snapshot(store)
    assert taken.episodes == tuple(sorted((e.id, e.digest) for e in episodes))
    lines = "".join(f"{id} {digest}\n" for id, digest in taken.episodes)
    assert taken.hash == hashlib.sha256(lines.encode()).hexdigest()
    assert snapshot_of(reversed(store.episodes())) == taken


def test_a_snapshot_changes_with_data_and_edits_and_only_with_them(store: Store) -> None:
    episode = recordings.record(store)
    hashes = [snapshot(store).hash]
    edit(store, episode.id, task="again")
    hashes.append(snapshot(store).hash)
    edit(store, episode.id, trim_ns=(0, 100_000_000))
    hashes.append(snapshot(store).hash)
    recordings.record(store)
    hashes.append(snapshot(store).hash)
    assert len(set(hashes)) == 4
    assert snapshot(Store.open(store.path)).hash == hashes[-1]
    edit(store, episode.id, task="again", note="the same effect")
    assert snapshot(store).hash == hashes[-1]


def test_a_changed_episode_has_another_digest(store: Store) -> None:
    episode = recordings.record(store)
    digest = episode.digest
    recordings.flip_byte(episode.path / "SHA256SUMS", 3)
    assert Episode(store.path, episode.id).digest != digest


def test_an_edit_of_another_version_is_refused(store: Store) -> None:
    episode = recordings.record(store)
    edit(store, episode.id, task="x")
    record = next((store.path / "edits" / episode.id).glob("*.json"))
    record.write_text(json.dumps({**json.loads(record.read_text()), "version": 7}))
    with pytest.raises(StoreError, match="format version 7"):
        _ = store.episode(episode.id).metadata
