"""A recording session without ROS: what starts an episode, what ends it, and what is remembered of it."""

from __future__ import annotations

import errno
import os
import time
from types import SimpleNamespace

import numpy as np
import pytest

from robot_learning.clock import FakeClock
from robot_learning.contract import Contract, StreamSpec
from robot_learning.data import files
from robot_learning.data.sample import Sample
from robot_learning.data.store import Store
from robot_learning.data.validation import check
from robot_learning.deployment.script import NOT_RECORDING, RECORDING
from robot_learning.deployment.session import NotReady, Session
from robot_learning.errors import StoreError

S = 1_000_000_000
CAMERA = StreamSpec(name="front", shape=(4, 6, 3), dtype="uint8", unit="rgb", rate_hz=10, codec="lossless")
CONTRACT = Contract(
    rig="test",
    robot="none",
    policy_rate_hz=10,
    streams=(
        CAMERA,
        StreamSpec(name="joint_position", shape=(2,), dtype="float64", unit="rad", rate_hz=20),
        StreamSpec(name="action_gated", shape=(2,), dtype="float64", unit="rad", rate_hz=10),
        StreamSpec(name="commander", shape=(1,), dtype="float64", unit="1", rate_hz=10),
    ),
    features=(),
)


class Rig:
    """Samples in step with the clock; a test leaves streams out, or gives others instead."""

    def __init__(self, session, clock):
        self.session, self.clock = session, clock
        self.sequence = dict.fromkeys(("front", "joint_position", "action_gated", "commander"), -1)

    def sample(self, stream, behind_s=0.0, value=0.0):
        spec = CONTRACT.stream(stream)
        self.sequence[stream] += 1
        now = self.clock.now_ns()
        data = np.full(spec.shape, value, spec.dtype)
        return Sample(stream, now - round(behind_s * S), now, self.sequence[stream], data)

    def run(self, seconds, *streams):
        """Time passes; each of the streams sends every 0.1 s. Returns what ended the episode, if anything did."""
        for _ in range(round(seconds / 0.1)):
            self.clock.advance(0.1)
            self.session.extend([self.sample(stream) for stream in streams])
            if ended := self.session.look():
                return ended
        return None


@pytest.fixture
def station(tmp_path):
    clock = FakeClock(1_000 * S)
    session = Session(Store.create(tmp_path / "store"), CONTRACT, clock, queue_s=60, disk_reserve_bytes=0)
    rig = Rig(session, clock)
    rig.run(0.5, "front", "joint_position")
    yield SimpleNamespace(session=session, clock=clock, rig=rig, store=Store.open(tmp_path / "store"))
    if session.recording:
        session.discard()


def until(condition):
    """Wait for what the recorder's own thread does."""
    end = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.005)


def newest(station):
    return station.store.episodes()[-1]


def test_an_episode_holds_what_came_while_it_was_recorded_and_who_did_what(station):
    id = station.session.start("lift the cube", "ada", {"why": "test"}, missing={"commander": "nobody publishes it"})
    assert station.rig.run(2.0, "front", "joint_position", "action_gated") is None
    mark = station.session.mark()
    ended = station.session.end("success", "operator")
    assert "nobody commanded" not in ended.text
    station.rig.run(0.5, "front", "joint_position")
    assert (ended.id, ended.outcome, ended.reason) == (id, "success", "operator")
    episode = newest(station)
    assert {k: episode.metadata[k] for k in ("task", "operator", "outcome", "termination_reason", "marks")} == {
        "task": "lift the cube", "operator": "ada", "outcome": "success", "termination_reason": "operator",
        "marks": [mark],
    }  # fmt: skip
    assert episode.metadata["provenance"] == {"why": "test"}
    assert episode.metadata["absent_streams"] == ["commander"]
    assert [len(episode.streams[name]) for name in ("front", "action_gated", "commander")] == [20, 20, 0]
    assert check(station.store) == []


