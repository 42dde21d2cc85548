"""A recorded episode as something to do again: its targets over time, and the motion that came of them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from robot_learning.clock import NS_PER_S
from robot_learning.data.alignment import lerp, slerp
from robot_learning.data.store import Episode, Store
from robot_learning.errors import ContractMismatch, StoreError
from robot_learning.rig import Rig
from robot_learning.rotation import (
    matrix_to_rotation_6d,
    matrix_to_rotation_vector,
    rotation_6d_to_matrix,
    rotation_vector_to_matrix,
)

ACTION = "action_commanded"


@dataclass(frozen=True)
class Track:
    """One stream over time: times (N,) [s] since the first action, values (N, D)."""

    times_s: np.ndarray
    values: np.ndarray

    def at(self, times_s: np.ndarray, spherical: bool = False) -> np.ndarray:
        """(n, D) between samples; quaternions along the arc where `spherical`."""
        after = np.clip(np.searchsorted(self.times_s, times_s), 1, len(self.times_s) - 1)
        before = after - 1
        span = self.times_s[after] - self.times_s[before]
        weight = np.clip((times_s - self.times_s[before]) / np.where(span > 0, span, 1.0), 0.0, 1.0)
        return (slerp if spherical else lerp)(self.values[before], self.values[after], weight)


@dataclass(frozen=True)
class Recorded:
    """What a replay needs of an episode.

    Attributes:
        actions: as commanded, (N, Da).
        position, orientation, joints: the measured motion: (M, 3) [m], (M, 4) scalar first, (M, J) [rad].
    """

    id: str
    task: str
    actions: Track
    position: Track
    orientation: Track
    joints: Track

    @property
    def duration_s(self) -> float:
        """From the first action to the last."""
        return float(self.actions.times_s[-1])


def load_recorded(store: str, id: str, rig: Rig) -> Recorded:
    """An episode of a store, for a rig; the newest where `id` is empty.

    Raises:
        StoreError: there is no such store or episode, or it holds no actions.
        ContractMismatch: another robot, or another kind of action.
    """
    opened = Store.open(store)
    if id:
        episode = opened.episode(id)
    elif not (episodes := opened.episodes()):
        raise StoreError(f"the store {store} has no episodes; record one first.")
    else:
        episode = episodes[-1]
    _check(episode, rig)
    if not len(episode.streams[ACTION]):
        raise StoreError(f"episode {episode.id} holds no actions; choose another with the parameter 'episode'.")
    begin = int(episode.streams[ACTION].stamp[0])
    tracks = (ACTION, "ee_position", "ee_orientation", "joint_position")
    return Recorded(episode.id, episode.metadata["task"], *(_track(episode, name, begin) for name in tracks))


def _track(episode: Episode, name: str, begin_ns: int) -> Track:
    stream = episode.streams[name]
    if len(stream) < 2:
        raise StoreError(f"episode {episode.id} holds {len(stream)} samples of '{name}'; there is nothing to replay.")
    return Track((stream.stamp - begin_ns) / NS_PER_S, stream.read(range(len(stream))).astype(np.float64))


def _check(episode: Episode, rig: Rig) -> None:
    theirs, ours = episode.contract, rig.contract()
    actions = theirs.stream(ACTION), ours.stream(ACTION)
    if theirs.robot != ours.robot or actions[0].unit != actions[1].unit:
        raise ContractMismatch(
            f"episode {episode.id} was recorded on a {theirs.robot} that takes '{actions[0].unit}'; the rig {rig.name} "
            f"is a {ours.robot} that takes '{actions[1].unit}': choose a rig like the one it was recorded on."
        )


def densified(actions: Track, rig: Rig, speed: float) -> Track:
    """Targets over the time of a replay at `speed`, none later than one period of the policy after the one before.

    Each recorded target is there at its time; between them, where a slower replay or a pause needs it, the motion is
    filled in: the tool along the straight line and the shorter turn. The gripper changes where it was recorded to.
    A base goes as much slower as the replay does, so that it gets as far.
    """
    period = 1 / rig.policy.rate_hz
    times = actions.times_s / speed
    out_times, out_values = [float(times[0])], [actions.values[0]]
    for i in range(1, len(times)):
        parts = max(1, int(np.ceil((times[i] - times[i - 1]) / period - 0.1)))  # a period jitters a little
        for k in range(1, parts + 1):
            out_times.append(float(times[i - 1] + (times[i] - times[i - 1]) * k / parts))
            between = _between(actions.values[i - 1], actions.values[i], k / parts, rig)
            out_values.append(actions.values[i] if k == parts else between)
    values = np.array(out_values)
    if rig.robot.base:
        values[:, -2:] *= speed
    return Track(np.array(out_times), values)


def _between(a: np.ndarray, b: np.ndarray, share: float, rig: Rig) -> np.ndarray:
    middle = a + share * (b - a)
    gripper = 9 if rig.robot.command == "ee_target" else rig.robot.joints
    middle[gripper] = a[gripper]
    if rig.robot.command == "ee_target":
        A, B = rotation_6d_to_matrix(a[3:9]), rotation_6d_to_matrix(b[3:9])
        middle[3:9] = matrix_to_rotation_6d(rotation_vector_to_matrix(share * matrix_to_rotation_vector(B @ A.T)) @ A)
    return middle
