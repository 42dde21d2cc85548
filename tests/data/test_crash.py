"""Death at any instant: sealing is one step, recovery is idempotent, nothing flushed is lost."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import faults
import numpy as np
import pytest
import recordings
import victims

from robot_learning.data import files
from robot_learning.data.recovery import recover
from robot_learning.data.sample import Sample
from robot_learning.data.store import Store
from robot_learning.data.validation import check
from robot_learning.data.writer import EpisodeWriter
from robot_learning.errors import StoreError

HALF = {name: count // 2 for name, count in recordings.COUNTS.items()}


class Zygote:
    """Forks victims on request; see victims.py."""

    def __init__(self) -> None:
        self._process = subprocess.Popen(
            [sys.executable, victims.__file__], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )

    def start(self, function: str, *arguments: object) -> int:
        """Fork a victim and return its process id."""
        self._process.stdin.write(json.dumps([function, *arguments]) + "\n")
        self._process.stdin.flush()
        return int(self._process.stdout.readline())

    def wait(self) -> int:
        """Its exit code, negative for a signal."""
        return int(self._process.stdout.readline())

    def run(self, function: str, path: Path, mode: str, at: int) -> int:
        self.start(function, str(path), mode, at)
        return self.wait()

    def close(self) -> None:
        self._process.communicate("")


@pytest.fixture(scope="module")
def zygote() -> Iterator[Zygote]:
    server = Zygote()
    yield server
    server.close()


@pytest.fixture
def quick_disk(monkeypatch: pytest.MonkeyPatch) -> None:
    """What the tests themselves write, after the victim's death, need not be synced."""
    monkeypatch.setattr(files, "os", faults.FaultyOs("count"))


def assert_recovers(store: Store, where: str) -> None:
    """One whole episode comes back, holding at least what was flushed; a second recovery finds nothing to do."""
    sealed_already = bool(store.episodes())
    recover(store)
    assert recover(store) == [], where
    assert store.open_episodes() == [], where
    (episode,) = store.episodes()
    assert check(episode) == [], where
    assert recordings.differences(episode) == [], where
    counts = {name: len(stream) for name, stream in episode.streams.items()}
    if sealed_already:
        assert episode.metadata["termination_reason"] == "operator", where
        assert counts == victims.COUNTS, where
    else:
        assert episode.metadata["termination_reason"] == "recovered", where
        assert counts in (victims.FLUSHED, victims.COUNTS), where


@pytest.mark.usefixtures("quick_disk")
@pytest.mark.parametrize("mode", ["kill", "power"])
def test_an_episode_killed_at_any_change_is_whole_or_recovers_whole(tmp_path: Path, zygote: Zygote, mode: str) -> None:
    probe = Store.create(tmp_path / "probe")
    changes = zygote.run("write_and_seal", probe.path, "count", 0)
    for at in range(1, changes + 1):
        store = Store.create(tmp_path / str(at))
        assert zygote.run("write_and_seal", store.path, mode, at) == -signal.SIGKILL
        assert_recovers(store, f"{mode} at change {at} of {changes}")


@pytest.mark.usefixtures("quick_disk")
def test_recovery_killed_at_any_change_can_be_repeated(tmp_path: Path, zygote: Zygote) -> None:
    dead = Store.create(tmp_path / "dead")
    assert zygote.run("write_and_seal", dead.path, "kill", 30) == -signal.SIGKILL
    shutil.copytree(dead.path, tmp_path / "probe")
    changes = zygote.run("recover_store", tmp_path / "probe", "count", 0)
    for at in range(1, changes + 1):
        mode = ("kill", "power")[at % 2]
        shutil.copytree(dead.path, tmp_path / str(at))
        assert zygote.run("recover_store", tmp_path / str(at), mode, at) == -signal.SIGKILL
        store = Store.open(tmp_path / str(at))
        recover(store)
        assert recover(store) == []
        (episode,) = store.episodes()
        assert check(episode) == [], f"{mode} at change {at} of {changes}"
        assert recordings.differences(episode) == []
        assert {n: len(s) for n, s in episode.streams.items()} in (victims.FLUSHED, victims.COUNTS)


@pytest.mark.usefixtures("quick_disk")
def test_a_disk_that_fills_at_any_change_while_sealing_loses_nothing(
    tmp_path: Path, zygote: Zygote, monkeypatch: pytest.MonkeyPatch
) -> None:
    changes = zygote.run("write_and_seal", Store.create(tmp_path / "probe").path, "count", 0)
    refused = 0
    for at in range(1, changes + 1):
        store = Store.create(tmp_path / str(at))
        writer = EpisodeWriter(store, victims.CONTRACT, {"task": "test"})
        writer.append(recordings.samples(victims.COUNTS))
        writer.flush()
        with monkeypatch.context() as patch:
            system = faults.FaultyOs("full", at)
            system.arm()
            patch.setattr(files, "os", system)
            try:
                writer.seal("success", "operator")
            except files.DiskFullError:
                refused += 1
        recover(store)
        (episode,) = store.episodes()
        assert check(episode) == []
        assert recordings.differences(episode) == []
        assert {n: len(s) for n, s in episode.streams.items()} == victims.COUNTS
    assert refused > 10


