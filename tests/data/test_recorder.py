"""The recorder never blocks its sources, accounts for every sample, and ends cleanly on a full disk."""

from __future__ import annotations

import errno
import os
import shutil
import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
import pytest
import recordings

from robot_learning.clock import FakeClock
from robot_learning.data import files, streamwriter
from robot_learning.data.recorder import Recorder
from robot_learning.data.recovery import recover
from robot_learning.data.sample import Sample
from robot_learning.data.store import Store
from robot_learning.data.validation import check
from robot_learning.errors import StoreError, UnknownName


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return recordings.new_store(tmp_path)


class Gate:
    """Holds the writer thread at its next sample until opened, as a slow disk would."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self._open, self.reached = threading.Event(), threading.Event()
        append = streamwriter.StreamWriter.append

        def held(stream: streamwriter.StreamWriter, sample: Sample) -> None:
            self.reached.set()
            assert self._open.wait(60)
            append(stream, sample)

        monkeypatch.setattr(streamwriter.StreamWriter, "append", held)

    def open(self) -> None:
        self._open.set()


def test_what_is_recorded_is_stored(store: Store) -> None:
    with Recorder(store, recordings.CONTRACT, queue_s=60, disk_reserve_bytes=0) as recorder:
        id = recorder.start("lift", "ada", {"seed": 3})
        assert all(recorder.record(sample) for sample in recordings.samples())
        assert recorder.status()["recording"]
        episode = recorder.stop("success", "operator")
    assert episode.id == id
    assert recordings.differences(episode) == []
    assert {k: episode.metadata[k] for k in ("task", "operator", "provenance")} == {
        "task": "lift", "operator": "ada", "provenance": {"seed": 3},
    }  # fmt: skip
    assert check(store) == []
    account = episode.quality["recorder"]["streams"]["wrist"]
    assert (account["offered"], account["dropped"]) == (300, 0)


def test_a_full_queue_drops_counts_and_leaves_a_hole(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    gate = Gate(monkeypatch)
    recorder = Recorder(store, recordings.CONTRACT, queue_s=1.0, disk_reserve_bytes=0)
    recorder.start("test")
    assert recorder.record(recordings.sample("wrist", 0))
    assert gate.reached.wait(60)  # the writer has this one in hand and stands still
    taken = [recorder.record(recordings.sample("wrist", i)) for i in range(1, 50)]
    assert taken == [True] * 30 + [False] * 19  # a second at 30 Hz
    assert recorder.record(recordings.sample("gripper", 0))  # each stream has a queue of its own
    assert recorder.status()["streams"]["wrist"] == {
        "offered": 50, "dropped": 19, "queue_peak": 30, "queue_capacity": 30,
    }  # fmt: skip
    gate.open()
    recorder.record_blocking(recordings.sample("wrist", 50))
    episode = recorder.stop(None, "operator")
    stream = episode.streams["wrist"]
    assert stream.sequence.tolist() == [*range(31), 50]
    expected = np.stack([recordings.stored_value("wrist", i) for i in stream.sequence])
    assert np.array_equal(stream.read(np.arange(32)), expected)
    assert np.array_equal(stream.stamp, [recordings.sample("wrist", i).stamp_ns for i in stream.sequence])
    assert episode.quality["streams"]["wrist"]["missing"] == 19
    assert episode.quality["streams"]["wrist"]["gaps"] == 1
    assert episode.quality["recorder"]["streams"]["wrist"]["dropped"] == 19
    assert not check(episode) or {p.stream for p in check(episode)} == {"front", "front_depth", "joint_position"}


def test_blocking_waits_for_room_instead_of_dropping(store: Store) -> None:
    with Recorder(store, recordings.CONTRACT, FakeClock(), queue_s=0.01, disk_reserve_bytes=0) as recorder:
        recorder.start("simulated")
        assert all(recorder.record_blocking(sample) for sample in recordings.samples())
        episode = recorder.stop("success", "max_steps")
    assert {name: len(s) for name, s in episode.streams.items()} == recordings.COUNTS
    assert recordings.differences(episode) == []
    queues = episode.quality["recorder"]["streams"]
    assert queues["wrist"]["queue_capacity"] == 8
    assert all(q["queue_peak"] <= q["queue_capacity"] for q in queues.values())


def test_a_driver_may_reuse_its_buffer(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    gate = Gate(monkeypatch)
    recorder = Recorder(store, recordings.CONTRACT, disk_reserve_bytes=0)
    recorder.start("test")
    buffer = np.zeros(7)
    for i in range(5):
        buffer[:] = i
        recorder.record(Sample("joint_position", i, i, i, buffer))
    gate.open()
    episode = recorder.stop(None, "operator")
    assert episode.streams["joint_position"].read(np.arange(5))[:, 0].tolist() == [0, 1, 2, 3, 4]


@pytest.mark.parametrize(
    ("stream", "data", "error", "message"),
    [
        ("wrists", np.zeros((8, 8, 3), np.uint8), UnknownName, "did you mean 'wrist'"),
        ("wrist", np.zeros((8, 9, 3), np.uint8), StoreError, r"takes uint8 \(8, 8, 3\) .* got uint8 \(8, 9, 3\)"),
        ("wrist", np.zeros((8, 8, 3)), StoreError, "got float64"),
    ],
)
def test_a_sample_that_does_not_fit_is_refused_and_recording_goes_on(
    store: Store, stream: str, data: np.ndarray, error: type, message: str
) -> None:
    recorder = Recorder(store, recordings.CONTRACT, disk_reserve_bytes=0)
    recorder.start("test")
    recorder.record(recordings.sample("wrist", 0))
    with pytest.raises(error, match=message):
        recorder.record(Sample(stream, 1, 1, 1, data))
    recorder.record(recordings.sample("wrist", 1))
    assert len(recorder.stop(None, "operator").streams["wrist"]) == 2


def test_nan_is_recorded_and_counted(store: Store) -> None:
    recorder = Recorder(store, recordings.CONTRACT, disk_reserve_bytes=0)
    recorder.start("test")
    for i in range(4):
        recorder.record(Sample("joint_position", i, i, i, np.full(7, np.nan if i == 2 else 0.5)))
    episode = recorder.stop(None, "operator")
    assert np.isnan(episode.streams["joint_position"].read([2])).all()
    assert episode.quality["streams"]["joint_position"]["not_finite"] == 1


def test_commands_that_the_gate_changed_are_counted(tmp_path: Path) -> None:
    from robot_learning.contract import Contract, StreamSpec

    specs = tuple(
        StreamSpec(name=name, shape=(3,), dtype="float64", unit="m", rate_hz=20)
        for name in ("action_commanded", "action_gated")
    )
    contract = Contract(rig="t", robot="t", policy_rate_hz=20, streams=specs, features=())
    recorder = Recorder(recordings.new_store(tmp_path), contract, queue_s=10, disk_reserve_bytes=0)
    recorder.start("test")
    for i in range(10):
        commanded = np.full(3, i / 10)
        recorder.record(Sample("action_commanded", i, i, i, commanded))
        if i != 4:  # refused: nothing passed the gate
            recorder.record(Sample("action_gated", i, i, i, np.minimum(commanded, 0.6)))
    assert recorder.stop(None, "operator").quality["commands"] == {"compared": 9, "clipped": 3}


def test_one_episode_at_a_time_and_none_without_start(store: Store) -> None:
    recorder = Recorder(store, recordings.CONTRACT, disk_reserve_bytes=0)
    with pytest.raises(StoreError, match="call start first"):
        recorder.record(recordings.sample("wrist", 0))
    recorder.start("test")
    with pytest.raises(StoreError, match="still being recorded"):
        recorder.start("test")
    with pytest.raises(StoreError, match="'success', 'failure' or None"):
        recorder.stop("won", "operator")
    recorder.record(recordings.sample("wrist", 0))
    assert len(recorder.stop("success", "operator").streams["wrist"]) == 1
    with pytest.raises(StoreError, match="call start first"):
        recorder.stop("success", "operator")


def test_discarding_leaves_nothing(store: Store) -> None:
    recorder = Recorder(store, recordings.CONTRACT, disk_reserve_bytes=0)
    recorder.start("test")
    recorder.record(recordings.sample("wrist", 0))
    recorder.discard()
    assert (store.episodes(), store.open_episodes()) == ([], [])
    recorder.start("again")
    recorder.discard()


def test_an_exception_ends_the_episode_with_its_name(store: Store) -> None:
    recorder = Recorder(store, recordings.CONTRACT, disk_reserve_bytes=0)

    def session() -> None:
        with recorder:
            recorder.start("test")
            recorder.record(recordings.sample("wrist", 0))
            raise RuntimeError("the arm fell off")

    with pytest.raises(RuntimeError):
        session()
    assert store.episodes()[0].metadata["termination_reason"] == "exception RuntimeError"


def test_no_episode_starts_below_the_reserve(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(files, "free_bytes", lambda path: 5_000_000)
    with pytest.raises(StoreError, match=r"has 0.01 GB free, an episode starts with at least 1.00 GB"):
        Recorder(store, recordings.CONTRACT).start("test")
    assert store.open_episodes() == []


class FullAfter:
    """An `os` whose disk takes so many bytes, less those that the ballast holds back."""

    def __init__(self, room: int) -> None:
        self.room = room

    def __getattr__(self, name: str) -> object:
        return getattr(os, name)

    def posix_fallocate(self, fd: int, offset: int, size: int) -> None:
        self._ballast = size

    def unlink(self, path: object) -> None:
        if str(path).endswith("ballast"):
            self.room += self._ballast
        os.unlink(path)

    def pwrite(self, fd: int, data: memoryview, offset: int) -> int:
        if len(data) > self.room:
            os.pwrite(fd, bytes(data)[: self.room], offset)
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        self.room -= len(data)
        return os.pwrite(fd, data, offset)


@pytest.mark.parametrize("room", [0, 20_000, 100_000])
def test_a_full_disk_ends_the_episode_cleanly(store: Store, monkeypatch: pytest.MonkeyPatch, room: int) -> None:
    recorder = Recorder(store, recordings.CONTRACT, queue_s=0.05, disk_reserve_bytes=0)
    monkeypatch.setattr(files, "os", FullAfter(room + 5000))  # the header
    recorder.start("test")
    taken = [recorder.record_blocking(s) for s in recordings.samples(dict.fromkeys(recordings.COUNTS, 3000))]
    assert not taken[-1]
    assert recorder.status()["ended"] == "disk_full"
    episode = recorder.stop("success", "operator")
    assert episode.metadata["termination_reason"] == "disk_full"
    assert [p for p in check(episode) if "absent_streams" not in p.what] == []
    assert recordings.differences(episode) == []
    for name, stream in episode.streams.items():
        account = episode.quality["recorder"]["streams"][name]
        assert account["offered"] == account["dropped"] + len(stream) == 3000
    if room:
        assert sum(len(s) for s in episode.streams.values()) > 20
    recorder.start("after")  # the recorder goes on
    recorder.discard()


def test_any_other_disk_error_ends_the_episode_too(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    recorder = Recorder(store, recordings.CONTRACT, disk_reserve_bytes=0)
    recorder.start("test")

    def broken(fd: int, data: object, offset: int) -> None:
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    with monkeypatch.context() as patch:
        patch.setattr(files, "append", broken)
        index = 0
        while recorder.record_blocking(recordings.sample("front", index)):
            index += 1
        assert recorder.status()["ended"] == "disk_error"
        with pytest.raises(StoreError, match=os.strerror(errno.EIO)):
            recorder.stop(None, "operator")
    assert [r.action for r in recover(store)] == ["removed"]


FULL_TMPFS = """
import sys
sys.path.insert(0, sys.argv[1])
import recordings
from robot_learning.data.recorder import Recorder
from robot_learning.data.store import Store
from robot_learning.data.validation import check
store = Store.create(sys.argv[2] + "/store")
recorder = Recorder(store, recordings.CONTRACT, queue_s=0.05, disk_reserve_bytes=0)
recorder.start("test")
index = 0
while all(recorder.record_blocking(recordings.sample(name, index)) for name in recordings.SPECS):
    index += 1
episode = recorder.stop(None, "operator")
assert episode.metadata["termination_reason"] == "disk_full"
assert check(store) == [], check(store)
assert recordings.differences(episode) == []
assert len(episode.streams["front"]) > 300
print("clean")
"""


def test_a_file_system_that_is_really_full_ends_the_episode_cleanly(tmp_path: Path) -> None:
    mount = tmp_path / "disk"
    mount.mkdir()
    namespace = ["unshare", "--user", "--map-root-user", "--mount"]
    prepare = f"mount -t tmpfs -o size=6m tmpfs {mount}"
    allowed = (
        shutil.which("unshare")
        and not subprocess.run([*namespace, "sh", "-c", prepare], capture_output=True, check=False).returncode
    )
    if not allowed:
        pytest.skip("this machine does not let an ordinary user mount a small file system")
    script = f'{prepare} && exec "$0" -c "$1" "$2" "$3"'
    done = subprocess.run(
        [*namespace, "sh", "-c", script, sys.executable, FULL_TMPFS, str(Path(__file__).parent), str(mount)],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.stdout.strip() == "clean", done.stderr
