"""What a number of rollouts can and can't tell: intervals, and comparison on the same seeds."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

Z_95 = 1.959963984540054  # the normal distribution's 97.5 % quantile


@dataclass(frozen=True)
class Interval:
    """An estimate with its 95 % interval."""

    estimate: float
    low: float
    high: float

    def percent(self) -> str:
        """As people read it: `97.0 % [91.5, 99.0]`."""
        return f"{100 * self.estimate:.1f} % [{100 * self.low:.1f}, {100 * self.high:.1f}]"


def wilson(successes: int, trials: int, z: float = Z_95) -> Interval:
    """Wilson's score interval for a proportion (Wilson 1927; Newcombe 1998, method 3).

    It stays within [0, 1] and is right near 0 and 1, where most policies worth having are.
    """
    if not 0 <= successes <= trials or trials == 0:
        raise ValueError(f"needs 0 <= successes <= trials and at least one trial; got {successes} of {trials}")
    p, zz = successes / trials, z * z
    centre = (successes + zz / 2) / (trials + zz)
    half = z / (trials + zz) * math.sqrt(trials * p * (1 - p) + zz / 4)
    # Exactly 0 and 1 at the ends: the formula gives them but for rounding.
    low = 0.0 if successes == 0 else centre - half
    high = 1.0 if successes == trials else centre + half
    return Interval(p, low, high)


def bootstrap_mean(values: Sequence[float], resamples: int = 10_000, seed: int = 0) -> Interval:
    """Percentile bootstrap interval for a mean (Efron 1979), the same for the same values and seed."""
    x = np.asarray(values, dtype=np.float64)
    if x.size == 0:
        raise ValueError("a mean needs at least one value")
    rng = np.random.default_rng(seed)
    # In blocks, so that thousands of values don't need gigabytes.
    block = max(1, 4_000_000 // x.size)
    means = np.concatenate(
        [
            x[rng.integers(0, x.size, size=(min(block, resamples - done), x.size))].mean(axis=1)
            for done in range(0, resamples, block)
        ]
    )
    low, high = np.quantile(means, [0.025, 0.975])
    return Interval(float(x.mean()), float(low), float(high))


def mcnemar(only_first: int, only_second: int) -> float:
    """Two-sided exact p-value of McNemar's test (1947).

    Given that exactly one of two policies succeeded on a seed, under the null hypothesis each was
    equally likely to be the one: a binomial with p = 1/2 over the discordant seeds.
    """
    n, k = only_first + only_second, min(only_first, only_second)
    tail = sum(math.comb(n, i) for i in range(k + 1)) / 2**n
    return min(1.0, 2 * tail)


@dataclass(frozen=True)
class Paired:
    """Two checkpoints on the same seeds.

    Attributes:
        seeds: how many seeds both ran.
        only_first, only_second: seeds on which just one of them succeeded.
        success_p: McNemar's exact p-value.
        success_difference, score_difference: first minus second, mean over seeds.
    """

    seeds: int
    only_first: int
    only_second: int
    success_p: float
    success_difference: Interval
    score_difference: Interval


def compare(
    first: dict[int, tuple[bool, float]], second: dict[int, tuple[bool, float]], resamples: int = 10_000
) -> Paired:
    """Compare (success, score) by seed, over the seeds that both have.

    Pairing removes the differences between seeds, often most of the variance: two checkpoints
    with overlapping intervals may still differ clearly.
    """
    seeds = sorted(first.keys() & second.keys())
    if not seeds:
        raise ValueError("a paired comparison needs at least one common seed")
    success = np.array([[first[s][0], second[s][0]] for s in seeds], dtype=np.int64)
    score = np.array([[first[s][1], second[s][1]] for s in seeds], dtype=np.float64)
    only_first = int(np.sum(success[:, 0] > success[:, 1]))
    only_second = int(np.sum(success[:, 0] < success[:, 1]))
    return Paired(
        seeds=len(seeds),
        only_first=only_first,
        only_second=only_second,
        success_p=mcnemar(only_first, only_second),
        success_difference=bootstrap_mean((success[:, 0] - success[:, 1]).tolist(), resamples),
        score_difference=bootstrap_mean((score[:, 0] - score[:, 1]).tolist(), resamples),
    )
