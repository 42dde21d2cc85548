"""A policy in charge, on a clock that the tests own. The same faults on a real graph: tests/nodes/test_policy_*.py."""

import itertools
from dataclasses import replace

import numpy as np
import pytest
from fake_client import INFO, FakeClient

from robot_learning.clock import FakeClock
from robot_learning.data.sample import Sample
from robot_learning.deployment.observer import Blind
from robot_learning.deployment.runner import BEGINNINGS, PolicyRunner
from robot_learning.deployment.script import ACTING
from robot_learning.errors import DeploymentError
from robot_learning.rig import load_rig
from robot_learning.rig_parts.sections import ExecutionConfig

MS = 1_000_000
RIG = load_rig("panda_sim")
PERSON = np.array([0.5, 0, 0.3, 1, 0, 0, 0, -1, 0, 0.08])


class SettableClock(FakeClock):
    def set(self, now_ns):
        self._now_ns = now_ns


class Station:
    """A runner, its server and its rig; `run` lets time pass at 100 ticks per second."""

    def __init__(self, info=INFO, method="", deadline_s=1.0, delay_s=0.03, **execution):
        policy = RIG.policy.model_copy(update={"execution": ExecutionConfig(**execution)})
        self.rig = RIG.model_copy(update={"policy": policy})
        self.clock = SettableClock(1_000_000 * MS)
        self.client = FakeClient(self.clock, info, delay_s)
        self.sent, self.modes, self.timings = [], [], []
        self.runner = PolicyRunner(
            self.client, self.rig.contract(), self.rig, self.clock, self._send, method, deadline_s,
            lambda mode, reason: self.modes.append((mode, reason)), self.timings.append,
        )  # fmt: skip
        self.frozen = set()  # streams that do not come
        self.ahead_ms = 0  # of the camera's stamps
        self.person = None  # a person's targets, while there is one
        self._ticks = 0
        self.runner.gate("inactive", "")
        self.run(0.3)

    def _send(self, action, stamp_ns, human):
        self.sent.append((self.ms, float(action[0]), human))

    @property
    def ms(self):
        return self.clock.now_ns() // MS - 1_000_000

    def run(self, seconds):
        for _ in range(round(seconds * 100)):
            self.clock.advance(0.01)
            self._ticks += 1
            now = self.clock.now_ns()
            self._feed("ee_position", np.array([0.5, 0.0, 0.3]), now)
            if self._ticks % 3 == 0:
                self._feed("front", np.zeros((128, 128, 3), np.uint8), now + self.ahead_ms * MS)
            if self.person is not None:
                self.runner.human(self.person, now)
            self.runner.tick()
        return self

    def _feed(self, stream, data, stamp):
        if stream not in self.frozen:
            self.runner.extend([Sample(stream, stamp, self.clock.now_ns(), self._ticks, data)])

    def started(self, seconds=1.0):
        self.runner.start()
        return self.run(seconds)

    @property
    def mode(self):
        return self.runner.mode

    @property
    def reason(self):
        return self.runner.reason

    def assert_silent(self, seconds=1.0):
        count = len(self.sent)
        self.run(seconds)
        assert len(self.sent) == count


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


# People


def test_a_pause_holds_the_last_action_and_a_resume_goes_on_with_new_chunks():
    station = Station().started(0.5)
    station.runner.pause()
    last = station.sent[-1][1]
    asked = len(station.client.asked)
    station.run(1.0)
    assert station.mode == "paused"
    assert {v for _, v, _ in station.sent[-15:]} == {last}
    assert len(station.client.asked) == asked
    station.runner.resume()
    station.run(0.3)
    assert station.sent[-1][1] > asked
    assert max(np.diff([ms for ms, _, _ in station.sent])) <= 110  # the watchdog was never near


def test_a_person_takes_over_and_hands_back():
    station = Station()
    station.started(0.5)
    station.person = PERSON + np.array([station.sent[-1][1] - 0.5, *[0.0] * 9])
    station.run(0.1)
    station.runner.take_over()
    station.run(0.3)
    assert station.mode == "human"
    assert all(human for *_, human in station.sent[-20:])
    station.runner.hand_back()
    station.run(0.5)
    assert station.mode == "policy"
    assert not station.sent[-1][2]
    humans = [human for *_, human in station.sent]
    assert sum(a != b for a, b in itertools.pairwise(humans)) == 2  # one intervention, whole


def test_a_persons_target_far_from_the_robots_is_not_passed_on_until_it_is_near():
    station = Station().started(0.5)
    station.person = PERSON + np.array([station.sent[-1][1] + 0.2 - 0.5, *[0.0] * 9])
    station.run(0.05)
    station.runner.take_over()
    held = station.sent[-1][1]
    station.run(0.5)
    assert {v for _, v, human in station.sent if human} == {held}
    assert "not passed on yet" in station.reason
    assert "at most 0.05 m" in station.reason
    station.person = PERSON + np.array([held - 0.5, *[0.0] * 9])
    station.run(0.05)
    assert station.reason == ""


def test_the_gripper_keeps_what_the_policy_grasped_until_the_person_changes_it():
    station = Station()
    widths = []
    station.runner._send_out = lambda action, stamp, human: widths.append((human, float(action[-1])))
    station.client.width = 0.01
    station.started(0.5)
    station.person = PERSON + np.array([float(station.runner._last[0]) - 0.5, *[0.0] * 9])  # its gripper is open
    station.run(0.05)
    station.runner.take_over()
    station.run(0.3)
    assert widths[-1] == (True, 0.01)
    station.person = station.person + np.array([*[0.0] * 9, -0.05])
    station.run(0.05)
    assert widths[-1] == (True, pytest.approx(0.03))


def test_without_a_person_there_nobody_takes_over():
    station = Station().started(0.5)
    with pytest.raises(DeploymentError, match="start teleoperation"):
        station.runner.take_over()
    assert station.mode == "policy"


def test_a_person_who_falls_silent_is_not_replaced_by_anything():
    station = Station().started(0.5)
    station.person = PERSON + np.array([station.sent[-1][1] - 0.5, *[0.0] * 9])
    station.run(0.05)
    station.runner.take_over()
    station.run(0.2)
    station.person = None
    station.assert_silent()


@pytest.mark.parametrize(
    ("call", "mode"), [("pause", "idle"), ("resume", "idle"), ("hand_back", "idle"), ("start", "policy")]
)
def test_a_request_that_does_not_fit_the_mode_is_refused_with_the_mode(call, mode):
    station = Station()
    if mode == "policy":
        station.started(0.2)
    with pytest.raises(DeploymentError, match=f"the mode is {mode}") as refused:
        getattr(station.runner, call)()
    assert (ACTING in str(refused.value)) == (mode == "policy")


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
