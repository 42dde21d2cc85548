"""recorder_node on a real graph: what an operator does, and streams that go wrong while it records."""

import time
from types import SimpleNamespace

import pytest
from fake_rig import FakeRig, small_rig, value_at

pytest.importorskip("rclpy", reason="ROS 2 is not installed: pip install robot_learning[ros]")

import numpy as np
from harness import graph_of
from lifecycle_msgs.msg import Transition
from lifecycle_msgs.srv import ChangeState
from recording import LATCHED, Recording
from sensor_msgs.msg import JointState
from std_msgs.msg import String

from robot_learning.data.store import Store
from robot_learning.data.validation import check
from robot_learning.nodes import messages
from robot_learning.rig import load_rig


@pytest.fixture(scope="module")
def station(tmp_path_factory):
    """One fake rig and one recorder for all tests of this file; each leaves both well."""
    folder = tmp_path_factory.mktemp("recorder")
    with graph_of(folder) as graph:
        path = small_rig(folder)
        recorder = Recording(graph, path, folder / "store", "/small", operator="ada")
        refused = recorder.call("start")
        rig = FakeRig(graph, path, "/small")
        recorder.begin()
        recorder.call("discard")
        command = graph.node.create_publisher(String, "/small/recorder/command", 10)
        yield SimpleNamespace(graph=graph, rig=rig, recorder=recorder, refused=refused, path=path, command=command)


def test_a_start_without_a_rig_names_what_nobody_publishes(station):
    assert not station.refused.success
    for topic in ("/small/joint_states", "/small/front/color/image_raw", "/small/robot/gated"):
        assert f"nobody publishes {topic}" in station.refused.message
    assert "commander" not in station.refused.message


def test_an_episode_is_recorded_as_it_was_published_with_who_and_what_and_whence(station):
    recorder = station.recorder
    id = recorder.begin()
    recorder.record_for(300)
    assert recorder.values["state"] == "recording"
    assert float(recorder.values["elapsed_s"]) > 0
    assert float(recorder.values["disk_free_gb"]) > 0
    assert recorder.call("mark").success
    assert recorder.call("success").success
    station.graph.until(lambda: recorder.sealed and recorder.sealed[-1].data == id)
    assert not recorder.call("success").success

    episode = recorder.episode(id)
    assert (episode.metadata["task"], episode.metadata["operator"]) == ("test", "ada")
    assert (episode.metadata["outcome"], episode.metadata["termination_reason"]) == ("success", "operator")
    assert episode.metadata["absent_streams"] == ["commander"]
    assert len(episode.metadata["marks"]) == 1
    whence = episode.metadata["provenance"]
    assert whence["rig"]["file"] == station.path.read_text()
    assert whence["topics"]["front"]["topic"] == "front/color/image_raw"
    assert whence["topics"]["front"]["published_by"] == ["/small/fake_rig"]
    assert whence["versions"]["robot_learning"]
    assert check(episode) == []
    contract = load_rig(station.path).contract()
    for name, stream in episode.streams.items():
        if name == "commander":
            continue
        assert len(stream) > 10, name
        assert (stream.received >= stream.stamp).all()
        assert episode.quality["streams"][name]["missing"] == 0
        values = stream.read(np.arange(len(stream)))
        expected = np.stack([value_at(contract.stream(name), stamp) for stamp in stream.stamp.tolist()])
        assert np.allclose(values, expected, atol=1e-12), name


def test_a_pedal_drives_it_through_the_command_topic(station):
    recorder, graph = station.recorder, station.graph
    graph.until(station.command.get_subscription_count)
    before = len(Store.open(recorder.path).episodes())
    station.command.publish(String(data="start"))
    recorder.record_for(100)
    station.command.publish(String(data="start"))
    graph.until(lambda: "still being recorded" in recorder.text)
    station.command.publish(String(data="dance"))
    graph.until(lambda: "allowed: start, stop, success, failure, discard, mark" in recorder.text)
    station.command.publish(String(data="failure"))
    assert recorder.until_ended().metadata["outcome"] == "failure"
    station.command.publish(String(data="start"))
    recorder.record_for(100)
    station.command.publish(String(data="discard"))
    graph.until(lambda: "thrown away" in recorder.text)
    assert len(Store.open(recorder.path).episodes()) == before + 1


def test_the_task_can_be_told_by_topic(station):
    recorder, graph = station.recorder, station.graph
    task = graph.node.create_publisher(String, "/small/recorder/task", LATCHED)
    task.publish(String(data="stack the cups"))
    graph.until(lambda: recorder.values["task"] == "stack the cups")
    recorder.begin()
    recorder.record_for(100)
    assert recorder.call("stop").success
    episode = recorder.until_ended()
    assert (episode.metadata["task"], episode.metadata["outcome"]) == ("stack the cups", None)


