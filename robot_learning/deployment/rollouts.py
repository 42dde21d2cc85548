"""Closed-loop episodes of a policy on a simulated rig, over its services: the same seeds as without ROS. No ROS."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any, Protocol

from robot_learning.clock import NS_PER_S, Clock, seconds_to_ns
from robot_learning.deployment.script import ACTING, NOT_RECORDING, RECORDING, Answer, Script, Scripted
from robot_learning.errors import ConfigError
from robot_learning.rig import Rig
from robot_learning.sim.station import task_of


class Station(Protocol):
    """What rollouts ask for. Nothing waits: answers are looked at in later ticks."""

    def missing(self) -> str:
        """Which node is not there yet; empty: all are."""
        ...

    def reset(self, seed: int) -> Answer:
        """Place arm and objects anew."""
        ...

    def record(self, word: str) -> Answer:
        """Tell the recorder start, success or failure; answered at once where nothing is recorded."""
        ...

    def policy(self, word: str) -> Answer:
        """Tell the policy start or stop."""
        ...


@dataclass(frozen=True)
class Rollout:
    """One closed-loop episode.

    Attributes:
        steps: the policy's periods from its start to the end.
        inference_ms: mean time of the server for a chunk [ms].
        gate_trips: how often each of the gate's rules acted.
        ended: `success`, `time limit`, or why the policy stopped.
    """

    seed: int
    success: bool
    steps: int
    inference_ms: float
    gate_trips: dict[str, int] = field(default_factory=dict)
    ended: str = ""

    def to_json(self) -> dict[str, Any]:
        """For a report."""
        return asdict(self)


class Rollouts(Scripted):
    """Resets the simulation, has the policy act until the task is done or its time is up, and again.

    The caller feeds the attributes below as they come and calls :meth:`tick` regularly.

    Attributes:
        success: what the simulation last said of the task.
        stopped: why the policy stopped by itself; empty while it acts.
        trips: the gate's rules that have acted since the last reset, with counts.
        inference_ms: times of the server's replies in this episode [ms].
        done: the episodes so far.

    Raises:
        ConfigError: the rig simulates no task.
    """

    def __init__(self, rig: Rig, station: Station, clock: Clock, episodes: int, first_seed: int) -> None:
        super().__init__(clock)
        task = task_of(rig)
        if task is None:
            raise ConfigError(f"the rig '{rig.name}' is not simulated: nobody can tell whether a task is done.")
        self._station, self._episodes, self._first_seed = station, episodes, first_seed
        self._rate_hz, self._limit_s = rig.policy.rate_hz, task.max_steps / rig.policy.rate_hz
        self.success = False
        self.stopped = ""
        self.trips: dict[str, int] = {}
        self.inference_ms: list[float] = []
        self.done: list[Rollout] = []

    def run(self) -> Script[None]:
        """All episodes, as a script."""
        yield from self.until(lambda: not self._station.missing(), lambda: f"there is no {self._station.missing()}")
        for seed in range(self._first_seed, self._first_seed + self._episodes):
            rollout = yield from self._episode(seed)
            self.done.append(rollout)

    def _episode(self, seed: int) -> Script[Rollout]:
        yield from self.repeat(lambda: self._station.reset(seed), "reset the simulation")
        yield from self.pause(0.3)  # what was seen before the reset must be too old to be used
        yield from self.insist(lambda: self._station.record("start"), "start the recorder", RECORDING)
        self.success, self.stopped, self.trips, self.inference_ms = False, "", {}, []
        yield from self.insist(lambda: self._station.policy("start"), "start the policy", ACTING)
        began = self._clock.now_ns()
        end = began + seconds_to_ns(self._limit_s)
        while not self.success and not self.stopped and self._clock.now_ns() < end:
            yield True
        steps = round((self._clock.now_ns() - began) / NS_PER_S * self._rate_hz)
        success, ended = self.success, "success" if self.success else self.stopped or "time limit"
        trips, times = dict(self.trips), list(self.inference_ms)
        outcome = "success" if success else "failure"
        yield from self.repeat(lambda: self._station.record(outcome), "seal the episode", NOT_RECORDING)
        yield from self.repeat(lambda: self._station.policy("stop"), "stop the policy")
        return Rollout(seed, success, steps, sum(times) / max(len(times), 1), trips, ended)
