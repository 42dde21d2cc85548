"""policy_node on a real graph: what it sends, by whom, and when not."""

import itertools

import pytest
from lifecycle_msgs.msg import Transition
from policy_station import FIRST, NAMESPACE, SLOPE_M, policy_station
from sensor_msgs.msg import JointState

from robot_learning.nodes import messages
from robot_learning.nodes.qos import profile


@pytest.fixture(scope="module")
def station(tmp_path_factory):
    with policy_station(tmp_path_factory.mktemp("policy"), hold_s=2.0) as made:
        made.until_mode("idle")
        made.assert_silent()  # until it is started
        made.start()
        yield made


def test_actions_are_named_stamped_and_in_order(station):
    station.until_sending(20)
    target = station.targets[-1]
    assert tuple(target.name) == station.names
    x = [t.position[0] for t in station.targets]
    assert min(x) >= FIRST[0]
    assert max(x) <= FIRST[0] + 15 * SLOPE_M
    assert any(b > a for a, b in itertools.pairwise(x))
    stamps = [messages.stamp_of(t) for t in station.targets]
    assert stamps == sorted(set(stamps))


def test_each_action_says_that_the_policy_commands(station):
    station.until_sending(5)
    by_stamp = {messages.stamp_of(c): c.position[0] for c in station.commanders}
    station.graph.until(
        lambda: messages.stamp_of(station.targets[-1]) in {messages.stamp_of(c) for c in station.commanders}
    )
    assert set(by_stamp.values()) == {0.0}


def test_each_chunks_timing_is_published(station):
    count = len(station.timings)
    station.graph.until(lambda: len(station.timings) > count)
    values = messages.values_of(station.timings[-1])
    assert float(values["observation_age_ms"]) > 0
    assert float(values["observation_to_command_ms"]) > float(values["observation_age_ms"])
    assert float(values["inference_ms"]) >= 0


def test_a_person_takes_over_and_hands_back(station):
    assert "start teleoperation" in station.call("take_over").message
    person = station.graph.node.create_publisher(JointState, f"{NAMESPACE}/policy/human_target", profile("command"))

    def say(y=0.0):
        stamp = station.graph.node.get_clock().now().nanoseconds
        person.publish(messages.vector(stamp, station.names, (FIRST[0], y, *FIRST[2:])))

    def saying(condition, y=0.0):
        return station.graph.until(lambda: (say(y), condition())[1])

    saying(lambda: station.call("take_over").success)
    assert station.until_mode("human") == ""
    saying(lambda: station.targets[-1].position[1] == 0.01, y=0.01)
    saying(lambda: station.commanders[-1].position[0] == 1.0, y=0.01)
    assert not station.call("pause").success
    saying(lambda: station.call("hand_back").success, y=0.01)
    station.until_mode("policy")
    station.graph.until(lambda: station.commanders[-1].position[0] == 0.0 and station.targets[-1].position[1] == 0.0)
    changes = [c.position[0] for c in station.commanders]
    assert sum(a != b for a, b in itertools.pairwise(changes)) == 2


def test_a_pause_holds_and_a_resume_goes_on(station):
    assert station.call("pause").success
    station.until_mode("paused")
    station.until_sending(3)  # what was on its way
    first = len(station.targets)
    station.until_sending(10)
    assert len({tuple(t.position) for t in station.targets[first:]}) == 1
    station.graph.until(lambda: station.call("resume").success)
    station.graph.until(lambda: station.targets[-1].position != station.targets[first].position)
    assert station.mode == "policy"


def test_an_unusable_target_of_a_person_is_refused_by_name(station):
    person = station.graph.node.create_publisher(JointState, f"{NAMESPACE}/policy/human_target", profile("command"))
    bad = messages.vector(1, ["x"], [0.1])

    def told():
        person.publish(bad)
        return any("human_target: message refused" in s.message for m in station.diagnostics for s in m.status)

    station.graph.until(told)
    assert station.mode == "policy"


def test_a_camera_that_restarts_is_survived(station):
    station.rig.restart("front")
    station.until_sending(20)
    count = len(station.timings)
    station.graph.until(lambda: len(station.timings) >= count + 3)
    assert station.mode == "policy"


def test_a_late_answer_is_survived_while_actions_last(station):
    station.server.behave("stall 0.4")
    station.graph.until(lambda: any(int(messages.values_of(t)["late_actions"]) >= 7 for t in station.timings))
    station.server.behave("good")
    station.until_sending(30)
    assert station.mode == "policy"


def test_deactivated_during_inference_nothing_is_sent_any_more(station):
    station.server.behave("stall 0.7")
    count = len(station.timings)
    station.graph.until(lambda: len(station.timings) > count)  # a slow chunk has come, the next is asked for soon
    assert station.change(Transition.TRANSITION_DEACTIVATE)
    station.until_mode("idle")
    assert station.reason == "deactivated"
    station.assert_silent(1.5)
    station.server.behave("good")
    assert "not active" in station.call("start").message
    assert station.change(Transition.TRANSITION_ACTIVATE)
    station.assert_silent()
    station.start()


def test_a_stop_on_request_is_told_as_such(station):
    assert station.call("stop").success
    assert station.until_mode("idle") == "on request"
    station.assert_silent()
    station.start()


def test_it_ends_in_order(station):
    assert station.node.stop() == 0
    assert "Traceback" not in station.node.log


def test_real_time_chunking_in_simulated_time_starts_by_itself_and_a_reset_clock_stops_it_by_name(tmp_path):
    with policy_station(tmp_path, hold_s=2.0, clock=True, execution="rtc", start_paused=False) as station:
        station.until_mode("policy")
        station.graph.until(lambda: any(int(messages.values_of(t)["committed_actions"]) >= 1 for t in station.timings))
        station.graph.until(lambda: station.targets)
        assert messages.stamp_of(station.targets[-1]) / 1e9 > 1000
        station.rig.set_clock(1.0)
        reason = station.until_mode("stopped")
        assert reason.startswith("clock_reset: time was set by -")
        station.assert_silent()  # it starts by itself once, not after a fault
        station.start()
        station.graph.until(lambda: messages.stamp_of(station.targets[-1]) / 1e9 < 1000)
