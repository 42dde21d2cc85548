"""The scripted teleoperator against the physics of the simulated rig, without ROS, on simulated time."""

from dataclasses import dataclass, field

import numpy as np
import pytest

from robot_learning.clock import FakeClock
from robot_learning.deployment.scripted import Answer, Demonstrator, ScriptError
from robot_learning.errors import ConfigError
from robot_learning.rig import load_rig
from robot_learning.sim.panda import PandaEnv


@dataclass
class FakeStation:
    """Plays sim_node and recorder: each sent action is a step of the environment, answers come a tick later."""

    env: PandaEnv
    clock: FakeClock
    absent: str = ""
    refusals: list[str] = field(default_factory=list)  # of the recorder's next starts
    trip_at: list[int] = field(default_factory=list)  # counts of actions after which the gate stops
    frozen: bool = False
    said: list = field(default_factory=list)
    actions: list = field(default_factory=list)
    pending: list = field(default_factory=list)

    def missing(self) -> str:
        return self.absent

    def reset(self, seed: int) -> Answer:
        def do():
            self.env.reset(seed=seed)
            self.demonstrator.stopped = ""
            self.demonstrator.success = False
            return True, ""

        self.said.append(("reset", seed))
        return self._later(do)

    def record(self, word: str) -> Answer:
        self.said.append(word)
        if word == "start" and self.refusals:
            reason = self.refusals.pop(0)
            return self._later(lambda: (False, reason))
        return self._later(lambda: (True, ""))

    def send(self, values, stamp_ns) -> None:
        self.actions.append(values)
        _, _, _, _, info = self.env.step(values)
        self.demonstrator.success |= info["success"]
        gated = [s.data for s in self.env.samples() if s.stream == "action_gated"][-1]
        self.demonstrator.gated(gated, stamp_ns)
        if len(self.actions) in self.trip_at:
            self.demonstrator.stopped = "watchdog"

    def _later(self, do) -> Answer:
        answer = Answer()
        self.pending.append((answer, do))
        return answer

    def tick(self) -> None:
        """One period of the policy."""
        for answer, do in self.pending:
            answer.give(*do())
        self.pending.clear()
        self.clock.advance(0.05)
        if not self.frozen and any(isinstance(s, tuple) for s in self.said):
            d, state, now = self.demonstrator, self.env.robot.observe(), self.clock.now_ns()
            d.measured.joints(now, state.joint_position, state.joint_velocity, state.joint_effort)
            d.measured.pose(now, state.ee_position, state.ee_orientation)
            d.measured.gripper(now, state.gripper_width)
            d.objects |= {name: (now, value) for name, value in self.env.objects.items()}
        self.demonstrator.tick()

    def run(self, ticks: int = 3000) -> Demonstrator:
        for _ in range(ticks):
            self.tick()
            if self.demonstrator.finished:
                return self.demonstrator
        raise AssertionError(f"not finished: {self.demonstrator.phase}")


def station(task="lift", episodes=1, first_seed=0, command="ee_target", **options) -> FakeStation:
    rig = load_rig("panda_sim")
    robot = rig.robot.model_copy(update={"command": command})
    rig = rig.model_copy(update={"robot": robot, "simulation": rig.simulation.model_copy(update={"task": task})})
    clock = FakeClock(10**9)
    made = FakeStation(PandaEnv(task, cameras=False, rig=rig), clock, **options)
    made.env.reset(seed=99)
    made.demonstrator = Demonstrator(rig, made, clock, episodes, first_seed)
    return made


@pytest.mark.parametrize("task", ["lift", "pick_place", "push"])
def test_it_gives_demonstrations_that_succeed_each_recorded_from_start_to_outcome(task):
    s = station(task, episodes=3, first_seed=5)
    given = s.run().given
    assert [(g.seed, g.success) for g in given] == [(5, True), (6, True), (7, True)]
    assert s.said == [w for seed in (5, 6, 7) for w in (("reset", seed), "start", "success")]
    assert s.env.gate.trips == {}


def test_a_rig_with_joint_targets_is_given_joints():
    s = station(command="joint_target")
    assert s.run().given[0].success
    assert {len(a) for a in s.actions} == {8}


def test_it_goes_on_for_a_while_after_success_and_does_not_pause_before_the_episode_is_sealed():
    s = station()
    reached = []
    while not s.demonstrator.finished:
        s.tick()
        if s.demonstrator.success:
            reached.append(len(s.actions))
    assert len(s.actions) - reached[0] >= 12  # 0.6 s at 20 Hz
    assert s.demonstrator.given[0].steps < len(s.actions)  # and while the recorder had not answered


def test_what_is_not_done_in_time_is_a_failure():
    s = station(episodes=1)
    s.env.step = lambda action: PandaEnv.step(s.env, s.actions[0])  # an arm that does not follow
    assert s.run().given[0].success is False
    assert s.said[-1] == "failure"
    assert len(s.actions) >= 120


def test_an_episode_that_a_stop_interrupts_is_thrown_away_and_given_again():
    s = station(trip_at=[10])
    given = s.run().given
    assert [(g.seed, g.success) for g in given] == [(0, True)]
    assert s.said == [("reset", 0), "start", "discard", ("reset", 0), "start", "success"]


def test_a_gate_that_stops_again_and_again_ends_it_and_the_reason_is_told():
    s = station(trip_at=[10 * k for k in range(1, 11)])
    with pytest.raises(ScriptError, match=r"seed 0 was interrupted 10 times.*watchdog"):
        s.run()


def test_a_recorder_that_is_not_ready_at_once_is_asked_again():
    s = station(refusals=["nothing has come yet: front"] * 2)
    assert s.run().given[0].success
    assert s.said.count("start") == 3


def test_a_recorder_that_refuses_for_good_ends_it_in_its_own_words():
    s = station(refusals=["no publisher: front"] * 10_000)
    with pytest.raises(ScriptError, match="no publisher: front"):
        s.run()
    assert s.actions == []


def test_state_that_stops_coming_is_not_acted_upon():
    s = station()
    while len(s.actions) < 10:
        s.tick()
    s.frozen = True
    for _ in range(40):
        s.tick()
    assert len(s.actions) < 20  # it stops within 0.3 s; the watchdog sees to the rest


def test_a_missing_node_is_named():
    s = station(absent="recorder")
    with pytest.raises(ScriptError, match="no recorder"):
        s.run()


def test_a_rig_that_is_not_simulated_has_no_script():
    rig = load_rig("panda_sim").model_copy(update={"simulation": None})
    with pytest.raises(ConfigError, match="keyboard or gamepad"):
        Demonstrator(rig, None, FakeClock())


def test_the_same_seed_gives_the_same_demonstration():
    one, other = station(first_seed=3), station(first_seed=3)
    one.run()
    other.run()
    np.testing.assert_array_equal(one.actions, other.actions)
