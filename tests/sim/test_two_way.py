import conformance
import numpy as np
import pytest

from robot_learning.data.store import Store
from robot_learning.data.validation import check
from robot_learning.sim.collect import CollectConfig, collect
from robot_learning.sim.registry import make
from robot_learning.sim.two_way import CONTRACT, GOAL_M, RADIUS_M


@pytest.fixture
def env():
    return make("two_way")


def follow(env, *waypoints):
    """Go from waypoint to waypoint until the episode ends; the last step's result."""
    for waypoint in waypoints:
        while np.hypot(*(env.position - waypoint)) > 1e-6:
            result = env.step(np.array(waypoint))
            if result[2] or result[3]:
                return result
    return result


def test_it_keeps_what_every_task_promises(env):
    conformance.check_samples(env)
    conformance.check_seeds(env)
    conformance.check_refusals(env)
    conformance.check_without_cameras(env, CONTRACT)


def test_the_expert_succeeds_on_either_side_about_as_often_from_starts_that_do_not_tell_which(env):
    starts, sides = [], []
    expert = env.expert()
    for seed in range(200):
        env.reset(seed=seed)
        starts.append(env.position[0])
        expert.reset()
        ended = False
        while not ended:
            *_, terminated, truncated, info = env.step(expert.act())
            ended = terminated or truncated
        assert info["success"]
        sides.append(info["side"] == "left")
    assert 70 <= sum(sides) <= 130
    assert abs(np.corrcoef(starts, sides)[0, 1]) < 0.2


@pytest.mark.parametrize(("x", "side"), [(-0.2, "left"), (0.2, "right")])
def test_the_side_is_where_the_point_passed_the_obstacle(env, x, side):
    env.reset(seed=0)
    env.step(np.array([x, -0.4]))
    assert env.side is None
    *_, info = follow(env, (x, -0.2), (x, 0.2), GOAL_M)
    assert (info["success"], info["side"]) == (True, side)


def test_straight_ahead_ends_at_the_obstacle_as_a_failure(env):
    env.reset(seed=0)
    _, _, terminated, truncated, info = follow(env, GOAL_M)
    assert (terminated, truncated, info["success"], info["touched"]) == (True, False, False, True)
    assert RADIUS_M <= np.hypot(*env.position) < RADIUS_M + 0.005


def test_a_far_target_is_approached_by_three_centimetres_and_the_executed_action_says_so(env):
    env.reset(seed=0)
    begun = env.position.copy()
    env.samples()
    env.step(np.array([0.4, begun[1]]))
    assert env.position == pytest.approx(begun + np.array([0.03, 0.0]))
    samples = {s.stream: s.data for s in env.samples()}
    assert samples["action_executed"] == pytest.approx(env.position)
    assert samples["action_gated"] == pytest.approx([0.4, begun[1]])


def test_a_picture_shows_the_path(env):
    env.reset(seed=0)
    before = env.render()
    follow(env, (0.3, -0.3))
    after = env.render()
    assert before.shape == (256, 256, 3)
    assert (before != after).any(-1).sum() > 50


def test_demonstrations_are_collected_into_a_store_as_of_any_task(tmp_path):
    result = collect(CollectConfig("two_way", tmp_path / "store", episodes=3))
    store = Store.open(tmp_path / "store")
    assert [d.success for d in result.new] == [True] * 3
    assert check(store) == []
    assert [len(e.streams["position"]) for e in store.episodes()] == [
        len(e.streams["action_gated"]) + 1 for e in store.episodes()
    ]
