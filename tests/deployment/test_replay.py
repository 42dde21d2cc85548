"""Replay of a recorded episode in the simulated physics, without ROS, on the world's own time."""

import json

import numpy as np
import pytest

from robot_learning.clock import NS_PER_S, seconds_to_ns
from robot_learning.data.store import Store
from robot_learning.deployment import replay_report
from robot_learning.deployment.recorded import Track, densified, load_recorded
from robot_learning.deployment.replay import TICK_HZ, Replay
from robot_learning.drivers.gate import FirstTargetRefused
from robot_learning.drivers.targets import to_target
from robot_learning.errors import ContractMismatch, StoreError
from robot_learning.rig import load_rig
from robot_learning.rotation import rotation_6d_to_matrix, rotation_distance
from robot_learning.sim.panda import make
from robot_learning.sim.recording import Demonstrator, Job

SEED = 3


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    """Two demonstrations of lift without cameras; the newer one of `SEED`."""
    path = tmp_path_factory.mktemp("replay") / "store"
    Store.create(path)
    demonstrator = Demonstrator(Job("panda/lift", path, None, False, False, {}))
    for seed in (SEED - 1, SEED):
        assert demonstrator.record(seed, lambda: False).success
    demonstrator.close()
    return path


class Station:
    """The simulated rig, its gate and a replay, all on the world's time."""

    def __init__(self, store, speed=1.0, seed=SEED, away=None):
        self.rig = load_rig("panda_sim")
        self.recorded = load_recorded(str(store), "", self.rig)
        self.env = make("lift", cameras=False)
        self.env.reset(seed=seed)
        self.clock = self.env._world
        self.replay = Replay(self.rig, self.recorded, speed, self.clock, self.send)
        self.sent, self.refused = [], 0

    def send(self, values, stamp_ns):
        self.sent.append((self.clock.now_ns(), values))
        try:
            self.env.gate.command(to_target(self.rig.robot, values, stamp_ns))
        except FirstTargetRefused:
            self.refused += 1

    def tick(self, fresh=True):
        self.clock.advance_to(self.clock.now_ns() + seconds_to_ns(1 / TICK_HZ))
        state = self.env.robot.observe()
        if fresh:
            m = self.replay.measured
            m.joints(state.stamp_ns, state.joint_position, state.joint_velocity, state.joint_effort)
            m.pose(state.stamp_ns, state.ee_position, state.ee_orientation)
            m.gripper(state.stamp_ns, state.gripper_width)
        self.replay.trips = self.env.gate.trips
        self.replay.tick()

    def run(self, until="finished"):
        for _ in range(10_000):
            self.tick()
            if self.replay.phase == until or self.replay.finished:
                return self.replay
        raise AssertionError(self.replay.phase)


def test_a_replay_from_the_same_start_does_the_same_motion_and_breaks_no_rule(store):
    station = Station(store)
    replay = station.run()
    assert replay.ended == "done"
    assert replay.broken == {}
    assert station.refused == 0
    assert replay.sent == len(station.recorded.actions.times_s)
    c = replay.comparison()
    assert c.position_m.max() < 0.004
    assert c.rotation_rad.max() < 0.05
    assert c.joint_rad.max() < 0.05
    assert c.times_s[-1] > station.recorded.duration_s


def test_each_target_is_sent_as_recorded_at_its_recorded_time(store):
    station = Station(store)
    station.run("replaying")
    before = len(station.sent)
    station.run()
    actions = station.recorded.actions
    sent = station.sent[before : before + len(actions.times_s)]
    np.testing.assert_array_equal([values for _, values in sent], actions.values)
    late = (np.array([t for t, _ in sent]) - sent[0][0]) / NS_PER_S - actions.times_s
    assert late.min() >= -1 / TICK_HZ
    assert late.max() <= 2 / TICK_HZ


def test_from_elsewhere_it_first_moves_there_slowly(store):
    station = Station(store, seed=11)
    start = station.recorded.position.at(np.zeros(1))[0]
    assert np.linalg.norm(station.env.robot.observe().ee_position - start) > 0.05
    station.run("replaying")
    assert station.refused == 0
    assert np.linalg.norm(station.env.robot.observe().ee_position - start) < 0.005
    times, path = (np.array(x) for x in zip(*[(t, v[:3]) for t, v in station.sent], strict=True))
    speed = np.linalg.norm(np.diff(path, axis=0), axis=1) / (np.diff(times) / NS_PER_S)
    assert speed[:-1].max() < 0.25 * station.rig.limits.ee_speed_max_m_s
    assert station.run().ended == "done"


