"""recorder_node on a real graph: it dies, is told to end, its disk fills, time is set, its publishers don't fit."""

import signal
from pathlib import Path

import pytest
from fake_rig import FakeRig, small_rig

pytest.importorskip("rclpy", reason="ROS 2 is not installed: pip install robot_learning[ros]")

from diagnostic_msgs.msg import DiagnosticArray
from recording import Recording

from robot_learning.data.store import Store
from robot_learning.data.validation import check
from robot_learning.nodes import messages

NS = "/small"


@pytest.fixture
def rig(graph, tmp_path):
    return FakeRig(graph, small_rig(tmp_path), NS)


@pytest.mark.usefixtures("rig")
def test_what_a_killed_recorder_left_is_recovered_by_the_next_which_ends_in_order_on_sigterm(graph, tmp_path):
    store = tmp_path / "store"
    first = Recording(graph, tmp_path / "small.yaml", store, NS)
    killed = first.begin()
    first.record_for(300)
    first.process.kill()
    assert Store.open(store).episodes() == []

    second = Recording(graph, tmp_path / "small.yaml", store, NS)
    ended = second.begin()
    assert f"episode {killed}: sealed with" in second.process.log
    episode = second.episode(killed)
    assert (episode.metadata["termination_reason"], episode.metadata["outcome"]) == ("recovered", None)
    assert episode.metadata["task"] == "test"
    assert len(episode.streams["front"]) > 5

    second.record_for(300)
    second.process.popen.send_signal(signal.SIGTERM)
    assert second.process.popen.wait(40) == 0
    assert second.episode(ended).metadata["termination_reason"] == "shutdown"
    assert check(Store.open(store)) == []
    assert Store.open(store).open_episodes() == []


@pytest.mark.usefixtures("rig")
def test_a_disk_that_fills_ends_the_episode_sealed_and_the_operator_is_told(graph, tmp_path):
    full = tmp_path / "full"
    recorder = Recording(
        graph, tmp_path / "small.yaml", tmp_path / "store", NS, module="fake_full_disk",
        env={"FAKE_FULL_DISK": str(full), "PYTHONPATH": str(Path(__file__).parent)},
    )  # fmt: skip
    id = recorder.begin()
    recorder.record_for(300)
    full.touch()
    episode = recorder.until_ended()
    assert episode.id == id
    assert (episode.metadata["termination_reason"], episode.metadata["outcome"]) == ("disk_full", None)
    assert "disk_full" in recorder.text
    assert recorder.said[-1].level == messages.ERROR
    assert len(episode.streams["front"]) > 5
    assert check(episode) == []
    assert not recorder.call("success").success
    full.unlink()
    recorder.begin()
    recorder.call("discard")


@pytest.mark.usefixtures("rig")
def test_a_recorder_that_stands_still_for_a_while_goes_on_and_every_lost_frame_is_a_hole_in_the_count(graph, tmp_path):
    recorder = Recording(graph, tmp_path / "small.yaml", tmp_path / "store", NS, max_gap_s=15.0)
    id = recorder.begin()
    recorder.record_for(100)
    recorder.process.popen.send_signal(signal.SIGSTOP)
    graph.spin(3.0)
    recorder.process.popen.send_signal(signal.SIGCONT)
    before = int(recorder.values["samples"])
    recorder.record_for(before + 500)
    assert recorder.call("success").success
    episode = recorder.episode(id)
    frames, quality = episode.streams["front"], episode.quality
    assert (episode.metadata["outcome"], episode.metadata["termination_reason"]) == ("success", "operator")
    assert quality["streams"]["front"]["missing"] > 10  # a queue holds ten frames
    assert len(frames) + quality["streams"]["front"]["missing"] == frames.sequence[-1] - frames.sequence[0] + 1
    assert quality["streams"]["joint_position"]["missing"] == 0  # and four seconds of states
    assert sum(s["dropped"] for s in quality["recorder"]["streams"].values()) == 0
    assert check(episode) == []


def test_simulated_time_that_starts_again_ends_the_episode_and_the_next_one_can_begin(graph, tmp_path):
    rig = FakeRig(graph, small_rig(tmp_path), NS, clock=True)
    recorder = Recording(graph, tmp_path / "small.yaml", tmp_path / "store", NS, use_sim_time=True)
    recorder.begin()
    recorder.record_for(300)
    rig.set_clock(5.0)
    episode = recorder.until_ended()
    assert episode.metadata["termination_reason"] == "clock_reset"
    assert "clock_reset" in recorder.text
    # A message stamped after the reset may overtake the news of it.
    assert {problem.what for problem in check(episode)} <= {"stamps do not increase (1 times)"}
    after = recorder.begin()
    recorder.record_for(100)
    recorder.call("success")
    assert recorder.episode(after).end_ns < episode.start_ns


def test_a_best_effort_publisher_under_a_reliable_entry_is_named_at_start_with_what_to_do(graph, tmp_path):
    entry = {"topic": "camera/image", "type": "sensor_msgs/Image", "field": "image", "reliability": "best_effort"}
    FakeRig(graph, small_rig(tmp_path, "theirs", topics={"front": entry}), NS)
    ours = small_rig(tmp_path, "ours", topics={"front": entry | {"reliability": "reliable"}})
    told = graph.collect(DiagnosticArray, "/diagnostics")
    recorder = Recording(graph, ours, tmp_path / "store", NS)
    only = "1 of 11 streams fail: front: /small/fake_rig publishes /small/camera/image with an incompatible quality"
    assert graph.until(lambda: only in (answer := recorder.call("start")).message and not answer.success)
    advice = "set reliability: best_effort for this topic in the rig file"
    graph.until(lambda: any(advice in line.message for message in told for line in message.status))
    assert advice in recorder.process.log


@pytest.mark.parametrize(
    ("parameters", "sentence"),
    [
        ({"store": ""}, "the parameter 'store' is empty; give -p store:=<folder>"),
        ({"store": "/proc/nothing"}, "/proc/nothing"),
    ],
)
def test_a_store_that_cannot_be_is_one_sentence_and_exit_code_2(graph, tmp_path, parameters, sentence):
    process = graph.start("robot_learning.nodes.recorder_node", rig=small_rig(tmp_path), task="t", **parameters)
    assert process.popen.wait(40) == 2
    assert sentence in process.log
    assert "Traceback" not in process.log
