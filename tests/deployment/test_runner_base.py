"""A policy in charge of a robot whose base drives: whatever is held, the base is at rest."""

from dataclasses import replace

import numpy as np
import pytest
from fake_client import INFO, FakeClient

from robot_learning.clock import FakeClock
from robot_learning.data.sample import Sample
from robot_learning.deployment.client import Reply
from robot_learning.deployment.runner import PolicyRunner
from robot_learning.rig import load_rig

RIG = load_rig("stretch_sim")
DRIVING = np.array([*RIG.robot.home_joint_position, 0.09, 0.15, -0.3])


class FakeDrivingClient(FakeClient):
    """All its actions drive and turn the base."""

    def poll(self):
        reply = super().poll()
        return reply and Reply(reply.id, reply.stamp_ns, np.tile(DRIVING, (len(reply.chunk), 1)), reply.timing)


class Station:
    def __init__(self):
        self.clock, self.sent = FakeClock(10**9), []
        info = replace(INFO, observations=("ee_position",), policy_rate_hz=RIG.policy.rate_hz)
        self.client = FakeDrivingClient(self.clock, info)
        self.runner = PolicyRunner(
            self.client, RIG.contract(), RIG, self.clock, lambda action, stamp, person: self.sent.append(action)
        )
        self._ticks = 0
        self.runner.gate("inactive", "")
        self.run(0.3)
        self.runner.start()
        self.run(1.0)

    def run(self, seconds):
        for _ in range(round(seconds * 100)):
            self.clock.advance(0.01)
            self._ticks += 1
            now = self.clock.now_ns()
            self.runner.extend([Sample("ee_position", now, now, self._ticks, np.array([0.0, -0.4, 0.7]))])
            self.runner.tick()


@pytest.fixture
def station():
    made = Station()
    np.testing.assert_array_equal(made.sent[-1], DRIVING)
    return made


def assert_stands(action):
    np.testing.assert_array_equal(action, [*DRIVING[:-2], 0.0, 0.0])


def test_a_policy_that_is_paused_holds_its_joints_and_not_its_driving(station):
    station.runner.pause()
    count = len(station.sent)
    station.run(2.0)
    assert station.runner.mode == "paused"
    assert len(station.sent) - count >= 19  # it goes on saying so: silence would be a fault
    for action in station.sent[count + 1 :]:
        assert_stands(action)
    station.runner.resume()
    station.run(0.5)
    np.testing.assert_array_equal(station.sent[-1], DRIVING)


def test_a_chunk_that_ran_out_is_held_without_driving_on(station):
    station.client.delay_s = 100.0
    while station.runner.mode == "policy":
        station.run(0.1)
    assert station.runner.mode == "stopped"
    driving = [action[-2] != 0 for action in station.sent]
    held = len(driving) - 1 - driving[::-1].index(True)
    assert len(driving) - held > 3
    for action in station.sent[held + 1 :]:
        assert_stands(action)
