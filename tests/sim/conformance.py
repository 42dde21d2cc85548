"""What every simulated task promises, checked on one environment; its tests call these."""

import numpy as np
import pytest

from robot_learning.clock import seconds_to_ns
from robot_learning.errors import SafetyError

ACTIONS = {"action_commanded", "action_gated", "action_executed"}


def check_samples(env, steps=5):
    """Every stream of the contract arrives at its rate, of its shape and type, finite, in stamp order."""
    env.action_space.seed(0)
    observation, info = env.reset(seed=1)
    assert info["success"] is False
    assert env.now_ns == 0
    first = env.samples()
    specs = {spec.name: spec for spec in env.contract.streams}
    assert {s.stream for s in first} == set(specs) - ACTIONS
    assert all(s.stamp_ns == 0 for s in first)
    rest = []
    for _ in range(steps):
        began = env.now_ns
        observation, _, _, _, info = env.step(env.action_space.sample())
        assert isinstance(info["success"], bool)
        new = env.samples()
        assert {s.stamp_ns for s in new if s.stream in ACTIONS} == {began}
        assert {s.stamp_ns for s in new if s.stream not in ACTIONS} == {env.now_ns}
        rest += new
    assert env.observation_space.contains(observation)
    assert [s.stamp_ns for s in rest] == sorted(s.stamp_ns for s in rest)
    for name, spec in specs.items():
        samples = [s for s in first + rest if s.stream == name]
        assert {(s.data.shape, s.data.dtype) for s in samples} == {(spec.shape, np.dtype(spec.dtype))}, name
        assert [s.sequence for s in samples] == list(range(len(samples)))
        assert set(np.diff([s.stamp_ns for s in samples])) == {seconds_to_ns(1 / spec.rate_hz)}, name
        assert all(np.isfinite(s.data).all() for s in samples)
    return first + rest


def check_seeds(env, steps=5):
    """A seed decides the whole episode, whatever ran before; another seed is another start."""
    env.action_space.seed(0)
    actions = [env.action_space.sample() for _ in range(steps)]

    def run(seed):
        start, _ = env.reset(seed=seed)
        last = [env.step(a) for a in actions][-1][0]
        return start, last

    one, other, again = run(5), run(6), run(5)
    for a, b in zip(one, again, strict=True):
        assert all(np.array_equal(a[k], b[k]) for k in a)
    assert not all(np.array_equal(one[0][k], other[0][k]) for k in one[0])


def check_refusals(env):
    """Neither values that are not finite nor another number of them reach the simulator."""
    env.reset(seed=0)
    env.samples()
    before = env.now_ns
    bad = np.zeros(env.action_space.shape)
    bad[-1] = np.nan
    with pytest.raises(SafetyError, match="finite"):
        env.step(bad)
    with pytest.raises(ValueError, match="shape"):
        env.step(np.zeros(env.action_space.shape[0] + 1))
    assert env.now_ns == before
    assert env.samples() == []


def check_without_cameras(env, contract):
    """The same contract, and nothing rendered."""
    assert env.contract == contract
    env.reset(seed=0)
    pictures = {s.name for s in contract.streams if s.unit in ("rgb", "depth_mm")}
    assert pictures.isdisjoint(s.stream for s in env.samples())
    assert pictures.isdisjoint(env.observation_space)
