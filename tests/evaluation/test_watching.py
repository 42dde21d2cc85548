"""Cameras are rendered for frames that a policy will see, and it sees what it would if all were rendered."""

import numpy as np
import pytest
import torch
from point import Config

from robot_learning.data.windows import WindowSpec
from robot_learning.evaluation.rollout import rollout
from robot_learning.policies.base import Policy
from robot_learning.policies.normalizer import Normalizer
from robot_learning.policies.view import View
from robot_learning.sim import registry

TASKS = {"pusht": "image", "metaworld/drawer-open-v3": "corner2", "panda/lift": "front"}  # and a camera of each
STEPS, SEED = 20, 3


class Looker(Policy):
    """Moves a little, to and fro; keeps the images that it is shown."""

    def __init__(self, env, camera, To):
        view = View((camera,), ("action",), WindowSpec(To=To, Tp=10))
        super().__init__(Config(To=To, Tp=10, Ta=6), env.contract, view, Normalizer({}, {}, {}))
        self.weight = torch.nn.Parameter(torch.zeros(1))
        self.camera, self.seen = camera, []
        env.reset(seed=SEED)
        self.rest = torch.from_numpy(env.expert().act() if env.name != "pusht" else np.full(2, 256.0))

    def predict(self, observation, generator=None, prefix=None):
        self.seen.append(observation[self.camera].numpy().copy())
        chunk = self.rest.repeat(self.config.Tp, 1)
        chunk[:, :2] *= 1 + 0.05 * torch.sin(torch.arange(self.config.Tp))[:, None]
        return chunk[None]


def watched(name, To, always):
    """The images of a rollout, and how many frames were rendered for it."""
    env = registry.make(name)
    env.max_steps = STEPS
    policy = Looker(env, TASKS[name], To)
    if always:
        env.__class__ = type("Always", (env.__class__,), {"watching": property(lambda _: True, lambda *_: None)})
    frames, samples = [], env.samples
    env.samples = lambda: [s for s in samples() if frames.append(s.stream == TASKS[name]) or True]
    (episode,) = rollout(policy, [env], [SEED])
    env.close()
    return policy.seen, sum(frames), episode


@pytest.mark.parametrize("To", [1, 3])
@pytest.mark.parametrize("name", TASKS)
def test_a_policy_sees_the_frames_that_it_would_and_the_others_are_not_rendered(name, To):
    seen, rendered, episode = watched(name, To, always=False)
    wanted, every, same = watched(name, To, always=True)
    assert len(seen) == len(wanted) == 4
    assert all(np.array_equal(a, b) for a, b in zip(seen, wanted, strict=True))
    assert not np.array_equal(seen[0], seen[2])
    assert episode.steps == same.steps == STEPS
    assert rendered <= every * (0.8 if To == 3 else 0.5)