def test_a_persons_commands_in_a_policys_place_are_recorded_as_interventions(station):
    recorder, graph = station.recorder, station.graph
    commander = graph.node.create_publisher(JointState, "/small/policy/commander", 10)
    graph.until(commander.get_subscription_count)
    recorder.begin()
    stamps = []
    for human in (0.0, 1.0, 1.0, 0.0):
        stamps.append(time.time_ns())
        commander.publish(messages.vector(stamps[-1], ["human"], [human]))
        graph.until(lambda: time.time_ns() > stamps[-1] + 10_000_000)
    graph.until(lambda: recorder.values.get("interventions") == "1" and recorder.values["samples"])
    recorder.call("success")
    episode = recorder.until_ended()
    graph.node.destroy_publisher(commander)
    assert episode.metadata["interventions"] == [[stamps[1], stamps[3]]]
    assert episode.metadata["absent_streams"] == []
    assert episode.streams["commander"].read(range(4))[:, 0].tolist() == [0, 1, 1, 0]


@pytest.mark.parametrize(
    ("fault", "why"),
    [
        (lambda rig: rig.freeze("front"), "silent for"),
        (lambda rig: rig.unstamp("front"), "its header is not stamped"),
        (lambda rig: rig.resize("front", 12, 16), "its shape is (12, 16, 3), the contract says (24, 32, 3)"),
    ],
    ids=["frozen", "unstamped", "another size"],
)
def test_a_camera_without_usable_frames_ends_the_episode_sealed_and_is_named(station, fault, why):
    recorder = station.recorder
    id = recorder.begin()
    recorder.record_for(100)
    fault(station.rig)
    episode = recorder.until_ended()
    assert episode.id == id
    assert (episode.metadata["termination_reason"], episode.metadata["outcome"]) == ("silent: front", None)
    assert "silent: front" in recorder.text
    assert recorder.said[-1].level == messages.ERROR
    assert len(episode.streams["front"]) > 0
    refused = recorder.call("start")
    assert not refused.success
    assert "front: " in refused.message
    assert why in refused.message
    if why != "silent for":
        ((told, count),) = episode.quality["intake"]["refused"]["front"].items()
        assert why in told
        assert count > 5
    station.rig.well("front")


def test_a_gap_in_the_joint_states_ends_the_episode_and_names_all_that_came_by_that_topic(station):
    recorder = station.recorder
    recorder.begin()
    recorder.record_for(100)
    station.rig.gap("joint_position", 3.0)
    reason = recorder.until_ended().metadata["termination_reason"]
    assert reason == "silent: joint_effort, joint_position, joint_velocity"


def test_a_camera_that_restarts_goes_on_in_the_same_episode_and_its_count_with_it(station):
    recorder = station.recorder
    id = recorder.begin()
    recorder.record_for(100)
    station.rig.restart("front")
    recorder.record_for(400)
    recorder.call("stop")
    episode = recorder.episode(id)
    events = [(e["stream"], e["what"]) for e in episode.metadata["events"]]
    assert events == [("front", "another publisher took over")]
    assert (np.diff(episode.streams["front"].sequence) >= 1).all()
    assert check(episode) == []


def test_a_camera_whose_clock_jumps_back_is_remembered_and_ends_the_episode(station):
    recorder = station.recorder
    recorder.begin()
    recorder.record_for(100)
    station.rig.jump("front", -30.0)
    episode = recorder.until_ended()
    assert episode.metadata["termination_reason"] == "silent: front"
    assert "its stamps went back by" in episode.metadata["events"][0]["what"]
    station.graph.until(lambda: "its stamps are 30.0 s old" in recorder.call("start").message)
    station.rig.well("front")


def test_a_camera_that_jumps_ahead_is_refused_by_name(station):
    recorder = station.recorder
    recorder.begin()
    recorder.record_for(100)
    station.rig.jump("front", 30.0)
    episode = recorder.until_ended()
    assert episode.metadata["termination_reason"] == "silent: front"
    assert "s in the future" in next(iter(episode.quality["intake"]["refused"]["front"]))
    station.rig.well("front")


def test_deactivation_seals_the_episode_and_nothing_starts_until_it_is_active_again(station):
    recorder, graph = station.recorder, station.graph
    recorder.begin()
    recorder.record_for(100)
    change = graph.node.create_client(ChangeState, f"{recorder.name}/change_state")
    graph.until(change.service_is_ready)

    def transition(id):
        done = change.call_async(ChangeState.Request(transition=Transition(id=id)))
        return graph.until(lambda: done.done() and done.result().success)

    assert transition(Transition.TRANSITION_DEACTIVATE)
    assert recorder.until_ended().metadata["termination_reason"] == "deactivated"
    assert "not active" in recorder.call("start").message
    assert transition(Transition.TRANSITION_ACTIVATE)
    recorder.begin()
    recorder.call("discard")
