from types import SimpleNamespace

import numpy as np
import pytest
import torch
from point import PointEnv, Walker

from robot_learning.data.sample import Sample
from robot_learning.data.store import Store
from robot_learning.data.windows import WindowSpec
from robot_learning.data.writer import EpisodeWriter
from robot_learning.errors import UserError
from robot_learning.evaluation.goals import found, goals_for, reach
from robot_learning.policies.goals import goal_at
from robot_learning.policies.view import View
from robot_learning.sim.play import Completion, make

STEP_NS = 10_000_000


class Obedient(Walker):
    """Goes where it is told; without a goal it stays."""

    takes_goal = True

    def __init__(self):
        super().__init__()
        self.view = View(("position",), ("action",), WindowSpec(To=2, Tp=8, goal=2), goals=("position",))
        self.told = []

    def predict(self, observation, generator=None, prefix=None, goal=None):
        position = observation["position"][:, -1] if goal is None else goal["position"][:, -1]
        self.told.append(None if goal is None else goal["position"].clone())
        return position[:, None].expand(-1, self.config.Tp, -1).double()


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    """Two recordings of a cube on the play table: one pushed right and back left, a failed one that went right."""
    store = Store.create(tmp_path_factory.mktemp("stores") / "held_out")
    contract = make("free", cameras=False).contract
    for ways, outcome in (((0.18, -0.18, -0.18, 0.18, 0.18), "success"), ((0.18, -0.18, -0.18), "failure")):
        y = np.interp(np.arange(100 * len(ways)) / 100, np.arange(len(ways)) + 1, ways)
        writer = EpisodeWriter(store, contract, {"task": "play"})
        for k, place in enumerate(y):
            values = {"cube_position": np.array([0.45, place, 0.02]), "gripper_width": np.array([0.08])}
            writer.append([Sample(n, k * STEP_NS, k * STEP_NS, k, v) for n, v in values.items()])
        writer.seal(outcome, "done")
    return store


def goal_policy(G=3):
    contract = make("free", cameras=False).contract
    view = View(("cube_position",), ("action",), WindowSpec(To=1, Tp=4, goal=G), goals=("cube_position",))
    return SimpleNamespace(takes_goal=True, view=view, contract=contract, config=SimpleNamespace(policy="mse"))


def test_completions_are_found_by_sub_task_and_failed_recordings_left_out(store):
    by_name = found(store)
    assert {name: len(of) for name, of in by_name.items()} == {"push_right": 1, "push_left": 1}
    assert {c.episode for of in by_name.values() for c in of} == {store.episodes()[0].id}


def test_a_goal_is_the_observations_that_end_as_the_sub_task_was_completed(store):
    (completion,) = found(store)["push_right"]
    goal = goal_at(goal_policy(), store.episode(completion.episode), completion.stamp_ns)["cube_position"]
    stream = store.episode(completion.episode).streams["cube_position"]
    last = int(np.searchsorted(stream.stamp, completion.stamp_ns))
    assert goal.shape == (3, 3)
    assert np.allclose(goal, stream.read([last - 10, last - 5, last]))  # the policy's 20 Hz in a stream of 100 Hz
    assert goal[-1] == pytest.approx([0.45, -0.18, 0.02], abs=1e-3)


def test_each_seed_has_a_goal_and_none_comes_twice_before_each_came_once(store):
    episode = store.episodes()[0].id
    chosen = [Completion("push_right", episode, stamp) for stamp in (2_300_000_000, 1_500_000_000, 3_500_000_000)]
    seeds = list(range(7))
    goals = [g["cube_position"][-1, 1] for g in goals_for(goal_policy(), store, chosen, seeds, seed=1)]
    assert len(set(goals[:3])) == len(set(goals[3:6])) == 3
    again = [g["cube_position"][-1, 1] for g in goals_for(goal_policy(), store, chosen, seeds, seed=1)]
    assert goals == again
    with pytest.raises(UserError, match="no completion"):
        goals_for(goal_policy(), store, [], seeds, seed=1)


def test_a_policy_without_goals_is_refused_by_name(store):
    (completion,) = found(store)["push_right"]
    policy = goal_policy()
    policy.takes_goal = False
    with pytest.raises(UserError, match="takes no goal"):
        goal_at(policy, store.episode(completion.episode), completion.stamp_ns)


def test_every_seed_is_told_its_own_goal_in_batches_of_the_environments():
    policy, seeds, envs = Obedient(), [1, 2, 3, 4, 5], [PointEnv(), PointEnv()]
    goals = []
    for seed in seeds:
        envs[0].reset(seed=seed)
        goals.append({"position": np.tile(envs[0].goal, (2, 1)).astype(np.float64)})
    episodes = list(reach(policy, envs, seeds, goals))
    assert [e.seed for e in episodes] == seeds
    assert all(e.success for e in episodes)
    assert [len(t) for t in policy.told] == [2, 2, 1]
    assert torch.equal(policy.told[-1][0], torch.from_numpy(goals[-1]["position"]))
    assert not any(e.success for e in reach(policy, envs, seeds, goals[1:] + goals[:1]))
    assert not any(e.success for e in reach(policy, envs, seeds, None))
