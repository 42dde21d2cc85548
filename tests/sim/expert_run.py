"""An expert at its task."""

import numpy as np


def run(env, seed, steps=None):
    """One episode by the expert: (steps, success, samples, actions)."""
    env.reset(seed=seed)
    expert = env.expert()
    expert.reset()
    samples, actions = env.samples(), []
    while True:
        actions.append(expert.act())
        _, reward, terminated, truncated, info = env.step(actions[-1])
        samples += env.samples()
        if terminated or truncated or len(actions) == steps:
            assert terminated == info["success"] == bool(reward)
            return len(actions), info["success"], samples, np.array(actions)