def test_a_writer_that_lives_is_left_alone(tmp_path: Path) -> None:
    store = Store.create(tmp_path / "store")
    writer = EpisodeWriter(store, recordings.CONTRACT, {"task": "test"})
    writer.append(recordings.samples())
    writer.flush()
    assert [r.action for r in recover(store)] == ["busy"]
    assert check(store) == []
    assert recordings.differences(writer.seal("success", "operator")) == []


def test_an_episode_without_a_flush_is_removed(tmp_path: Path) -> None:
    store = Store.create(tmp_path / "store")
    writer = EpisodeWriter(store, recordings.CONTRACT, {"task": "test"})
    writer.append(recordings.samples())
    writer.abandon()
    assert [r.action for r in recover(store)] == ["removed"]
    assert store.open_episodes() == []


def test_a_damaged_tail_costs_only_what_lies_behind_it(tmp_path: Path) -> None:
    store = Store.create(tmp_path / "store")
    writer = EpisodeWriter(store, recordings.CONTRACT, {"task": "test"})
    writer.append(recordings.samples())
    writer.flush()
    shard = store.path / "open" / writer.id / "episode" / "wrist" / "data" / "c.1.0.0.0"
    writer.abandon()
    recordings.flip_byte(shard, shard.stat().st_size * 3 // 4)  # of chunks 256 to 299
    (report,) = recover(store)
    (episode,) = store.episodes()
    assert report.samples["wrist"] == 256 + 33
    assert report.lost["wrist"] == 11
    assert episode.quality["recovery"]["lost"]["wrist"] == 11
    assert len(episode.streams["front"]) == recordings.COUNTS["front"]
    assert check(episode) == []
    assert recordings.differences(episode) == []


def test_a_damaged_journal_ends_the_episode_there(tmp_path: Path) -> None:
    store = Store.create(tmp_path / "store")
    writer = EpisodeWriter(store, recordings.CONTRACT, {"task": "test"})
    writer.append(recordings.samples(HALF))
    writer.flush()
    journal = store.path / "open" / writer.id / "journal"
    size = journal.stat().st_size
    writer.append(recordings.samples(recordings.COUNTS, HALF))
    writer.flush()
    writer.abandon()
    recordings.flip_byte(journal, size + 100)
    assert [r.action for r in recover(store)] == ["recovered"]
    (episode,) = store.episodes()
    assert {n: len(s) for n, s in episode.streams.items()} == HALF
    assert check(episode) == []


def test_a_damaged_header_is_kept_for_people_to_look_at(tmp_path: Path) -> None:
    store = Store.create(tmp_path / "store")
    writer = EpisodeWriter(store, recordings.CONTRACT, {"task": "test"})
    writer.append(recordings.samples())
    writer.flush()
    writer.abandon()
    header = store.path / "open" / writer.id / "header"
    header.write_bytes(header.read_bytes()[:-20])
    assert [r.action for r in recover(store)] == ["kept"]
    assert store.open_episodes() == [writer.id]
    assert "no end" in check(store)[0].what


def test_recovery_does_not_invent_what_a_nan_count_said(tmp_path: Path) -> None:
    store = Store.create(tmp_path / "store")
    writer = EpisodeWriter(store, recordings.CONTRACT, {"task": "test"})
    writer.append(Sample("joint_position", i, i, i, np.full(7, np.nan if i == 3 else 0.0)) for i in range(5))
    writer.flush()
    writer.abandon()
    recover(store)
    assert store.episodes()[0].quality["streams"]["joint_position"]["not_finite"] == 1


@pytest.mark.parametrize("delay_s", [0.7, 1.6])
def test_sigkill_while_recording_loses_at_most_a_second(tmp_path: Path, zygote: Zygote, delay_s: float) -> None:
    store = Store.create(tmp_path / "store")
    pid = zygote.start("record", str(store.path))
    while not (store.path / "started").exists():
        time.sleep(0.01)
    time.sleep(delay_s)
    killed_ns = time.time_ns()
    os.kill(pid, signal.SIGKILL)
    assert zygote.wait() == -signal.SIGKILL
    assert [r.action for r in recover(store)] == ["recovered"]
    (episode,) = store.episodes()
    for name in ("joint_position", "wrist"):
        stream = episode.streams[name]
        assert np.array_equal(stream.sequence, np.arange(len(stream)))
        expected = [recordings.stored_value(name, i) for i in range(len(stream))]
        assert np.array_equal(stream.data[:], np.stack(expected))
        assert killed_ns - stream.received[-1] < 1_000_000_000


def test_sealing_needs_an_outcome_that_exists(tmp_path: Path) -> None:
    writer = EpisodeWriter(Store.create(tmp_path / "store"), recordings.CONTRACT, {"task": "test"})
    with pytest.raises(StoreError, match="'success', 'failure' or None"):
        writer.seal("sucess", "operator")
    writer.discard()