def test_a_start_names_each_stream_that_is_missing_and_why(tmp_path):
    clock = FakeClock(S)
    session = Session(Store.create(tmp_path / "store"), CONTRACT, clock, queue_s=60, disk_reserve_bytes=0)
    rig = Rig(session, clock)
    with pytest.raises(NotReady, match=r"2 of 4 streams fail: front, joint_position: nothing has come yet"):
        session.start("lift")
    with pytest.raises(NotReady, match="action_gated: nobody publishes /x; front"):
        session.start("lift", missing={"action_gated": "nobody publishes /x", "commander": "nobody publishes /y"})
    rig.run(3.0, "front", "joint_position")
    rig.run(2.0, "front")
    with pytest.raises(NotReady, match=r"1 of 4 streams fail: joint_position: silent for 2\.0 s"):
        session.start("lift")
    session.refuse("joint_position", "/joint_states: message refused: its header is not stamped")
    with pytest.raises(NotReady, match="joint_position: /joint_states: message refused: its header is not stamped"):
        session.start("lift")
    session.extend([rig.sample("joint_position", behind_s=3600)])
    with pytest.raises(NotReady, match=r"joint_position: its stamps are 3600\.0 s old: set its clock"):
        session.start("lift")
    session.extend([rig.sample("joint_position")])
    with pytest.raises(NotReady, match="task"):
        session.start("")
    assert session.start("lift")
    with pytest.raises(NotReady, match=RECORDING):
        session.start("lift")
    session.discard()
    assert Store.open(tmp_path / "store").episodes() == []


def test_an_episode_without_any_sample_is_thrown_away(station):
    station.session.start("lift")
    ended = station.session.end("success", "operator")
    assert ended.id == ""
    assert "held no sample" in ended.text
    assert station.store.episodes() == []


def test_nothing_ends_what_has_not_begun(station):
    for act in (lambda: station.session.end(None, "x"), station.session.discard, station.session.mark):
        with pytest.raises(NotReady, match=NOT_RECORDING):
            act()


def test_a_stream_that_falls_silent_ends_the_episode_and_is_named(station):
    station.session.start("lift")
    station.rig.run(1.0, "front", "joint_position")
    ended = station.rig.run(5.0, "joint_position")
    assert (ended.reason, ended.outcome) == ("silent: front", None)
    episode = newest(station)
    assert episode.metadata["termination_reason"] == "silent: front"
    assert len(episode.streams["front"]) == 10
    assert 1.0 <= episode.duration_s - 1.0 < 1.3  # a second of silence, and a look
    assert not station.session.recording


def test_commands_may_be_silent_and_a_slow_stream_has_three_of_its_periods(station, tmp_path):
    station.session.start("lift")
    assert station.rig.run(4.0, "front", "joint_position") is None
    station.session.discard()
    slow = CONTRACT.model_copy(update={"streams": (CAMERA.model_copy(update={"rate_hz": 0.5}),)})
    session = Session(Store.create(tmp_path / "slow"), slow, station.clock, disk_reserve_bytes=0)
    rig = Rig(session, station.clock)
    rig.run(0.1, "front")
    session.start("watch")
    rig.run(0.1, "front")
    assert rig.run(5.5) is None
    assert rig.run(2.0).reason == "silent: front"


def test_a_stall_of_the_recorder_itself_ends_nothing(station):
    station.session.start("lift")
    station.rig.run(1.0, "front", "joint_position")
    station.clock.advance(10)
    assert station.session.look() is None  # the messages that wait have not been delivered yet
    assert station.rig.run(0.3) is None
    assert station.rig.run(1.0, "front", "joint_position") is None
    station.clock.advance(10)
    assert station.rig.run(1.5).reason == "silent: front, joint_position"


def test_messages_that_are_refused_are_counted_by_reason_and_are_no_sign_of_life(station):
    station.session.refuse("front", "before the episode")
    station.session.start("lift")
    station.rig.run(0.5, "front", "joint_position")
    for _ in range(3):
        station.session.refuse("front", "its header is not stamped")
    for k in range(100):
        station.session.refuse("joint_position", f"reason {k}")
    assert station.session.status()["refused"] == 103
    ended = station.rig.run(5.0, "joint_position")
    assert ended.reason == "silent: front"
    record = newest(station).quality["intake"]["refused"]
    assert record["front"] == {"its header is not stamped": 3}
    assert sum(record["joint_position"].values()) == 100
    assert len(record["joint_position"]) < 20
    assert newest(station).metadata["events"][-1]["what"] == "its header is not stamped"


def test_stamps_that_go_back_are_recorded_and_remembered_and_end_the_episode_once_nothing_usable_comes(station):
    station.session.start("lift")
    station.rig.run(0.5, "front", "joint_position")
    for _ in range(30):
        station.clock.advance(0.1)
        station.session.extend([station.rig.sample("joint_position"), station.rig.sample("front", behind_s=7.0)])
        if ended := station.session.look():
            break
    assert ended.reason == "silent: front"
    episode = newest(station)
    (event,) = episode.metadata["events"]
    assert (event["stream"], event["what"]) == ("front", "its stamps went back by 6.900 s")
    assert len(episode.streams["front"]) > 10


