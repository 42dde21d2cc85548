"""Scripts on a fake clock, before a station whose answers get lost."""

import pytest

from robot_learning.clock import FakeClock
from robot_learning.deployment.script import RECORDING, Answer, Scripted, ScriptError


class Station:
    """A recorder that starts at the first call; its answers come a tick later, unless they get lost."""

    def __init__(self, lost=0, refusals=()):
        self.lost, self.refusals, self.calls, self.recording, self.pending = lost, list(refusals), 0, False, []

    def start(self):
        self.calls += 1
        answer = Answer()
        if self.refusals:
            said = (False, self.refusals.pop(0))
        elif self.recording:
            said = (False, f"episode 1 is {RECORDING}; stop or discard it first.")
        else:
            self.recording, said = True, (True, "")
        if self.calls > self.lost:
            self.pending.append((answer, said))
        return answer

    def deliver(self):
        for answer, said in self.pending:
            answer.give(*said)
        self.pending.clear()


class Start(Scripted):
    def __init__(self, clock, station, patient):
        super().__init__(clock)
        self.station, self.patient = station, patient

    def run(self):
        way = self.insist if self.patient else self.repeat
        yield from way(self.station.start, "start the recorder", RECORDING)


def run(station, patient, seconds=60):
    clock = FakeClock()
    script = Start(clock, station, patient)
    for _ in range(round(seconds / 0.1)):
        script.tick()
        if script.finished:
            return
        clock.advance(0.1)
        station.deliver()
    pytest.fail("the script did not end")


@pytest.mark.parametrize("patient", [False, True])
def test_after_a_lost_answer_a_thing_done_already_counts_as_done(patient):
    station = Station(lost=2)
    run(station, patient)
    assert station.recording
    assert station.calls == 3


@pytest.mark.parametrize("patient", [False, True])
def test_a_thing_that_somebody_else_has_done_is_refused_where_no_answer_was_lost(patient):
    station = Station()
    station.recording = True
    with pytest.raises(ScriptError, match="refused to start the recorder: episode 1 is still being recorded"):
        run(station, patient)


def test_only_the_patient_script_asks_again_after_a_refusal():
    station = Station(refusals=["the camera has not come yet"])
    run(station, patient=True)
    with pytest.raises(ScriptError, match="the camera has not come yet"):
        run(Station(refusals=["the camera has not come yet"]), patient=False)


def test_a_late_answer_to_an_earlier_call_counts():
    station = Station()
    slow = station.deliver
    ticks = iter(range(1000))
    station.deliver = lambda: slow() if next(ticks) >= 60 else None  # 6 s: after the second call
    run(station, patient=False)
    assert station.calls == 2


def test_a_station_that_never_answers_ends_the_script_and_is_named():
    with pytest.raises(ScriptError, match="no answer came to the call to start the recorder for 30 s"):
        run(Station(lost=100), patient=True)
