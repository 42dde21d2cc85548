"""A person and a policy in charge: pausing, taking over, handing back."""

import itertools

import numpy as np
import pytest
from fake_station import PERSON, Station

from robot_learning.deployment.script import ACTING
from robot_learning.errors import DeploymentError

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
