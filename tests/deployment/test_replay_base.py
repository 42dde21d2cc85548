"""Replay on a robot whose base drives: the simulated Stretch, without ROS, on the world's own time."""

import numpy as np
import pytest

from robot_learning.clock import seconds_to_ns
from robot_learning.data.store import Store
from robot_learning.deployment.recorded import load_recorded
from robot_learning.deployment.replay import TICK_HZ, Replay
from robot_learning.drivers.targets import to_target
from robot_learning.sim.recording import Demonstrator, Job
from robot_learning.sim.stretch import make

SEED = 3


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    """One demonstration without cameras."""
    path = tmp_path_factory.mktemp("replay") / "store"
    Store.create(path)
    demonstrator = Demonstrator(Job("rig/stretch_sim", path, None, False, False, {}))
    assert demonstrator.record(SEED, lambda: False).success
    demonstrator.close()
    return path


@pytest.mark.parametrize("speed", [1.0, 0.5])
def test_a_replay_takes_joints_and_base_the_recorded_way_and_ends_at_rest(store, speed):
    env = make("pick", cameras=False)
    env.reset(seed=SEED)
    clock, sent = env._world, []

    def send(values, stamp_ns):
        sent.append(values)
        env.gate.command(to_target(env.rig.robot, values, stamp_ns))

    recorded = load_recorded(str(store), "", env.rig)
    replay = Replay(env.rig, recorded, speed, clock, send)
    while not replay.finished:
        clock.advance_to(clock.now_ns() + seconds_to_ns(1 / TICK_HZ))
        state, m = env.robot.observe(), replay.measured
        m.joints(state.stamp_ns, state.joint_position, state.joint_velocity, state.joint_effort)
        m.pose(state.stamp_ns, state.ee_position, state.ee_orientation)
        m.gripper(state.stamp_ns, state.gripper_width)
        replay.trips = env.gate.trips
        replay.tick()
    assert replay.ended == "done"
    assert "first_target" not in env.gate.trips
    assert {len(values) for values in sent} == {10}
    assert sent[-1][-2:].tolist() == [0.0, 0.0]
    assert replay.comparison().position_m.max() < 0.02
    track = Store.open(store).episodes()[0].streams["base_pose"]
    end = env.robot.observe()
    assert np.abs(track.read([len(track) - 1])[0]).max() > 0.03  # it has driven or turned
    np.testing.assert_allclose(end.base_pose, track.read([len(track) - 1])[0], atol=0.015)
    np.testing.assert_allclose(end.base_velocity, 0, atol=0.01)
