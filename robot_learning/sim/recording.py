"""One demonstration, from a simulated environment into a store."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from robot_learning.clock import NS_PER_S
from robot_learning.data.recorder import Recorder
from robot_learning.data.sample import Sample
from robot_learning.data.store import Store
from robot_learning.errors import StoreError
from robot_learning.pool import Stop, Stopped, Work
from robot_learning.sim.base import Expert, SimEnv
from robot_learning.sim.registry import make

EXPERT = "expert"
# A demonstration that ends at the very step of success teaches to stop a hair's breadth before it: what a chunk
# predicts beyond the episode's end is its last action. So the expert goes on for a while.
AFTER_SUCCESS_S = 0.6


@dataclass(frozen=True)
class Job:
    """What is demonstrated, by whom, and where it goes.

    Attributes:
        env: name of the simulated task.
        store: the store's folder.
        checkpoint: folder of the policy that acts; None: the task's scripted expert does.
        cameras: whether images and depth are rendered and recorded.
        only_successes: whether failures are thrown away.
        provenance: kept with each episode, beside its environment and seed.
    """

    env: str
    store: Path
    checkpoint: str | None
    cameras: bool
    only_successes: bool
    provenance: dict[str, Any]

    @property
    def operator(self) -> str:
        """Who acts, as the episodes' metadata says it."""
        return f"policy {self.checkpoint}" if self.checkpoint else EXPERT


@dataclass(frozen=True)
class Demonstration:
    """What became of one seed.

    Attributes:
        id: the episode's; None where it was thrown away: as asked, or because its first action was refused.
        seconds: simulated time [s].
    """

    seed: int
    success: bool
    id: str | None
    seconds: float


class Demonstrator:
    """An environment, whoever acts in it, and a recorder; kept from seed to seed.

    Raises:
        UserError: no such task, store, checkpoint, or the task has no expert.
    """

    def __init__(self, job: Job) -> None:
        self._job = job
        self._env = make(job.env, cameras=job.cameras)
        self._recorder = Recorder(Store.open(job.store), self._env.contract)
        self._act = _policy(job.checkpoint, self._env) if job.checkpoint else _expert(self._env)
        self._env.reset(seed=0)
        given = {sample.stream for sample in self._env.samples()}
        self._absent = [
            spec.name
            for spec in self._env.contract.streams
            if spec.name not in given and not spec.name.startswith("action_")
        ]

    def record(self, seed: int, stop: Stop) -> Demonstration:
        """Record the episode of one seed.

        Args:
            stop: asked before each step whether to give up.

        Raises:
            Stopped: because `stop` said so.
            StoreError: the disk is full; what there was is sealed as truncated.
        """
        job, recorder = self._job, self._recorder
        about = {**job.provenance, "env": job.env, "seed": seed, "cameras": job.cameras}
        rig = getattr(self._env, "rig", None)  # benchmark environments have none
        if rig is not None and rig.calibration is not None:
            about["calibration"] = rig.calibration.to_json()
        id = recorder.start(self._env.task, job.operator, about, absent_streams=self._absent)
        tapped = _Tapped(self._env, recorder, stop)
        try:
            success, ended = self._act(tapped, seed)
        except _Lost:
            recorder.stop(None, "recording ended")  # the recorder's own reason came first
            raise StoreError(f"recording into {job.store} ended early: its disk is full; make room there.") from None
        except BaseException:
            recorder.discard()
            raise
        seconds = self._env.now_ns / NS_PER_S
        if not tapped.steps or (job.only_successes and not success):  # refused at once: there is nothing to keep
            recorder.discard()
            return Demonstration(seed, False, None, seconds)
        recorder.stop("success" if success else "failure", ended)
        return Demonstration(seed, success, id, seconds)

    def close(self) -> None:
        """Give the environment back."""
        self._env.close()


@contextmanager
def demonstrating(job: Job) -> Iterator[Work]:
    """A demonstrator as the pool's processes keep it: seeds come in, demonstrations go out."""
    demonstrator = Demonstrator(job)
    try:
        yield demonstrator.record
    finally:
        demonstrator.close()


class _Lost(Exception):  # turned into a StoreError that says why
    """The recorder took a sample no more."""


class _Tapped(SimEnv):
    """An environment whose samples also go to the recorder, whoever reads them."""

    def __init__(self, env: SimEnv, recorder: Recorder, stop: Stop) -> None:
        self._env, self._recorder, self._stop = env, recorder, stop
        self.contract, self.name, self.task, self.max_steps = env.contract, env.name, env.task, env.max_steps
        self.action_space, self.observation_space = env.action_space, env.observation_space
        self.steps = 0

    @property
    def now_ns(self) -> int:
        return self._env.now_ns

    def reset(self, *, seed: int | None = None, options: dict | None = None) -> tuple[dict[str, np.ndarray], dict]:
        return self._env.reset(seed=seed, options=options)

    def step(self, action: np.ndarray) -> tuple[dict[str, np.ndarray], Any, bool, bool, dict]:
        if self._stop():
            raise Stopped
        result = self._env.step(action)
        self.steps += 1
        return result

    def samples(self) -> list[Sample]:
        samples = self._env.samples()
        for sample in samples:
            if not self._recorder.record_blocking(sample):
                raise _Lost
        return samples

    def expert(self) -> Expert:
        return self._env.expert()

    def render(self) -> np.ndarray:
        return self._env.render()


_Act = Callable[[SimEnv, int], tuple[bool, str]]


def _expert(env: SimEnv) -> _Act:
    """Episodes by the scripted expert; whether each succeeded, and how it ended."""
    expert = env.expert()
    more = round(AFTER_SUCCESS_S * env.contract.policy_rate_hz)

    def act(env: SimEnv, seed: int) -> tuple[bool, str]:
        env.reset(seed=seed)
        env.samples()
        expert.reset()
        while True:
            _, _, terminated, truncated, info = env.step(expert.act())
            env.samples()
            if info["success"]:
                break
            if terminated or truncated:
                return False, "failure" if terminated else "time limit"
        for _ in range(more):
            env.step(expert.act())
            env.samples()
        return True, "success"

    return act


def _policy(checkpoint: str, env: SimEnv) -> _Act:
    """Episodes by a policy, exactly as in an evaluation."""
    import torch

    from robot_learning.evaluation.rollout import require_match, rollout
    from robot_learning.policies import checkpoint as checkpoints

    torch.set_num_threads(1)
    policy = checkpoints.load(checkpoint).eval()
    require_match(policy, env)

    def act(env: SimEnv, seed: int) -> tuple[bool, str]:
        episode = rollout(policy, [env], [seed])[0]
        return episode.success, episode.ended

    return act
