"""Closed-loop episodes as a script: what is asked of whom, in which order, and how an episode ends."""

from dataclasses import dataclass, field

import pytest

from robot_learning.clock import FakeClock
from robot_learning.deployment.rollouts import Rollouts
from robot_learning.deployment.script import Answer, ScriptError
from robot_learning.errors import ConfigError
from robot_learning.rig import Rig, load_rig

STEPS = 120  # a lift may take, at 20 Hz


@dataclass
class FakeStation:
    """Plays sim_node, recorder and policy_node: answers come a tick later."""

    clock: FakeClock
    succeeds_at: dict[int, int] = field(default_factory=dict)  # seed to ticks of the policy after which it succeeds
    stops_at: dict[int, tuple[int, str]] = field(default_factory=dict)
    refusals: list[str] = field(default_factory=list)  # of the policy's next starts
    silent: bool = False
    lost: int = 0  # of the next answers
    absent: str = ""
    said: list = field(default_factory=list)
    pending: list = field(default_factory=list)
    acting: int | None = None  # ticks since the policy's start

    def missing(self) -> str:
        return self.absent

    def reset(self, seed: int) -> Answer:
        self.seed = seed
        return self._later(("reset", seed))

    def record(self, word: str) -> Answer:
        return self._later(word)

    def policy(self, word: str) -> Answer:
        if word == "start" and self.refusals:
            return self._later("refused start", self.refusals.pop(0))
        self.acting = 0 if word == "start" else None
        return self._later(f"policy {word}")

    def _later(self, said, refusal: str = "") -> Answer:
        self.said.append(said)
        answer = Answer()
        if self.lost:
            self.lost -= 1
        else:
            self.pending.append((answer, refusal))
        return answer

    def run(self, rollouts: Rollouts, ticks: int = 2000) -> None:
        for _ in range(ticks):
            if not self.silent:
                for answer, refusal in self.pending:
                    answer.give(not refusal, refusal)
                self.pending.clear()
            self.clock.advance(0.05)
            if self.acting is not None:
                self.acting += 1
                rollouts.success |= self.acting == self.succeeds_at.get(self.seed)
                stop = self.stops_at.get(self.seed)
                if stop and self.acting == stop[0]:
                    rollouts.stopped = stop[1]
            rollouts.tick()
            if rollouts.finished:
                return


@pytest.fixture
def clock():
    return FakeClock(1_000_000_000)


def make(station, clock, episodes=1, first_seed=100_000):
    return Rollouts(load_rig("panda_demo"), station, clock, episodes, first_seed)


def test_each_episode_is_reset_recorded_acted_and_sealed_before_the_policy_stops(clock):
    station = FakeStation(clock, succeeds_at={7: 30, 8: 40})
    rollouts = make(station, clock, 2, 7)
    station.run(rollouts)
    one = ["start", "policy start", "success", "policy stop"]
    assert station.said == [("reset", 7), *one, ("reset", 8), *one]
    assert [(r.seed, r.success, r.ended) for r in rollouts.done] == [(7, True, "success"), (8, True, "success")]
    assert rollouts.done[0].steps == pytest.approx(30, abs=2)


def test_an_episode_whose_time_is_up_is_a_failure(clock):
    station = FakeStation(clock)
    rollouts = make(station, clock)
    station.run(rollouts)
    (done,) = rollouts.done
    assert (done.success, done.ended) == (False, "time limit")
    assert done.steps == pytest.approx(STEPS, abs=2)
    assert "failure" in station.said


def test_a_policy_that_stopped_by_itself_ends_the_episode_with_its_reason(clock):
    station = FakeStation(clock, stops_at={100_000: (12, "ran_dry")})
    rollouts = make(station, clock)
    station.run(rollouts)
    assert rollouts.done[0].ended == "ran_dry"
    assert not rollouts.done[0].success


def test_what_belongs_to_the_episode_before_does_not_count(clock):
    station = FakeStation(clock, succeeds_at={100_000: 10})
    rollouts = make(station, clock, 2)
    rollouts.trips, rollouts.inference_ms, rollouts.success = {"workspace": 3}, [9.0], True
    station.run(rollouts)
    assert rollouts.done[0].gate_trips == {}
    assert rollouts.done[0].inference_ms == 0.0
    assert rollouts.done[1].ended == "time limit"


def test_a_policy_that_is_not_ready_yet_is_asked_again(clock):
    station = FakeStation(clock, succeeds_at={100_000: 10}, refusals=["no server", "no observation"])
    rollouts = make(station, clock)
    station.run(rollouts)
    assert station.said.count("refused start") == 2
    assert rollouts.done[0].success


def test_a_reset_whose_answer_was_lost_is_asked_for_again(clock):
    station = FakeStation(clock, succeeds_at={100_000: 10}, lost=2)
    rollouts = make(station, clock)
    station.run(rollouts)
    assert station.said[:4] == [("reset", 100_000)] * 3 + ["start"]
    assert rollouts.done[0].success


def test_a_node_that_is_not_there_is_named(clock):
    station = FakeStation(clock, absent="policy")
    with pytest.raises(ScriptError, match="there is no policy"):
        station.run(make(station, clock))


def test_a_service_that_never_answers_is_named(clock):
    station = FakeStation(clock, silent=True)
    with pytest.raises(ScriptError, match="reset the simulation"):
        station.run(make(station, clock))


def test_a_real_rig_has_nobody_to_tell_success(clock):
    content = load_rig("panda_demo").model_dump(mode="json") | {"simulation": None}
    with pytest.raises(ConfigError, match="not simulated"):
        Rollouts(Rig.model_validate(content), FakeStation(clock), clock, 1, 0)
