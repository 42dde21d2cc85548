"""A script in a person's place on a rig whose objects nobody knows: a small motion, recorded as an episode. No ROS."""

from __future__ import annotations

import math

import numpy as np

from robot_learning.clock import NS_PER_S, Clock, seconds_to_ns
from robot_learning.deployment.measured import Measured
from robot_learning.deployment.script import NOT_RECORDING, RECORDING, Script, Scripted, ScriptError
from robot_learning.deployment.scripted import Given, Station
from robot_learning.drivers.interfaces import EeTarget, RobotState
from robot_learning.drivers.targets import flatten, measured
from robot_learning.errors import ConfigError
from robot_learning.rig import Rig

_REST_S = 1.0  # between rounds


class Rehearsal(Scripted):
    """Records one round of the rig's rehearsal after another.

    The caller feeds `measured` and `stopped` as they come, and calls :meth:`tick` at the policy's rate.

    Args:
        episodes: how many; 0: without end.

    Attributes:
        measured: the robot's newest state.
        stopped: why the gate stopped; empty while it has not.
        given: the rounds so far.
        phase: what it does just now, in words.

    Raises:
        ConfigError: the rig allows no rehearsal.
    """

    def __init__(self, rig: Rig, station: Station, clock: Clock, episodes: int = 0) -> None:
        if rig.rehearsal is None:
            raise ConfigError(
                f"the rig '{rig.name}' is not simulated, and no script may move it: choose the input device of a "
                "person, or add a section 'rehearsal' to the rig file."
            )
        if rig.robot.command != "ee_target":
            raise ConfigError(f"a rehearsal moves the tool; the rig '{rig.name}' takes {rig.robot.command}s.")
        super().__init__(clock)
        self._rig, self._config, self._station, self._episodes = rig, rig.rehearsal, station, episodes
        self.measured = Measured()
        self.stopped = ""
        self.given: list[Given] = []
        self.phase = "waiting"

    def forget(self) -> None:
        """Time was set: what was measured before says nothing about now."""
        self.measured.clear()

    def run(self) -> Script[None]:
        """All rounds, as a script. Between them the robot is told to stay, for silence is a fault."""
        yield from self.until(lambda: not self._station.missing(), lambda: f"there is no {self._station.missing()}")
        yield from self.until(lambda: self._fresh() is not None, lambda: "the robot's state has not come")
        yield from self.until(lambda: not self.stopped, lambda: f"the gate is stopped ({self.stopped})")
        state = self._fresh()
        assert state is not None
        start = measured("ee_target", state, self._clock.now_ns())
        assert isinstance(start, EeTarget)
        while not self._episodes or len(self.given) < self._episodes:
            number = len(self.given)
            self.phase = f"round {number}: starting"
            begun = self.insist(lambda: self._station.record("start"), "start the recorder", RECORDING)
            yield from self._staying(start, begun)
            self.phase = f"round {number}: moving"
            steps = yield from self._move(start)
            self.phase = f"round {number}: ending"
            sealed = self.repeat(lambda: self._station.record("success"), "seal the episode", NOT_RECORDING)
            yield from self._staying(start, sealed)
            self.given.append(Given(number, True, steps))
            yield from self._staying(start, self.pause(_REST_S))

    def _move(self, start: EeTarget) -> Script[int]:
        """One round; how many steps it took."""
        began, steps = self._clock.now_ns(), 0
        while (share := (self._clock.now_ns() - began) / NS_PER_S / self._config.duration_s) < 1:
            if self.stopped:
                yield from self.repeat(lambda: self._station.record("discard"), "discard the episode", NOT_RECORDING)
                raise ScriptError(f"the rehearsal was interrupted: the gate stopped ({self.stopped}).")
            self._send(self._at(start, share))
            steps += 1
            yield True
        return steps

    def _staying(self, start: EeTarget, script: Script[None]) -> Script[None]:
        """Tell the robot to stay where a round begins, while `script` goes on."""
        for _ in script:
            if self.stopped:
                raise ScriptError(f"the rehearsal was interrupted: the gate stopped ({self.stopped}).")
            self._send(self._at(start, 0.0))
            yield True

    def _at(self, start: EeTarget, share: float) -> EeTarget:
        """The target at a share of the round's time, from rest to rest."""
        t = min(max(share, 0.0), 1.0)
        angle = 2 * math.pi * t**3 * (10 - 15 * t + 6 * t * t)
        r = self._config.radius_m
        away = np.array([0.0, r * math.sin(angle), r * (1 - math.cos(angle))])
        low, high = self._rig.limits.gripper_width_min_m, self._rig.limits.gripper_width_max_m
        width = start.gripper_width
        if self._config.gripper:
            width = low if 0.4 < t < 0.7 else high
        return EeTarget(self._clock.now_ns(), start.position + away, start.rotation_6d, width)

    def _send(self, target: EeTarget) -> None:
        self._station.send(flatten(target), target.stamp_ns)

    def _fresh(self) -> RobotState | None:
        """The robot's state, if it is of now."""
        state = self.measured.state
        limit = seconds_to_ns(self._rig.limits.command_age_max_s)
        return state if state is not None and self._clock.now_ns() - state.stamp_ns <= limit else None
