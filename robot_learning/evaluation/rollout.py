"""Rolls a policy out in simulated tasks: the same alignment as in training, receding horizon, one seed per episode.

Several environments share one prediction, which for small networks costs little more than one
environment's. Each episode draws its noise from a generator of its own, seeded by the episode, so
that an episode is the same whichever worker runs it and whatever ran before it.
"""

from __future__ import annotations

import math
import time
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import torch

from robot_learning.data.images import resize
from robot_learning.data.live import LiveBuffer
from robot_learning.data.windows import observe
from robot_learning.errors import SafetyError
from robot_learning.policies.base import Policy
from robot_learning.sim.base import SimEnv

FILM_EVERY = 2  # policy steps per frame of a video


@dataclass(frozen=True)
class Episode:
    """One rollout.

    Attributes:
        score: the largest `info["score"]` of the episode, in [0, 1]; where a task has none, its success.
        steps: actions executed.
        inference_ms: mean time of a chunk's prediction [ms], its share where episodes were predicted together.
        gate_trips: how often each check of the gate acted.
        ended: how the episode ended: `success`, `failure` (the task's own end), `time limit`, `refused: ...`.
        frames: (H, W, 3) uint8 pictures, one each `FILM_EVERY` steps, where a video was asked for.
    """

    seed: int
    success: bool
    score: float
    steps: int
    inference_ms: float
    gate_trips: dict[str, int]
    ended: str
    frames: list[np.ndarray] = field(default_factory=list, repr=False, compare=False)

    def to_json(self) -> dict:
        """All but the frames."""
        return {k: v for k, v in vars(self).items() if k != "frames"}


def require_match(policy: Policy, env: SimEnv) -> None:
    """Raise ContractMismatch unless the environment serves and takes what the policy was trained on."""
    features = (*policy.observations, *policy.actions)
    policy.contract.require_match(env.contract, "the checkpoint", f"environment {env.name}", features)


def rollout(
    policy: Policy,
    envs: Sequence[SimEnv],
    seeds: Sequence[int],
    film: Collection[int] = (),
    goals: Sequence[Mapping[str, np.ndarray]] | None = None,
) -> list[Episode]:
    """Run one episode for each seed, each in an environment of its own, predicting for all together.

    Args:
        envs: at least as many as seeds; all of one contract.
        film: seeds whose episodes keep their frames.
        goals: for each seed what to reach, goal feature to (G, *shape); None: nothing is said.

    Raises:
        ContractMismatch: before the first step, where policy and environment don't fit.
    """
    require_match(policy, envs[0])
    told: Sequence[Mapping[str, np.ndarray] | None] = [None] * len(seeds) if goals is None else goals
    runs = [_Run(policy, e, seed, seed in film, goal) for e, seed, goal in zip(envs, seeds, told, strict=False)]
    while active := [run for run in runs if not run.ended]:
        began = time.perf_counter()
        windows, wanted = [run.observe() for run in active], [run.goal for run in active if run.goal is not None]
        chunks = predict(policy, windows, [run.generator for run in active], wanted or None)
        share_ms = 1000 * (time.perf_counter() - began) / len(active)
        for run, chunk in zip(active, chunks, strict=True):
            run.inference_ms.append(share_ms)
            run.execute(chunk)
    return [run.episode() for run in runs]


def predict(
    policy: Policy,
    windows: Sequence[Mapping[str, np.ndarray]],
    generators: Sequence[torch.Generator],
    goals: Sequence[Mapping[str, np.ndarray]] | None = None,
) -> np.ndarray:
    """The actions to execute now, (B, Ta, Da) float64, from B windows of feature to (To, *shape), and B goals."""
    batch = _stack(policy, policy.observations, windows)
    goal = _stack(policy, policy.view.goals, goals) if goals else None
    chunks = policy.predict(batch, list(generators), goal=goal) if goal else policy.predict(batch, list(generators))
    return chunks[:, policy.executed].double().cpu().numpy()


def _stack(policy: Policy, names: Sequence[str], items: Sequence[Mapping[str, np.ndarray]]) -> dict[str, torch.Tensor]:
    return {name: torch.from_numpy(np.stack([i[name] for i in items])).to(policy.device) for name in names}


def _watched_steps(policy: Policy, env: SimEnv) -> int:
    """How many steps before a prediction cameras must have watched: those observed, and a period of the slowest."""
    contract = env.contract
    rates = [contract.spec_of(name).rate_hz for name in policy.view.images(contract)]
    return policy.spec.To + math.ceil(contract.policy_rate_hz / min(rates)) if rates else 0


class _Run:
    """One episode under way."""

    def __init__(
        self, policy: Policy, env: SimEnv, seed: int, film: bool, goal: Mapping[str, np.ndarray] | None
    ) -> None:
        self._env, self._seed, self._film, self.goal = env, seed, film, goal
        self._view = policy.view
        self._buffer = LiveBuffer(env.contract, (policy.spec.To - 1) / env.contract.policy_rate_hz)
        self._watched = _watched_steps(policy, env)
        self.generator = torch.Generator().manual_seed(seed)
        self.ended = ""
        self.inference_ms: list[float] = []
        self._steps, self._score, self._success = 0, 0.0, False
        self._trips: Counter[str] = Counter()
        self._frames: list[np.ndarray] = []
        env.watching = True
        env.reset(seed=seed)
        self._buffer.extend(env.samples())
        self._picture()

    def observe(self) -> dict[str, np.ndarray]:
        """The window that ends now, images at the policy's resolution."""
        env, view = self._env, self._view
        window = observe(env.contract, self._buffer.sources, env.now_ns, view.spec.To, view.observations)
        for name in view.images(env.contract):
            window[name] = resize(window[name], view.image_size)
        return window

    def execute(self, actions: np.ndarray) -> None:
        """Take the actions (Ta, Da), or those until the episode's end."""
        for number, action in enumerate(actions, start=1):
            self._env.watching = len(actions) - number < self._watched  # the next chunk sees no earlier frames
            try:
                _, _, terminated, truncated, info = self._env.step(action)
            except SafetyError as error:  # the gate's refusal is the policy's failure, not ours
                self.ended = f"refused: {error}"
                return
            self._steps += 1
            self._buffer.extend(self._env.samples())
            self._trips.update(info.get("trips", ()))
            success = bool(info["success"])
            self._success |= success
            self._score = max(self._score, float(info.get("score", success)))
            self._picture()
            if success or terminated or truncated:
                self.ended = "success" if success else "failure" if terminated else "time limit"
                return

    def episode(self) -> Episode:
        """What became of it."""
        return Episode(
            seed=self._seed,
            success=self._success,
            score=self._score,
            steps=self._steps,
            inference_ms=float(np.mean(self.inference_ms)),
            gate_trips=dict(self._trips),
            ended=self.ended,
            frames=self._frames,
        )

    def _picture(self) -> None:
        if self._film and self._steps % FILM_EVERY == 0:
            self._frames.append(np.asarray(self._env.render()))
