"""A policy in charge, when its server or its rig fails. On a real graph: tests/nodes/test_policy_*.py."""

import numpy as np
import pytest
from fake_station import MS, Station

from robot_learning.deployment.observer import Blind
from robot_learning.errors import DeploymentError

# Faults of the server


@pytest.mark.parametrize("kind", ["raised", "not_finite", "shape", "refused"])
def test_an_answer_that_must_not_be_executed_stops_at_once_and_is_named(kind):
    station = Station().started(0.5)
    station.client.fault = kind
    station.run(0.5)
    assert station.mode == "stopped"
    assert kind in station.reason
    station.assert_silent()


def test_a_late_answer_is_survived_while_actions_last():
    station = Station(deadline_s=2.0).started(0.5)
    station.client.delay_s = 0.3
    station.run(0.6)
    station.client.delay_s = 0.03
    station.run(1.0)
    assert station.mode == "policy"
    assert set(np.diff([ms for ms, _, _ in station.sent])) == {50}
    assert max(t.late_actions for t in station.timings) >= 6


def test_inference_that_stalls_lets_actions_run_dry_then_holds_then_stops_and_says_so():
    station = Station(deadline_s=5.0, hold_s=0.5).started(0.3)
    station.client.delay_s = 2.0
    station.run(2.5)
    assert station.mode == "stopped"
    assert "ran_dry" in station.reason
    assert "the server has not answered for" in station.reason
    values = [v for _, v, _ in station.sent]
    # 400 ms of question 1 are executed, question 2 is stuck; 15 actions in all, then the last one for 0.5 s more
    assert values[:15] == pytest.approx([1.0 + k / 100 for k in range(15)])
    assert values[15:] == pytest.approx([1.14] * len(values[15:]))
    assert 8 <= len(values[15:]) <= 11
    station.assert_silent(3.0)  # the answer that comes at last changes nothing


def test_a_missed_deadline_is_told_at_once_survived_and_then_all_is_well_again():
    station = Station(deadline_s=0.2).started(0.3)
    station.client.half_open = True
    station.run(0.4)
    assert station.mode == "policy"
    assert "timeout" in station.reason
    station.client.half_open = False
    station.run(0.3)
    assert (station.mode, station.reason) == ("policy", "")


def test_a_half_open_connection_ends_in_a_stop_that_names_it():
    station = Station(deadline_s=0.2).started(0.5)
    station.client.half_open = True
    station.run(2.0)
    assert station.mode == "stopped"
    assert station.reason.startswith("ran_dry")
    assert "timeout" in station.reason
    station.assert_silent()


def test_a_server_that_dies_and_returns_in_time_is_survived():
    station = Station().started(0.3)
    station.client.alive = False
    station.run(0.2)
    assert station.mode == "policy"
    assert "disconnected" in station.reason
    station.client.alive = True
    station.run(1.0)
    assert (station.mode, station.reason) == ("policy", "")


def test_a_server_that_stays_away_ends_in_a_stop_and_only_a_person_starts_again():
    station = Station().started(0.45)
    station.client.alive = False
    station.run(2.0)
    assert station.mode == "stopped"
    assert "disconnected" in station.reason
    station.client.alive = True
    station.assert_silent()
    assert station.mode == "stopped"
    station.started(0.5)
    assert station.mode == "policy"


def test_the_first_answer_failing_stops_at_once_for_there_is_nothing_to_go_on_with():
    station = Station(deadline_s=0.2)
    station.client.delay_s = 10.0
    station.started(0.4)
    assert station.mode == "stopped"
    assert "timeout" in station.reason
    assert station.sent == []


def test_a_server_that_refuses_the_rig_is_told_and_start_is_refused_with_its_words():
    station = Station()
    station.client.refusal = "contracts differ in policy rate"
    station.client.begin()
    station.run(0.1)
    assert station.mode == "idle"
    assert "contracts differ" in station.reason
    with pytest.raises(DeploymentError, match="contracts differ in policy rate"):
        station.runner.start()
    station.client.refusal = ""
    station.run(3.0)
    station.runner.start()


def test_an_answer_to_a_question_of_before_a_pause_is_not_executed():
    station = Station(delay_s=0.25).started(0.85)
    station.runner.pause()
    station.run(0.1)
    station.runner.resume()
    asked = len(station.client.asked)
    station.run(1.0)
    after = [int(v) for _, v, _ in station.sent if v > asked]
    assert min(after) > asked


