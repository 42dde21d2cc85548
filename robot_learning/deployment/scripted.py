"""A scripted teleoperator: gives demonstrations of a simulated rig's task from what its topics tell. No ROS."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np

from robot_learning.clock import Clock, seconds_to_ns
from robot_learning.deployment.measured import Measured
from robot_learning.deployment.script import NOT_RECORDING, RECORDING, Answer, Script, Scripted, ScriptError
from robot_learning.drivers.interfaces import Target
from robot_learning.drivers.targets import to_target
from robot_learning.errors import ConfigError
from robot_learning.rig import Rig
from robot_learning.sim.kinds import kind_of
from robot_learning.sim.recording import AFTER_SUCCESS_S
from robot_learning.sim.station import task_of

_CALM_S = 0.5  # after a first interruption; longer after each more, for a busy machine may need it
_ATTEMPTS = 10  # at one seed, before it gives up


class Station(Protocol):
    """What a demonstrator asks for. Nothing waits: answers are looked at in later ticks."""

    def missing(self) -> str:
        """Which node is not there yet; empty: all are."""
        ...

    def reset(self, seed: int) -> Answer:
        """Place arm and objects anew."""
        ...

    def record(self, word: str) -> Answer:
        """Tell the recorder start, success, failure or discard; answered at once where nothing is recorded."""
        ...

    def send(self, values: np.ndarray, stamp_ns: int) -> None:
        """Publish one action (Da,)."""
        ...


@dataclass(frozen=True)
class Given:
    """One demonstration that was given."""

    seed: int
    success: bool
    steps: int


class Demonstrator(Scripted):
    """Resets the simulation, has the recorder started, acts as the task's expert, says how it ended; and again.

    The caller feeds `measured`, `objects` and the attributes below as they come, and calls :meth:`tick` at the
    policy's rate.

    Args:
        episodes: how many; 0: without end.
        first_seed: the first one's; each next is one more.

    Attributes:
        measured: the robot's newest state.
        objects: the newest stamp [ns] and value of each of the task's own streams.
        success: what the simulation last said of the task.
        stopped: why the gate stopped; empty while it has not.
        given: the demonstrations so far.
        phase: what it does just now, in words.

    Raises:
        ConfigError: the rig simulates no task.
    """

    def __init__(self, rig: Rig, station: Station, clock: Clock, episodes: int = 0, first_seed: int = 0) -> None:
        task = task_of(rig)
        if task is None:
            raise ConfigError(
                f"the rig '{rig.name}' is not simulated, so that no script knows where its objects are; "
                "choose device keyboard or gamepad."
            )
        super().__init__(clock)
        self._rig, self._station = rig, station
        self._episodes, self._first_seed = episodes, first_seed
        self._task = task
        self._expert = kind_of(rig).expert(rig, self._task)
        self.measured = Measured()
        self.objects: dict[str, tuple[int, np.ndarray]] = {}
        self.success = False
        self.stopped = ""
        self.given: list[Given] = []
        self.phase = "waiting"
        self._sent: Target | None = None  # the last of this episode
        self._gated: Target | None = None

    def forget(self) -> None:
        """Time was set: what was measured before says nothing about now."""
        self.measured.clear()
        self.objects.clear()

    def gated(self, values: np.ndarray, stamp_ns: int) -> None:
        """What the gate made of the command stamped so."""
        self._gated = to_target(self._rig.robot, values, stamp_ns)

    def run(self) -> Script[None]:
        """All demonstrations, as a script."""
        yield from self.until(lambda: not self._station.missing(), lambda: f"there is no {self._station.missing()}")
        while not self._episodes or len(self.given) < self._episodes:
            seed = self._first_seed + len(self.given)
            for attempt in range(_ATTEMPTS):
                given = yield from self._demonstrate(seed)
                if given:
                    self.given.append(given)
                    break
                yield from self.pause(_CALM_S * (attempt + 1))
            else:
                raise ScriptError(
                    f"the demonstration of seed {seed} was interrupted {_ATTEMPTS} times, at last because the gate "
                    f"stopped: {self.stopped}; look at the robot's log."
                )

    def _demonstrate(self, seed: int) -> Script[Given | None]:
        """One demonstration; None where the gate's stop interrupted it, and it was thrown away."""
        self.phase = f"seed {seed}: resetting"
        yield from self.repeat(lambda: self._station.reset(seed), "reset the simulation")
        since = self._clock.now_ns()
        yield from self.until(lambda: self._seen_since(since), lambda: f"nothing has come of {self._unseen(since)}")
        yield from self.until(lambda: not self.stopped, lambda: f"the gate is stopped ({self.stopped})")
        self.success, self._sent, self._gated = False, None, None
        self._expert.reset()
        rng = np.random.default_rng([seed, 1])  # apart from the start that the simulation makes of the seed
        self.phase = f"seed {seed}: starting"
        yield from self.insist(lambda: self._station.record("start"), "start the recorder", RECORDING)
        self.phase = f"seed {seed}: acting"
        steps, end = 0, None
        while steps < (end or self._task.max_steps):
            if self.stopped:
                self.phase = f"seed {seed}: interrupted"
                yield from self.repeat(lambda: self._station.record("discard"), "discard the episode", NOT_RECORDING)
                return None
            if self.success and end is None:
                end = steps + round(AFTER_SUCCESS_S * self._rig.policy.rate_hz)
            self._act(rng)
            steps += 1
            yield True
        self.phase = f"seed {seed}: ending"
        outcome = "success" if end else "failure"
        for _ in self.repeat(lambda: self._station.record(outcome), "seal the episode", NOT_RECORDING):
            self._act(rng)  # the commands go on until the episode is sealed
            yield True
        return Given(seed, end is not None, steps)

    def _act(self, rng: np.random.Generator) -> None:
        """Send the expert's next action, unless what it would answer is old: then the robot's watchdog acts."""
        now, state = self._clock.now_ns(), self.measured.state
        oldest = min([self.measured.stamp_ns, *(stamp for stamp, _ in self.objects.values())])
        if state is None or now - oldest > seconds_to_ns(self._rig.limits.command_age_max_s):
            return
        objects = {name: value for name, (_, value) in self.objects.items()}
        values = self._expert.act(state, objects, self._reference(), rng)
        self._sent = to_target(self._rig.robot, values, now)
        self._station.send(values, now)

    def _reference(self) -> Target | None:
        """Where the robot was last told to be: what the gate made of the last command, once it has said so."""
        if self._sent and self._gated and self._gated.stamp_ns >= self._sent.stamp_ns:
            return self._gated
        return self._sent

    def _unseen(self, since_ns: int) -> str:
        seen = {name: stamp for name, (stamp, _) in self.objects.items()}
        old = [name for name in self._task.streams if seen.get(name, 0) <= since_ns]
        return ", ".join([*(["the robot's state"] if self.measured.stamp_ns <= since_ns else []), *old])

    def _seen_since(self, since_ns: int) -> bool:
        return not self._unseen(since_ns)
