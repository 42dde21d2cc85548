"""Faults around a policy on a real graph: what it does about each, and that the operator is told which.

One station serves all: after each fault all is made well, and a person starts again.
"""

import pytest
from policy_station import policy_station

from robot_learning.nodes import messages

HOLD_S = 0.8  # long enough that a busy machine alone ends no test


@pytest.fixture(scope="module")
def shared(tmp_path_factory):
    with policy_station(tmp_path_factory.mktemp("policy"), hold_s=HOLD_S) as made:
        yield made


@pytest.fixture
def station(shared):
    """All well, and the policy acting."""
    shared.start()
    yield shared
    for stream in ("front", "joint_position"):
        shared.rig.well(stream)
    shared.rig.gate("inactive")
    shared.server.behave("good")
    shared.call("stop")


@pytest.mark.parametrize(
    ("fault", "words"),
    [
        (lambda rig: rig.freeze("front"), "'front'"),
        (lambda rig: rig.slow("front", 0.2), "'front'"),
        (lambda rig: rig.unstamp("front"), "its header is not stamped"),
        (lambda rig: rig.resize("front", 48, 64), "its shape is (48, 64, 3), the contract says (24, 32, 3)"),
        (lambda rig: rig.jump("front", 10.0), "in the future"),
        (lambda rig: rig.jump("front", -100.0), "its stamps went back in time"),
        (lambda rig: rig.gap("joint_position", 4.0), "'joint_position'"),
    ],
    ids=["freezes", "slows", "unstamped", "resized", "jumps ahead", "jumps back", "joint gap"],
)
def test_an_observation_that_fails_ends_in_a_stop_that_names_it(station, fault, words):
    fault(station.rig)
    reason = station.until_mode("stopped")
    assert reason.startswith("ran_dry")
    assert words in reason
    station.assert_silent()
    refusal = station.call("start")
    if words != "'joint_position'":  # whose gap may be over by now
        assert not refusal.success
        assert "'front'" in refusal.message


@pytest.mark.parametrize(("behaviour", "words"), [("raise", "raised"), ("nan", "not_finite"), ("shape", "shape")])
def test_an_answer_that_must_not_be_executed_stops_at_once_by_name(station, behaviour, words):
    station.server.behave(behaviour)
    reason = station.until_mode("stopped")
    assert words in reason
    assert "ran_dry" not in reason
    station.assert_silent()
    told = station.graph.until(
        lambda: [s for s in station.diagnostics[-1].status if s.name == "policy: policy" and words in s.message]
    )
    assert told[0].level == messages.ERROR


def test_inference_that_stalls_runs_dry_and_its_late_answer_changes_nothing(station):
    station.server.behave("stall 2")
    reason = station.until_mode("stopped")
    assert reason.startswith("ran_dry")
    assert "timeout" in reason or "has not answered" in reason
    station.server.behave("good")
    station.assert_silent(1.5)


def test_a_server_that_is_killed_is_named_and_when_it_is_back_a_person_starts_again(station):
    station.server.kill()
    reason = station.until_mode("stopped")
    assert "disconnected" in reason
    station.assert_silent()
    assert "not connected" in station.call("start").message
    station.server.start()
    station.graph.until(
        lambda: any("server" in s.name and s.message == "connected" for s in station.diagnostics[-1].status)
    )
    station.assert_silent()  # the server alone starts nothing
    station.start()


def test_a_half_open_connection_is_given_up_by_name(station):
    station.server.freeze()
    reason = station.until_mode("stopped")
    station.server.thaw()
    assert reason.startswith("ran_dry")
    assert any(words in reason for words in ("timeout", "has not answered", "does not answer"))
    station.assert_silent()


def test_a_stop_of_the_gate_is_the_policys_until_the_robot_is_recovered(station):
    station.rig.gate("stopped", "watchdog")
    assert station.until_mode("stopped") == "the gate stopped: watchdog"
    station.assert_silent()
    refusal = station.call("start")
    assert not refusal.success
    assert "the gate is stopped (watchdog); call the robot's ~/recover first" in refusal.message


def test_the_robots_node_killed_is_noticed_by_its_silent_state(station):
    station.rig.kill()
    reason = station.until_mode("stopped")
    assert "'front'" in reason or "'joint_position'" in reason
    station.assert_silent()
    station.new_rig()
