"""Does a recorded episode again and measures how far the motion strays from the recorded one. No ROS."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

from robot_learning.clock import NS_PER_S, Clock, seconds_to_ns
from robot_learning.deployment.measured import Measured
from robot_learning.deployment.recorded import Recorded, densified
from robot_learning.deployment.script import Script, Scripted
from robot_learning.drivers.interfaces import EeTarget, JointTarget, RobotState, Target
from robot_learning.drivers.motions import EeMotion, JointMotion, Motion
from robot_learning.drivers.targets import at_rest, flatten, measured
from robot_learning.rig import Rig
from robot_learning.rig_parts.limits import Limits
from robot_learning.rotation import matrix_to_rotation_6d, quaternion_to_matrix, rotation_distance

TICK_HZ = 100.0  # a target is sent at most so much late
_SLOW = 0.4  # of the rig's limits, on the way to the start; the motion itself uses a share of these
_SETTLE_S = 0.5  # at the start and at the last target, until the arm has come to rest


@dataclass(frozen=True)
class Distance:
    """How far two motions are apart."""

    mean: float
    max: float

    @classmethod
    def of(cls, apart: np.ndarray) -> Distance:
        """Of (n,) distances."""
        return cls(float(np.mean(apart)), float(np.max(apart)))


@dataclass(frozen=True)
class Comparison:
    """A replayed motion beside the recorded one, at the n instants at which it was measured.

    Attributes:
        times_s: (n,) recorded time [s], from the first action.
        replayed, recorded: (n, 3) tool positions [m].
        position_m, rotation_rad, joint_rad: (n,) distances; of the joints, the farthest one's.
    """

    times_s: np.ndarray
    replayed: np.ndarray
    recorded: np.ndarray
    position_m: np.ndarray
    rotation_rad: np.ndarray
    joint_rad: np.ndarray


class Replay(Scripted):
    """Moves slowly to where the episode began, then sends each target at its recorded time.

    The caller feeds `measured`, `stopped` and `trips`, calls :meth:`tick` at `TICK_HZ` and looks at `finished`. A stop
    of the gate ends it.

    Args:
        speed: of the recorded one, at most 1.
        send: publishes one action (Da,) with its stamp [ns].

    Attributes:
        measured: the robot's newest state.
        stopped: why the gate stopped; empty while it has not.
        trips: how often each rule of the gate was broken so far, by name.
        phase: what it does just now.
        ended: how it ended: `done`, or why not.
        sent: how many targets of the episode were sent.
    """

    def __init__(
        self, rig: Rig, recorded: Recorded, speed: float, clock: Clock, send: Callable[[np.ndarray, int], None]
    ) -> None:
        super().__init__(clock)
        self._rig, self._recorded, self._speed, self._send = rig, recorded, speed, send
        self._targets = densified(recorded.actions, rig, speed)
        self.measured = Measured()
        self.stopped = ""
        self.trips: dict[str, int] = {}
        self._trips_before: dict[str, int] = {}
        self.phase, self.ended = "waiting for the robot", ""
        self.sent = 0
        self._seen: list[tuple[float, RobotState]] = []  # recorded time [s] and state

    def run(self) -> Script[None]:
        """The replay, as a script."""
        yield from self.until(self._fresh, lambda: "the robot's state does not come")
        yield from self.until(lambda: not self.stopped, lambda: f"the gate is stopped ({self.stopped}); recover")
        self.phase = "moving to the start"
        begin = yield from self._approach()
        if begin is None:
            return
        self.phase, self._trips_before = "replaying", self.trips
        yield from self._play(begin)

    @property
    def broken(self) -> dict[str, int]:
        """How often each rule of the gate was broken by the episode's own targets."""
        before = self._trips_before
        return {name: n - before.get(name, 0) for name, n in self.trips.items() if n > before.get(name, 0)}

    @property
    def compared(self) -> bool:
        """Whether there is anything to compare."""
        return bool(self._seen)

    def comparison(self) -> Comparison:
        """The replayed motion beside the recorded one; only where `compared`."""
        recorded = self._recorded
        times = np.array([t for t, _ in self._seen])
        states = [state for _, state in self._seen]
        position, joints = np.array([s.ee_position for s in states]), np.array([s.joint_position for s in states])
        turned = np.array([quaternion_to_matrix(s.ee_orientation) for s in states])
        wanted = np.array([quaternion_to_matrix(q) for q in recorded.orientation.at(times, spherical=True)])
        was = recorded.position.at(times)
        return Comparison(
            times, position, was,
            np.linalg.norm(position - was, axis=1),
            rotation_distance(turned, wanted),
            np.abs(joints - recorded.joints.at(times)).max(axis=1),
        )  # fmt: skip

    def _approach(self) -> Script[int | None]:
        """To where the episode began, at rest; when the next target is due [ns], None where it did not get there."""
        now = self._clock.now_ns()
        state = self.measured.state
        assert state is not None
        start = measured(self._rig.robot.command, state, now)
        if isinstance(start, JointTarget):
            start = replace(start, base_velocity=self._standing())
        goal = self._first_pose(now)
        limits = _slower(self._rig.limits)
        motion: Motion
        if isinstance(start, EeTarget) and isinstance(goal, EeTarget):
            motion = EeMotion("approach", limits, start, goal, now)
        else:
            assert isinstance(start, JointTarget)
            assert isinstance(goal, JointTarget)
            motion = JointMotion("approach", limits, start, goal.position, now)
        period_ns = seconds_to_ns(1 / self._rig.policy.rate_hz)
        end = now + seconds_to_ns(motion.duration_s + _SETTLE_S)
        due = now
        while due < end:
            if self._hindered():
                return None
            if (now := self._clock.now_ns()) >= due:
                due = now + period_ns
                self._send(flatten(motion.at(now) or goal), now)
            yield True
        return due

    def _first_pose(self, now: int) -> Target:
        """Where the robot was when the first target was sent: that one was a step already."""
        recorded, zero = self._recorded, np.zeros(1)
        values = recorded.actions.values[0]
        if self._rig.robot.command == "joint_target":
            width = float(values[self._rig.robot.joints])
            return JointTarget(now, recorded.joints.at(zero)[0], width, self._standing())
        rotation = matrix_to_rotation_6d(quaternion_to_matrix(recorded.orientation.at(zero, spherical=True)[0]))
        return EeTarget(now, recorded.position.at(zero)[0], rotation, float(values[-1]))

    def _play(self, begin: int) -> Script[None]:
        times, values = self._targets.times_s, self._targets.values
        end_s = float(times[-1]) + _SETTLE_S
        last_ns, next = 0, 0
        period = 1 / self._rig.policy.rate_hz
        held_s = float(times[-1])  # when the last target was sent again
        while (elapsed := (self._clock.now_ns() - begin) / NS_PER_S) < end_s:
            if self._hindered():
                return
            if elapsed < 0:
                yield True
                continue
            while next < len(times) - 1 and times[next + 1] <= elapsed:
                next += 1  # where a tick came late, the newest that is due
            state = self.measured.state
            assert state is not None
            if state.stamp_ns > last_ns and state.stamp_ns >= begin:
                last_ns = state.stamp_ns
                self._seen.append(((state.stamp_ns - begin) / NS_PER_S * self._speed, state))
            if next >= self.sent and times[next] <= elapsed:
                self._send(values[next], self._clock.now_ns())
                self.sent = next + 1
            elif elapsed - held_s >= period:  # at rest, until it has come to rest
                self._send(at_rest(self._rig.robot, values[-1]), self._clock.now_ns())
                held_s = elapsed
            yield True
        self.ended, self.phase = "done", "finished"

    def _standing(self) -> np.ndarray | None:
        """The velocity (2,) of a base that stands; None without one."""
        return np.zeros(2) if self._rig.robot.base else None

    def _hindered(self) -> bool:
        if self.stopped:
            self.ended = f"the gate stopped: {self.stopped}"
        elif not self._fresh():
            self.ended = "the robot's state stopped coming"
        else:
            return False
        self.phase = "interrupted"
        return True

    def _fresh(self) -> bool:
        age = self._clock.now_ns() - self.measured.stamp_ns
        return not self.measured.missing and age <= seconds_to_ns(self._rig.limits.command_age_max_s)


def _slower(limits: Limits) -> Limits:
    """The same limits with less speed."""
    return limits.model_copy(
        update={
            "ee_speed_max_m_s": _SLOW * limits.ee_speed_max_m_s,
            "ee_angular_speed_max_rad_s": _SLOW * limits.ee_angular_speed_max_rad_s,
            "joint_velocity_max": tuple(_SLOW * v for v in limits.joint_velocity_max),
        }
    )
