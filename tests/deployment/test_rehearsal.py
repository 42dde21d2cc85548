"""The rehearsal: a small motion recorded without a person."""

import numpy as np
import pytest

from robot_learning.clock import NS_PER_S, FakeClock
from robot_learning.deployment.rehearsal import Rehearsal
from robot_learning.deployment.script import Answer, ScriptError
from robot_learning.errors import ConfigError
from robot_learning.rig import load_rig
from robot_learning.rig_parts.rehearsal import RehearsalConfig
from robot_learning.rotation import rotation_6d_to_matrix

RIG = load_rig("panda_sim").model_copy(update={"simulation": None, "rehearsal": RehearsalConfig(radius_m=0.04)})
START = np.array([0.5, 0.1, 0.3])


class Station:
    """Answers at once, and puts the tool where it is told to be."""

    def __init__(self):
        self.clock = FakeClock(10 * NS_PER_S)
        self.words, self.sent = [], []
        self.rehearsal = Rehearsal(RIG, self, self.clock, episodes=2)
        self.position, self.width = START, 0.08

    def missing(self):
        return ""

    def record(self, word):
        self.words.append(word)
        return Answer(True, word)

    def send(self, values, stamp_ns):
        assert stamp_ns == self.clock.now_ns()
        self.sent.append(values)
        self.position, self.width = values[:3], values[9]

    def run(self, seconds):
        for _ in range(round(seconds * RIG.policy.rate_hz)):
            now, measured = self.clock.now_ns(), self.rehearsal.measured
            measured.joints(now, np.zeros(7), np.zeros(7), np.zeros(7))
            measured.pose(now, self.position, np.array([0.0, 1.0, 0.0, 0.0]))
            measured.gripper(now, np.array([self.width]))
            self.rehearsal.tick()
            self.clock.advance(1 / RIG.policy.rate_hz)
            if self.rehearsal.finished:
                return


def test_each_round_is_a_circle_that_ends_where_it_began_and_an_episode():
    station = Station()
    station.run(30)
    assert station.rehearsal.finished
    assert station.words == ["start", "success"] * 2
    assert len(station.rehearsal.given) == 2
    sent = np.array(station.sent)
    centre = START + np.array([0, 0, 0.04])
    moved = sent[np.linalg.norm(sent[:, :3] - START, axis=1) > 1e-3]
    np.testing.assert_allclose(np.linalg.norm(moved[:, :3] - centre, axis=1), 0.04, atol=1e-9)
    assert moved[:, 2].max() == pytest.approx(START[2] + 0.08, abs=1e-3)
    np.testing.assert_allclose(sent[-1][:3], START, atol=1e-12)
    assert set(sent[:, 9]) == {0.0, 0.08}
    np.testing.assert_allclose(rotation_6d_to_matrix(sent[0, 3:9]), np.diag([1.0, -1.0, -1.0]), atol=1e-12)


def test_it_stays_within_the_rigs_speed_and_never_falls_silent():
    station = Station()
    station.run(30)
    steps = np.linalg.norm(np.diff([s[:3] for s in station.sent], axis=0), axis=1) * RIG.policy.rate_hz
    assert steps.max() < RIG.limits.ee_speed_max_m_s
    assert len(station.sent) >= 2 * 6 * RIG.policy.rate_hz


def test_a_stop_of_the_gate_ends_it_and_throws_the_episode_away():
    station = Station()
    station.run(3)
    station.rehearsal.stopped = "stop"
    with pytest.raises(ScriptError, match=r"interrupted: the gate stopped \(stop\)"):
        station.run(1)
    assert station.words == ["start", "discard"]


def test_a_rig_without_the_section_is_not_moved():
    with pytest.raises(ConfigError, match="add a section 'rehearsal'"):
        Rehearsal(RIG.model_copy(update={"rehearsal": None}), Station(), FakeClock(0))
