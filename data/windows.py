"""What a policy sees and learns from: observations and actions on its regular time grid.

A grid time is `t_i = t_0 + i * step`. A window's newest observation is at one grid time; the `To - 1` before it
are one step apart. Windows that begin before the episode does repeat its first grid time, live and in training.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from robot_learning.clock import NS_PER_S
from robot_learning.contract import Contract
from robot_learning.data.alignment import NEVER_NS, StreamSource, align
from robot_learning.errors import StoreError, UserError


class StaleObservation(UserError):
    """A feature has no sample that is young enough; a policy must not act on it.

    Attributes:
        feature: its name.
        age_s: of the closest sample [s]; None where there is none at all.
    """

    def __init__(self, feature: str, stream: str, age_ns: int, max_age_s: float) -> None:
        self.feature = feature
        self.age_s = None if age_ns >= NEVER_NS else age_ns / NS_PER_S
        found = "has no sample yet" if self.age_s is None else f"is {self.age_s:.3g} s old"
        super().__init__(
            f"feature '{feature}' (stream '{stream}') {found}; at most {max_age_s:g} s is allowed: "
            "check that its sensor is running and that its stamps are on this machine's clock."
        )


@dataclass(frozen=True)
class WindowSpec:
    """The length of a policy's windows, in grid steps.

    Attributes:
        To: observations, the newest last.
        Tp: actions.
        action_offset: of the first action relative to the newest observation. None is `-(To - 1)`: actions begin
            with the oldest observation, as in Diffusion Policy (Chi et al., RSS 2023); 0 begins at the newest (ACT).
        future: observations after the newest that come with a window in training, 0 for none.
        goal: observations that describe a goal, contiguous and reached later in the same episode, 0 for none.
        goal_within: how far after the window a goal may begin, at most; None: anywhere up to the episode's end.
        pad_after: how many of a training window's actions may lie past its episode's end, where the last one is
            repeated; None: all but one.
    """

    To: int
    Tp: int
    action_offset: int | None = None
    future: int = 0
    goal: int = 0
    goal_within: int | None = None
    pad_after: int | None = None

    def __post_init__(self) -> None:
        if self.To < 1 or self.Tp < 1:
            raise UserError(f"a window has at least one observation and one action; got To={self.To}, Tp={self.Tp}.")
        if self.future < 0 or self.goal < 0 or (self.goal_within is not None and self.goal_within < 1):
            raise UserError(
                "a window's future and goal have no negative length, and goals begin at least one step after it; "
                f"got future={self.future}, goal={self.goal}, goal_within={self.goal_within}."
            )
        if self.pad_after is not None and self.pad_after < 0:
            raise UserError(f"pad_after is a number of actions, 0 or more, or None for any; got {self.pad_after}.")

    @property
    def first_action(self) -> int:
        """The offset in use [grid steps]."""
        return 1 - self.To if self.action_offset is None else self.action_offset

    @property
    def last(self) -> int:
        """The offset of the window's last step, observed or acted, relative to the newest observation [grid steps]."""
        return max(0, self.first_action + self.Tp - 1)


def step_ns(contract: Contract) -> int:
    """One grid step [ns], rounded up.

    Up, so that at a rate such as 30 Hz the grid runs (by less than 1 ns a step) behind a simulator's stamps,
    and `previous` finds the sample that belongs to the step rather than the one before.
    """
    return math.ceil(NS_PER_S / contract.policy_rate_hz)


def start_ns(contract: Contract, sources: Mapping[str, StreamSource], features: Sequence[str]) -> int:
    """The first instant at which each observation among `features` has a sample; raises StaleObservation if never."""
    first = []
    for name in features:
        feature = contract.feature(name)
        if feature.role == "action":
            continue
        source = sources.get(feature.stream)
        if source is None or not len(source.stamp):
            raise StaleObservation(name, feature.stream, NEVER_NS, feature.max_age_s)
        first.append(max(int(source.stamp[0]), int(source.received[0])))
    if not first:
        raise UserError(f"a window needs at least one observation; got {list(features)}.")
    return max(first)


def grid(contract: Contract, sources: Mapping[str, StreamSource], features: Sequence[str]) -> np.ndarray:
    """The grid times of an episode, (N,) int64 [ns], for a view of these features.

    From the first instant at which all observations are there to the last action, in phase with the first action,
    so that an action recorded at the policy's rate falls on the grid. Without action features: to the last sample.

    Raises:
        StoreError: a feature has no samples in this episode.
    """
    try:
        start = start_ns(contract, sources, features)
    except StaleObservation as error:
        raise StoreError(
            f"feature '{error.feature}' has no samples; leave it out, or leave out this episode."
        ) from None
    step = step_ns(contract)
    actions = [contract.feature(n).stream for n in features if contract.feature(n).role == "action"]
    for stream in actions:
        if stream not in sources or not len(sources[stream].stamp):
            raise StoreError(f"stream '{stream}' has no actions; leave this episode out of training.")
    if actions:
        first = start + (int(sources[actions[0]].stamp[0]) - start) % step
        end = min(int(sources[s].stamp.max()) for s in actions)
    else:
        first = start
        end = max(int(sources[contract.feature(n).stream].stamp.max()) for n in features)
    count = max(0, (end - first + step // 2) // step + 1)
    return first + step * np.arange(count, dtype=np.int64)


def observe(
    contract: Contract, sources: Mapping[str, StreamSource], now_ns: int, To: int, features: Sequence[str]
) -> dict[str, np.ndarray]:
    """What a policy sees at `now_ns`: feature to (To, *shape), oldest first, of the stream's dtype.

    `sources` are an episode's streams or `LiveBuffer.sources`. Samples received after `now_ns` have no influence.

    Raises:
        StaleObservation: a feature is missing or older than its maximum age.
    """
    step = step_ns(contract)
    room = (now_ns - start_ns(contract, sources, features)) // step  # whole steps back to the episode's first instant
    times = now_ns - step * np.minimum(np.arange(To - 1, -1, -1, dtype=np.int64), max(room, 0))
    out = {}
    for name in features:
        feature = contract.feature(name)
        aligned = align(feature, contract.stream(feature.stream), sources[feature.stream], times)
        if not aligned.valid.all():
            raise StaleObservation(name, feature.stream, int(aligned.age_ns.max()), feature.max_age_s)
        out[name] = aligned.values
    return out
