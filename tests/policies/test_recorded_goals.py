"""Goals out of recordings, for whoever runs a policy that was trained with goals."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from toy_policies import arm_contract, make_policy

from robot_learning.cli.serve import ServeConfig
from robot_learning.data.sample import Sample
from robot_learning.data.store import Store
from robot_learning.data.writer import EpisodeWriter
from robot_learning.deployment.backends import load_backend
from robot_learning.errors import ContractMismatch, StoreError, UnknownName, UserError
from robot_learning.evaluation import workers
from robot_learning.policies import checkpoint
from robot_learning.policies.beso.config import BesoConfig
from robot_learning.policies.goals import choose, goal_at_end, recording, recordings

PERIOD_NS = 50_000_000
GOALS = BesoConfig(layers=1, heads=2, dim=16, goal=2)


def record(store, end, outcome="success", steps=20):
    """Joints that go from 0 to `end`; the last action is two steps before the last observation."""
    writer = EpisodeWriter(store, arm_contract(), {"task": "t"})
    for k in range(steps):
        t = k * PERIOD_NS
        writer.append([Sample("joints", t, t, k, np.full(3, end * k / (steps - 1)))])
        if k < steps - 2:
            writer.append([Sample("action_gated", t, t, k, np.zeros(10))])
    return writer.seal(outcome, "done").id


@pytest.fixture
def store(tmp_path):
    return Store.create(tmp_path / "store")


def test_a_goal_is_what_a_recording_ended_with_as_training_knows_its_end(store):
    record(store, 19.0)
    goal = goal_at_end(make_policy(GOALS, ("joints",)), store.episodes()[0])
    assert goal["joints"].tolist() == [[16.0] * 3, [17.0] * 3]


def test_failures_are_no_goals_and_each_seed_draws_its_own(store):
    kept = [record(store, float(k)) for k in range(3)]
    record(store, 9.0, "failure")
    found = recordings(store)
    assert [e.id for e in found] == sorted(kept)
    drawn = [choose(found, seed).id for seed in range(40)]
    assert set(drawn) == set(kept)
    assert drawn == [choose(found, seed).id for seed in range(40)]
    assert recording(store.path, "").id == sorted(kept)[-1]
    assert recording(store.path, kept[0]).id == kept[0]
    with pytest.raises(UnknownName, match="recording to take a goal from 'nothing'"):
        recording(store.path, "nothing")


def test_what_can_not_be_a_goal_is_refused(store):
    with pytest.raises(StoreError, match="no recording whose end could be a goal"):
        recordings(store)
    record(store, 1.0)
    episode = store.episodes()[0]
    with pytest.raises(UserError, match="takes no goal; choose one that does: beso"):
        goal_at_end(make_policy(observations=("joints",)), episode)
    other = make_policy(GOALS, ("joints",), arm_contract(joints=((4,), "rad")))
    with pytest.raises(ContractMismatch, match="joints"):
        goal_at_end(other, episode)
    with pytest.raises(UserError, match="in which store"):
        ServeConfig(goal_episode="x")


def test_workers_tell_each_seed_its_goal(store, tmp_path, monkeypatch):
    for end in (5.0, 6.0, 7.0):
        record(store, end)
    folder = checkpoint.save(tmp_path / "c", make_policy(GOALS, ("joints",)), "snapshot")
    told = []
    monkeypatch.setattr(workers, "rollout", lambda policy, envs, seeds, film, goals: told.append(goals))
    monkeypatch.setattr(workers, "make", lambda *_, **__: type("Env", (), {"close": lambda self: None})())
    with workers._rolling(workers.Task(str(folder), "any", goals=str(store.path)), ()) as roll:
        roll([3, 4, 5], None)
    with workers._rolling(workers.Task(str(folder), "any"), ()) as roll:
        roll([3], None)
    policy, found = checkpoint.load(folder), recordings(store)
    expected = [goal_at_end(policy, choose(found, seed))["joints"] for seed in (3, 4, 5)]
    np.testing.assert_array_equal([g["joints"] for g in told[0]], expected)
    assert told[1] is None


def test_a_policy_without_goals_is_not_told_any(store, tmp_path):
    record(store, 1.0)
    free = checkpoint.save(tmp_path / "free", make_policy(replace(GOALS, goal=0), ("joints",)), "snapshot")
    with pytest.raises(UserError, match="takes no goal"):
        load_backend(free, "eager", goal=store.episodes()[0])


def test_the_server_s_policy_goes_for_its_goal(store, tmp_path):
    ends = [recording(store.path, record(store, end)) for end in (-1.0, 1.0)]
    folder = checkpoint.save(tmp_path / "c", make_policy(GOALS, ("joints",)), "snapshot")
    window = {"joints": np.zeros((2, 3))}
    one, other = (load_backend(folder, "eager", goal=end).infer(window, None, "") for end in ends)
    assert abs(one - other).max() > 1e-4
