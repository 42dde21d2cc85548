"""A task small enough to know by heart: a point that goes where it is told, to a goal drawn from the seed."""

from __future__ import annotations

import gymnasium
import numpy as np
import torch

from robot_learning.contract import Contract, Feature, StreamSpec
from robot_learning.data.sample import Sample
from robot_learning.data.windows import WindowSpec
from robot_learning.errors import SafetyError
from robot_learning.policies.base import Policy
from robot_learning.policies.config import PolicyConfig
from robot_learning.policies.normalizer import Normalizer
from robot_learning.policies.view import View
from robot_learning.sim.base import SimEnv

STEP_NS = 50_000_000


def contract(robot: str = "point") -> Contract:
    streams = [
        StreamSpec(name=n, shape=(2,), dtype="float64", unit="m", rate_hz=20.0)
        for n in ("position", "goal", "action_gated")
    ]
    features = [
        Feature(name="position", stream="position", role="observation", alignment="previous", max_age_s=0.1),
        Feature(name="goal", stream="goal", role="observation", alignment="previous", max_age_s=0.1, privileged=True),
        Feature(name="action", stream="action_gated", role="action", alignment="previous", max_age_s=0.1),
    ]
    return Contract(rig="point", robot=robot, policy_rate_hz=20.0, streams=tuple(streams), features=tuple(features))


class PointEnv(SimEnv):
    """Success within 1 mm of the goal; a target farther than 1 m from the point is refused."""

    name, task, max_steps = "point", "go to the goal", 30
    action_space = gymnasium.spaces.Box(-np.inf, np.inf, (2,))

    def __init__(self, robot: str = "point") -> None:
        self.contract = contract(robot)
        self.actions: list[np.ndarray] = []

    @property
    def now_ns(self) -> int:
        return self._steps * STEP_NS

    def reset(self, *, seed=None, options=None):
        self._rng = np.random.default_rng(seed)
        self._steps, self._position = 0, np.zeros(2)
        self.goal = self._rng.uniform(-0.5, 0.5, 2)
        self._samples, self.actions = [], []
        self._measure()
        return {}, {}

    def step(self, action):
        if np.linalg.norm(action - self._position) > 1.0:
            raise SafetyError("too far.")
        self.actions.append(np.array(action))
        self._position = np.array(action, np.float64)
        self._steps += 1
        self._measure()
        distance = float(np.linalg.norm(self.goal - self._position))
        success = distance < 1e-3
        info = {"success": success, "score": max(0.0, 1 - distance), "trips": ["speed"]}
        return {}, 0.0, success, self._steps >= self.max_steps, info

    def samples(self):
        samples, self._samples = self._samples, []
        return samples

    def render(self):
        return np.full((8, 8, 3), self._steps, np.uint8)

    def _measure(self) -> None:
        for name, value in (("position", self._position), ("goal", self.goal)):
            self._samples.append(Sample(name, self.now_ns, self.now_ns, self._steps, value.copy()))


class Config(PolicyConfig):
    policy = "scripted"


class Walker(Policy):
    """Walks `speed` of the remaining way per step, plus `noise` from the generators it is given."""

    def __init__(self, speed: float = 1.0, noise: float = 0.0, config: PolicyConfig | None = None) -> None:
        view = View(("position", "goal"), ("action",), WindowSpec(To=2, Tp=8))
        super().__init__(config or Config(To=2, Tp=8, Ta=4), contract(), view, Normalizer({}, {}, {}))
        self.weight = torch.nn.Parameter(torch.zeros(1))
        self.speed, self.noise, self.batches = speed, noise, []

    def predict(self, observation, generator=None, prefix=None):
        position, goal = observation["position"][:, -1], observation["goal"][:, -1]
        self.batches.append(len(position))
        chunk = [torch.full_like(position, 99.0)] * (self.config.To - 1)  # past: must not be executed
        for _ in range(self.config.Tp - len(chunk)):
            position = position + self.speed * (goal - position)
            chunk.append(position)
        shake = torch.stack([torch.randn(self.config.Tp, 2, generator=g, dtype=torch.float64) for g in generator])
        return torch.stack(chunk, dim=1) + self.noise * shake
