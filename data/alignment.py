"""Values of a feature on the policy's time grid: one causal rule, live and in training.

**The rule.** The value of an observation at time t is a function of the samples *received by t*, and
of nothing else. It does not depend on the window in which t appears, so a training cache holds one
value per grid time, and a live node that asks for the same t, at t or later, gets the same bits.

- `previous`: the newest sample stamped at or before t. Never the future, even where a sensor's clock is ahead.
- `nearest`: the sample stamped nearest to t.
- `linear`, `slerp`: between two samples. At the live edge the later one has not arrived yet; to hold the earlier one
  there would make `linear` another word for `previous`. So these are read one nominal period of their stream in the
  past, at t - 1/rate_hz: a constant delay (10 ms at 100 Hz) in place of an age that jitters between zero and one
  period. Where a sample on one side is missing, late or farther than the maximum age, the other side is held.

Actions are what a policy learns to predict, not what it sees: they are read at t itself, from the whole
episode, by the same four methods.

A sample that arrives after one with a later stamp has been overtaken: it is left out, as a live buffer does.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from robot_learning.clock import NS_PER_S, seconds_to_ns
from robot_learning.contract import Feature, StreamSpec

NEVER_NS = np.iinfo(np.int64).max  # the age of a sample that does not exist


class StreamSource(Protocol):
    """Samples of one stream, wherever they are kept: a sealed episode or a live buffer."""

    @property
    def stamp(self) -> np.ndarray:
        """(N,) int64 [ns], in order of arrival."""
        ...

    @property
    def received(self) -> np.ndarray:
        """(N,) int64 [ns]: when each sample reached the recording process."""
        ...

    def read(self, indices: Sequence[int] | np.ndarray) -> np.ndarray:
        """(n, *shape) values of the samples at `indices`."""
        ...


@dataclass(frozen=True)
class Aligned:
    """A feature at T instants.

    Attributes:
        values: (T, *shape) of the stream's dtype; zero where not valid.
        valid: (T,) bool: a sample within the maximum age was there.
        age_ns: (T,) int64: distance between the instant read and the farthest sample used
            (where not valid: the closest there was; `NEVER_NS` where there was none).
    """

    values: np.ndarray
    valid: np.ndarray
    age_ns: np.ndarray


def align(feature: Feature, spec: StreamSpec, source: StreamSource, times_ns: np.ndarray) -> Aligned:
    """Read `feature` at `times_ns` (T,) int64 [ns]; the rule is in the module's docstring.

    Each sample needed is read once, however often it is used.
    """
    times = np.asarray(times_ns, dtype=np.int64)
    stamp = np.asarray(source.stamp)
    values = np.zeros((len(times), *spec.shape), dtype=spec.dtype)
    if not len(stamp):
        return Aligned(values, np.zeros(len(times), bool), np.full(len(times), NEVER_NS))
    kept = np.flatnonzero(stamp >= np.maximum.accumulate(stamp))
    stamp = stamp[kept]
    interpolates = feature.alignment in ("linear", "slerp")
    if feature.role == "action":
        known, at = np.full(len(times), len(stamp)), times
    else:
        received = np.maximum.accumulate(np.asarray(source.received)[kept])
        known = np.searchsorted(received, times, side="right")
        at = times - (round(NS_PER_S / spec.rate_hz) if interpolates else 0)

    before = np.minimum(np.searchsorted(stamp, at, side="right"), known) - 1
    after = before + 1
    age_before = np.where(before >= 0, at - stamp[np.maximum(before, 0)], NEVER_NS)
    age_after = np.where(after < known, stamp[np.minimum(after, len(stamp) - 1)] - at, NEVER_NS)
    max_age = seconds_to_ns(feature.max_age_s)

    if feature.alignment == "previous":
        low, age = before, age_before
        high = low
    elif feature.alignment == "nearest":
        low = np.where(age_after < age_before, after, before)
        high, age = low, np.minimum(age_before, age_after)
    else:
        use_before, use_after = age_before <= max_age, age_after <= max_age
        low, high = np.where(use_before, before, after), np.where(use_after, after, before)
        nearer, farther = np.minimum(age_before, age_after), np.maximum(age_before, age_after)
        age = np.where(use_before & use_after, farther, nearer)
    valid = age <= max_age
    if valid.any():
        low, high = low[valid], high[valid]
        wanted, where = np.unique(np.concatenate([low, high]), return_inverse=True)
        samples = source.read(kept[wanted])
        a, b = samples[where[: len(low)]], samples[where[len(low) :]]
        if interpolates:
            span = np.maximum(stamp[high] - stamp[low], 1)
            weight = np.where(high > low, (at[valid] - stamp[low]) / span, 0.0)
            blend = slerp if feature.alignment == "slerp" else lerp
            a = np.where((high > low).reshape(-1, *[1] * (a.ndim - 1)), blend(a, b, weight), a)
        values[valid] = a
    return Aligned(values, valid, age)


def lerp(a: np.ndarray, b: np.ndarray, weight: np.ndarray) -> np.ndarray:
    """Between `a` and `b` (n, ...) at `weight` (n,) in [0, 1]; exactly `a` at 0."""
    w = weight.reshape(-1, *[1] * (a.ndim - 1))
    return a + w * (b - a)


def slerp(a: np.ndarray, b: np.ndarray, weight: np.ndarray) -> np.ndarray:
    """Unit quaternions (n, 4) from `a` to `b` along the shorter arc at constant speed (Shoemake, SIGGRAPH 1985).

    The angle comes from atan2, which keeps its precision where the two nearly agree.
    """
    a, b = (np.asarray(q, dtype=np.float64) for q in (a, b))
    a = a / np.linalg.norm(a, axis=-1, keepdims=True)
    b = b / np.linalg.norm(b, axis=-1, keepdims=True)
    b = np.where((a * b).sum(-1, keepdims=True) < 0, -b, b)
    half = np.arctan2(np.linalg.norm(b - a, axis=-1), np.linalg.norm(b + a, axis=-1))
    angle = 2 * half[:, None]
    w = weight[:, None]
    near = angle < 1e-6  # sin(angle) would divide zero by zero; the arc and its chord are the same here
    sine = np.sin(np.where(near, 1.0, angle))
    wa = np.where(near, 1 - w, np.sin((1 - w) * angle) / sine)
    wb = np.where(near, w, np.sin(w * angle) / sine)
    q = wa * a + wb * b
    return q / np.linalg.norm(q, axis=-1, keepdims=True)