def test_at_half_the_speed_targets_are_filled_in_and_it_takes_twice_as_long(store):
    station = Station(store, speed=0.5)
    station.run("replaying")
    begin = station.clock.now_ns()
    replay = station.run()
    assert replay.ended == "done"
    assert (station.clock.now_ns() - begin) / NS_PER_S == pytest.approx(2 * station.recorded.duration_s + 0.5, abs=0.1)
    stamps = np.array([t for t, _ in station.sent])
    assert np.diff(stamps).max() < 0.1 * NS_PER_S  # never so long that the watchdog barks
    assert replay.comparison().position_m.max() < 0.02  # the arm lags behind by less of the recorded time


def test_a_stop_of_the_gate_ends_it_and_nothing_more_is_sent(store):
    station = Station(store)
    station.run("replaying")
    for _ in range(50):
        station.tick()
    station.replay.stopped = "watchdog"
    count = len(station.sent)
    for _ in range(20):
        station.tick()
    assert len(station.sent) == count
    assert station.replay.ended == "the gate stopped: watchdog"
    assert station.replay.finished


def test_state_that_stops_coming_ends_it(store):
    station = Station(store)
    station.run("replaying")
    for _ in range(100):
        station.tick(fresh=False)
    assert station.replay.finished
    assert station.replay.ended == "the robot's state stopped coming"


def test_the_report_has_the_distances_as_figures_and_as_a_page(store, tmp_path):
    station = Station(store)
    replay = station.run()
    figures = replay_report.report(station.rig, station.recorded, replay, 1.0)
    path = replay_report.write(tmp_path / "out", figures, replay.comparison())
    read = json.loads((tmp_path / "out" / "replay.json").read_text())
    assert read == figures
    assert read["ended"] == "done"
    assert 0 < read["position_m"]["mean"] <= read["position_m"]["max"] < 0.004
    assert read["targets"]["recorded"] == read["targets"]["sent"]
    text = path.read_text()
    assert station.recorded.id in text
    assert text.count("<svg") == 2


def test_a_replay_that_never_began_is_reported_too(store, tmp_path):
    station = Station(store)
    station.run("moving to the start")
    station.replay.stopped = "stop"
    station.run()
    figures = replay_report.report(station.rig, station.recorded, station.replay, 1.0)
    text = replay_report.write(tmp_path, figures, None).read_text()
    assert "nothing was replayed" in text
    assert "the gate stopped: stop" in text


def test_the_newest_episode_is_taken_where_none_is_named(store):
    rig = load_rig("panda_sim")
    ids = [e.id for e in Store.open(store).episodes()]
    assert load_recorded(str(store), "", rig).id == ids[-1]
    assert load_recorded(str(store), ids[0], rig).id == ids[0]


def test_another_robot_or_kind_of_action_is_refused(store):
    rig = load_rig("panda_sim")
    joints = rig.model_copy(update={"robot": rig.robot.model_copy(update={"command": "joint_target"})})
    with pytest.raises(ContractMismatch, match="like the one"):
        load_recorded(str(store), "", joints)


def test_a_store_without_episodes_and_an_unknown_episode_are_named(store, tmp_path):
    rig = load_rig("panda_sim")
    Store.create(tmp_path / "empty")
    with pytest.raises(StoreError, match="no episodes"):
        load_recorded(str(tmp_path / "empty"), "", rig)
    with pytest.raises(Exception, match="nothing_like_it"):
        load_recorded(str(store), "nothing_like_it", rig)


def test_what_is_filled_in_lies_between_keeps_rotations_and_changes_the_gripper_only_where_recorded():
    rig = load_rig("panda_sim")
    a = np.array([0.4, 0.0, 0.2, 1, 0, 0, 0, 1, 0, 0.08])
    b = np.array([0.5, 0.1, 0.2, 0, 1, 0, -1, 0, 0, 0.0])  # a quarter about z
    dense = densified(Track(np.array([0.0, 0.05, 0.25]), np.array([a, a, b])), rig, 1.0)
    np.testing.assert_allclose(dense.times_s, [0, 0.05, 0.1, 0.15, 0.2, 0.25])
    np.testing.assert_array_equal(dense.values[[0, 1, 5]], [a, a, b])
    np.testing.assert_allclose(dense.values[3][:3], [0.45, 0.05, 0.2])
    assert dense.values[1:, -1].tolist() == [0.08] * 4 + [0.0]
    middle, start = (rotation_6d_to_matrix(dense.values[i][3:9]) for i in (3, 1))
    assert rotation_distance(start, middle) == pytest.approx(np.pi / 4)
    np.testing.assert_allclose(middle @ middle.T, np.eye(3), atol=1e-9)