# Faults of the rig


def test_a_frozen_camera_is_named_at_once_and_ends_in_a_stop_when_actions_have_run_out():
    station = Station(hold_s=0.3).started(0.5)
    station.frozen.add("front")
    station.run(0.5)
    assert station.mode == "policy"
    assert "front" in station.reason
    station.run(1.0)
    assert station.mode == "stopped"
    assert station.reason.startswith("ran_dry")
    assert "'front'" in station.reason
    assert "s old" in station.reason
    station.assert_silent()


def test_all_that_is_missing_is_named():
    station = Station().started(0.5)
    station.frozen |= {"front", "ee_position"}
    station.run(2.0)
    assert "'front'" in station.reason
    assert "'ee_position'" in station.reason


def test_a_gap_that_ends_too_late_is_still_named():
    station = Station(deadline_s=3.0, hold_s=0.3).started(0.2)
    station.client.delay_s = 2.0
    station.frozen.add("front")
    station.run(0.6)
    station.frozen.clear()
    station.run(1.0)
    assert station.mode == "stopped"
    assert "'front'" in station.reason
    assert "the server has not answered for" in station.reason


def test_a_short_gap_of_a_camera_is_survived():
    station = Station().started(0.5)
    station.frozen.add("front")
    station.run(0.5)
    station.frozen.clear()
    station.run(1.0)
    assert (station.mode, station.reason) == ("policy", "")
    assert set(np.diff([ms for ms, _, _ in station.sent])) == {50}


def test_a_gap_in_the_robots_state_is_named():
    station = Station().started(0.5)
    station.frozen.add("ee_position")
    station.run(2.0)
    assert station.mode == "stopped"
    assert "'ee_position'" in station.reason


def test_a_camera_whose_stamps_go_back_is_named_as_such():
    station = Station().started(0.5)
    station.ahead_ms = -10_000
    station.run(2.0)
    assert station.mode == "stopped"
    assert "'front'" in station.reason
    assert "went back in time" in station.reason
    with pytest.raises(Blind, match="front"):
        station.runner.start()
    station.ahead_ms = 0
    station.run(0.3)
    station.started(0.3)
    assert station.mode == "policy"


def test_why_messages_were_refused_is_part_of_the_reason():
    station = Station().started(0.5)
    station.frozen.add("front")
    station.runner.refused("front", "front/color/image_raw: message refused: its header is not stamped")
    station.run(2.0)
    assert "its header is not stamped" in station.reason


def test_time_that_was_set_stops_at_once_and_the_policy_starts_again_on_what_came_since():
    station = Station().started(0.5)
    station.clock.set(50_000 * MS)
    station.runner.time_jumped(-950_500 * MS)
    assert station.mode == "stopped"
    assert "clock_reset: time was set by -950.500 s" in station.reason
    station.assert_silent(0.3)
    station.started(0.5)
    assert (station.mode, station.reason) == ("policy", "")


def test_a_stop_of_the_gate_stops_the_policy_which_then_needs_the_gate_to_be_recovered():
    station = Station().started(0.5)
    station.runner.gate("stopped", "watchdog")
    assert station.mode == "stopped"
    assert station.reason == "the gate stopped: watchdog"
    station.assert_silent(0.2)
    with pytest.raises(DeploymentError, match=r"watchdog.*recover"):
        station.runner.start()
    station.runner.gate("inactive", "")
    station.started(0.3)
    assert station.mode == "policy"


def test_nothing_starts_without_a_gate_or_without_observations():
    station = Station()
    station.runner._gate = None
    with pytest.raises(DeploymentError, match="gate"):
        station.runner.start()
    station.runner.gate("active", "")
    station.frozen.add("front")
    station.run(0.5)
    with pytest.raises(Blind, match=r"'front'.*s old"):
        station.runner.start()


def test_stopping_during_inference_lets_nothing_through_afterwards():
    station = Station(delay_s=0.2)
    station.started(0.1)
    assert len(station.client.asked) == 1
    station.runner.stop("deactivated")
    station.assert_silent()
    assert (station.mode, station.reason) == ("idle", "deactivated")
