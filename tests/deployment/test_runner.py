"""A policy in charge, when nothing fails. The same on a real graph: tests/nodes/test_policy_*.py."""

from dataclasses import replace

import numpy as np
import pytest
from fake_client import INFO
from fake_station import MS, Station

from robot_learning.deployment.runner import BEGINNINGS
from robot_learning.errors import DeploymentError


def test_nothing_is_sent_before_a_person_starts():
    station = Station().run(1.0)
    assert station.mode == "idle"
    assert station.sent == []
    assert station.client.asked == []


def test_actions_go_out_once_per_step_and_chunks_follow_each_other():
    station = Station().started(2.0)
    times = [ms for ms, _, _ in station.sent]
    assert set(np.diff(times)) == {50}
    assert not any(human for *_, human in station.sent)
    ids = [int(v) for _, v, _ in station.sent]
    assert ids == sorted(ids)
    assert station.mode == "policy"
    assert station.reason == ""


def test_the_next_chunk_is_asked_for_after_as_many_actions_as_the_policy_was_evaluated_with():
    station = Station().started(2.0)
    stamps = [stamp for _, stamp, *_ in station.client.asked]
    assert set(np.diff(stamps[1:])) == {8 * 50 * MS}
    # Action 0 of each later chunk belongs to the time until it is there: the older chunk's actions go on till then.
    assert [round((v % 1) * 100) for _, v, _ in station.sent][:11] == [0, 1, 2, 3, 4, 5, 6, 7, 8, 1, 2]


@pytest.mark.parametrize("delay_s", [0.03, 0.25, 0.5])
def test_a_robot_at_rest_begins_with_a_chunks_first_action_however_long_it_took(delay_s):
    station = Station(delay_s=delay_s, hold_s=1.0).started(2.0)
    assert [v for _, v, _ in station.sent[:3]] == pytest.approx([1.0, 1.01, 1.02])
    assert station.sent[0][0] - (station.client.asked[0][1] // MS - 1_000_000) >= delay_s * 1000
    second = next(ms for ms, v, _ in station.sent if v >= 2)  # in motion again, each action has its own time
    asked = station.client.asked[1][1] // MS - 1_000_000
    k = round(next(v for _, v, _ in station.sent if v >= 2) % 1 * 100)
    assert second - asked == 50 * k


def test_a_refused_beginning_is_tried_again_with_a_fresh_chunk_and_then_stops_by_name():
    station = Station().started(0.2)
    for _ in range(BEGINNINGS - 1):
        asked = len(station.client.asked)
        station.runner.gate_refused("the first target is 3 times farther from the measured pose than allowed")
        station.runner.gate_refused("and so is the next, which was on its way")
        assert station.mode == "policy"
        station.run(0.2)
        assert len(station.client.asked) == asked + 1
    station.runner.gate_refused("the first target is 3 times farther from the measured pose than allowed")
    assert station.mode == "stopped"
    assert f"the gate refused to begin, {BEGINNINGS} times: the first target is 3 times farther" in station.reason
    station.assert_silent()


def test_an_action_is_sent_at_its_own_time():
    station = Station().started(1.0)
    begin = station.client.asked[0][1] // MS - 1_000_000
    assert [ms - begin for ms, _, _ in station.sent[:4]] == [50, 100, 150, 200]


def test_replanning_as_soon_as_an_answer_has_come_stays_on_the_grid():
    station = Station(replan_s=0.0, delay_s=0.07).started(1.0)
    stamps = [stamp // MS for _, stamp, *_ in station.client.asked]
    assert set(np.diff(stamps[1:])) == {100}
    assert (stamps[1] - stamps[0]) % 50 == 0


def test_images_are_sent_at_the_policys_size_and_windows_have_its_length():
    station = Station().started(0.2)
    _, _, observation, _, _ = station.client.asked[0]
    assert observation["front"].shape == (2, 8, 8, 3)
    assert observation["ee_position"].shape == (2, 3)
    assert set(observation) == {"front", "ee_position"}


def test_the_instruction_goes_with_each_question():
    station = Station()
    station.runner.instruction = "lift the cube"
    station.started(0.2)
    assert station.client.asked[0][4] == "lift the cube"


def test_each_chunks_timing_is_told_once():
    station = Station().started(1.0)
    timing = station.timings[0]
    assert timing.chunk_id == 1
    assert timing.late_actions == 0  # the robot was at rest
    assert station.timings[1].late_actions == 1
    assert timing.round_trip_ms == pytest.approx(30)
    # The camera's newest frame was up to 30 ms old; half of the 8 ms beyond the server's own time is the way there.
    assert 5 <= timing.observation_age_ms <= 35
    assert timing.observation_to_command_ms == pytest.approx(timing.observation_age_ms - 5 + 50, abs=11)
    ids = [t.chunk_id for t in station.timings]
    assert ids == list(range(1, len(ids) + 1))


# Methods


def test_real_time_chunking_tells_what_will_be_executed_anyway_and_nothing_jumps():
    station = Station(method="rtc", delay_s=0.12).started(2.0)
    _, stamp, _, prefix, _ = station.client.asked[3]
    sent = {ms + 1_000_000: v for ms, v, _ in station.sent}
    assert len(prefix) == 3  # 120 ms and the margin of 10 are three steps of 50 ms
    assert [sent[stamp // MS + 50 * k] for k in range(3)] == pytest.approx(prefix[:, 0].tolist())
    assert station.timings[3].committed_actions == 3


def test_real_time_chunking_needs_a_policy_that_can():
    station = Station(info=replace(INFO, supports_prefix=False), method="rtc")
    with pytest.raises(DeploymentError, match=r"'rtc'.*fake can't"):
        station.runner.start()


def test_an_ensemble_asks_at_each_step_and_sends_means():
    station = Station(method="ensemble", delay_s=0.02).started(1.0)
    assert set(np.diff([stamp for _, stamp, *_ in station.client.asked[1:]])) == {50 * MS}
    assert station.sent[-1][1] % 1 > 0.2  # between many chunks' ids, not one of them


def test_the_actuators_delay_is_taken_off_the_time_of_sending():
    station = Station(actuator_delay_s=0.1).started(1.0)
    first_ms, value, _ = next(sent for sent in station.sent if sent[1] >= 2)  # of the second chunk, in motion
    asked_ms = station.client.asked[1][1] // MS - 1_000_000
    k = round((value % 1) * 100)
    assert first_ms - asked_ms == 50 * k - 100
