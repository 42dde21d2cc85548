from __future__ import annotations

import numpy as np
import pytest
from point import PointEnv, Walker

from robot_learning.errors import ContractMismatch
from robot_learning.evaluation.rollout import FILM_EVERY, rollout


def test_a_good_policy_succeeds_and_a_lazy_one_runs_out_of_time():
    (good,) = rollout(Walker(), [PointEnv()], [7])
    assert (good.success, good.ended, good.steps) == (True, "success", 1)
    assert good.score == pytest.approx(1.0)
    (lazy,) = rollout(Walker(speed=0.01), [PointEnv()], [7])
    assert (lazy.success, lazy.ended, lazy.steps) == (False, "time limit", PointEnv.max_steps)
    assert lazy.gate_trips == {"speed": PointEnv.max_steps}


def test_actions_of_the_past_are_not_executed_and_the_policy_predicts_anew_after_ta_steps():
    env, policy = PointEnv(), Walker(speed=0.01)
    rollout(policy, [env], [7])
    assert np.abs(env.actions).max() < 1.0
    assert len(policy.batches) == -(-PointEnv.max_steps // policy.config.Ta)


def test_the_score_is_the_best_of_the_episode_not_its_last():
    env = PointEnv()
    (shaky,) = rollout(Walker(speed=0.5, noise=0.05), [env], [3])
    scores = [1 - np.linalg.norm(env.goal - position) for position in env.actions]
    assert shaky.score == pytest.approx(max(scores))
    assert shaky.score > scores[-1]


def test_an_episode_is_the_same_alone_and_among_others_and_whatever_ran_before():
    policy, seeds = Walker(speed=0.5, noise=0.02), [11, 12, 13, 14, 15]
    together = rollout(policy, [PointEnv() for _ in seeds], seeds)
    env = PointEnv()
    alone = [rollout(policy, [env], [seed])[0] for seed in reversed(seeds)][::-1]
    assert [_outcome(e) for e in together] == [_outcome(e) for e in alone]
    assert len({e.score for e in together}) == len(seeds)


def test_episodes_that_ended_leave_the_batch():
    class Impatient(PointEnv):
        max_steps = 4

    policy = Walker(speed=0.01)
    rollout(policy, [Impatient(), PointEnv()], [1, 2])
    assert policy.batches == [2] + [1] * 7


def test_a_refusal_of_the_gate_ends_the_episode_as_a_failure():
    (refused,) = rollout(Walker(noise=50.0), [PointEnv()], [5])
    assert not refused.success
    assert refused.ended == "refused: too far."


def test_only_filmed_episodes_keep_frames():
    first, second = rollout(Walker(speed=0.01), [PointEnv(), PointEnv()], [1, 2], film=[2])
    assert first.frames == []
    assert [int(f[0, 0, 0]) for f in second.frames] == list(range(0, PointEnv.max_steps + 1, FILM_EVERY))
    assert "frames" not in second.to_json()


def test_another_contract_is_refused_before_the_first_step():
    env = PointEnv(robot="stretch")
    with pytest.raises(ContractMismatch, match="the checkpoint has point, environment point has stretch"):
        rollout(Walker(), [env], [1])
    assert env.actions == []


def _outcome(episode):
    return {k: v for k, v in episode.to_json().items() if k != "inference_ms"}