def test_stamps_that_go_back_a_little_and_catch_up_end_nothing(station):
    station.session.start("lift")
    for k in range(40):
        station.clock.advance(0.1)
        station.session.extend(
            [station.rig.sample("joint_position"), station.rig.sample("front", behind_s=0.15 * (k % 2))]
        )
        assert station.session.look() is None


def test_a_jump_of_time_ends_the_episode_and_what_came_before_no_longer_counts(station):
    station.session.start("lift")
    station.rig.run(1.0, "front", "joint_position")
    ended = station.session.time_jumped()
    assert (ended.reason, ended.outcome) == ("clock_reset", None)
    assert newest(station).metadata["termination_reason"] == "clock_reset"
    with pytest.raises(NotReady, match="nothing has come yet"):
        station.session.start("lift")
    station.rig.run(0.2, "front", "joint_position")
    assert station.session.start("lift")
    station.session.discard()
    assert station.session.time_jumped() is None


def test_interventions_are_the_times_that_a_person_commanded(station):
    station.session.start("lift")
    stamps = []
    for human in (0, 1, 1, 1, 0, 0, 1, 1):
        station.clock.advance(0.1)
        stamps.append(station.clock.now_ns())
        streams = [station.rig.sample("front"), station.rig.sample("joint_position")]
        station.session.extend([*streams, station.rig.sample("commander", value=human)])
    station.session.end("success", "operator")
    episode = newest(station)
    assert episode.metadata["interventions"] == [[stamps[1], stamps[4]], [stamps[6], stamps[7]]]
    assert episode.metadata["absent_streams"] == []


def test_a_commander_that_appears_later_is_not_absent(station):
    station.session.start("lift", missing={"commander": "nobody publishes it"})
    station.rig.run(0.5, "front", "joint_position", "action_gated", "commander")
    station.session.end("success", "operator")
    assert newest(station).metadata["absent_streams"] == []
    assert check(station.store) == []


def test_what_was_received_before_the_start_is_not_in_the_episode(station):
    waiting = station.rig.sample("front")
    station.clock.advance(0.01)
    station.session.start("lift")
    station.session.extend([waiting])
    station.rig.run(0.3, "front", "joint_position")
    assert "nobody commanded" in station.session.end(None, "operator").text
    assert len(newest(station).streams["front"]) == 3


class FullDisk:
    """`os`, on a disk that has no room for anything."""

    def __getattr__(self, name):
        def refuse(*_):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

        return refuse if name in ("pwrite", "posix_fallocate") else getattr(os, name)


@pytest.mark.parametrize("operator_is_quicker", [False, True])
def test_a_full_disk_ends_the_episode_as_truncated_without_an_outcome(station, monkeypatch, operator_is_quicker):
    station.session.start("lift")
    station.rig.run(1.0, "front", "joint_position")
    recorder = station.session._recorder
    until(lambda: recorder._writer.counts["front"] == 10)
    monkeypatch.setattr(files, "os", FullDisk())
    station.rig.run(0.3, "front", "joint_position")
    until(lambda: recorder.status()["ended"])
    with monkeypatch.context() as room:
        room.setattr(files, "os", os)  # what the ballast gives back
        ended = station.session.end("success", "operator") if operator_is_quicker else station.session.look()
    assert (ended.reason, ended.outcome) == ("disk_full", None)
    episode = newest(station)
    assert (episode.metadata["termination_reason"], episode.metadata["outcome"]) == ("disk_full", None)
    assert len(episode.streams["front"]) >= 10


def test_an_episode_that_cannot_be_sealed_is_told_and_the_next_one_can_begin(station, monkeypatch):
    station.session.start("lift")
    station.rig.run(0.5, "front", "joint_position")

    def fail(*_):
        raise StoreError("the disk is gone.")

    monkeypatch.setattr("robot_learning.data.writer.seal", fail)
    ended = station.session.end("success", "operator")
    assert ended.id == ""
    assert "could not be sealed" in ended.text
    assert "the disk is gone" in ended.text
    monkeypatch.undo()
    station.rig.run(0.2, "front", "joint_position")
    assert station.session.start("lift")


def test_status_tells_elapsed_drops_and_how_long_the_disk_lasts(station):
    assert station.session.status()["state"] == "idle"
    station.session.start("lift")
    station.rig.run(3.0, "front", "joint_position")
    station.session.extend([station.rig.sample("front")])
    told = station.session.status()
    assert told["state"] == "recording"
    assert told["elapsed_s"] == 3.0
    assert told["samples"] == 61
    assert told["dropped"] == told["refused"] == 0
    assert 0 < told["queue_peak"] <= 1
    assert told["disk_free_gb"] > 0
