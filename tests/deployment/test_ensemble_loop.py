"""Temporal ensembling against a loop over steps as ACT's paper describes it, one new chunk at each step."""

import math

import numpy as np
import pytest

from robot_learning.deployment.ensemble import EnsembleScheduler
from robot_learning.rig_parts.sections import ExecutionConfig

STEP, BEGIN = 50_000_000, 10**12
STEPS, CHUNK = 40, 12


def test_each_action_is_the_mean_that_a_loop_over_all_chunks_gives():
    rng = np.random.default_rng(0)
    said = rng.normal(size=(STEPS, CHUNK, 3))  # what the policy says at each step of the next CHUNK ones
    plan = EnsembleScheduler(ExecutionConfig(margin_s=0.0), STEP, (("m", 3),))
    for t in range(STEPS):
        now = BEGIN + t * STEP
        plan.add(said[t], now, now)
        action = plan.due(now)
        total, mean, age = 0.0, np.zeros(3), 0
        for asked in range(t + 1):  # from the oldest on
            if t - asked < CHUNK:
                weight = math.exp(-0.01 * age)
                mean, total, age = mean + weight * said[asked, t - asked], total + weight, age + 1
        assert action is not None
        assert not action.held
        assert action.values == pytest.approx(mean / total, abs=1e-12)
