from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from robot_learning.evaluation.statistics import bootstrap_mean, compare, mcnemar, wilson


@pytest.mark.parametrize(
    ("successes", "trials", "low", "high"),
    [  # Newcombe, Statistics in Medicine 17 (1998), table I, method 3
        (81, 263, 0.2553, 0.3662),
        (15, 148, 0.0624, 0.1605),
        (0, 20, 0.0000, 0.1611),
        (1, 29, 0.0061, 0.1718),
    ],
)
def test_wilson_agrees_with_newcombes_table(successes, trials, low, high):
    interval = wilson(successes, trials)
    assert (round(interval.low, 4), round(interval.high, 4)) == (low, high)
    assert interval.estimate == successes / trials


@given(st.integers(1, 2000), st.data())
def test_wilson_stays_within_the_unit_interval_around_its_estimate(trials, data):
    interval = wilson(data.draw(st.integers(0, trials)), trials)
    assert 0 <= interval.low <= interval.estimate <= interval.high <= 1


@pytest.mark.parametrize(("successes", "trials"), [(0, 0), (-1, 5), (6, 5)])
def test_wilson_refuses_impossible_counts(successes, trials):
    with pytest.raises(ValueError, match="successes"):
        wilson(successes, trials)


def test_bootstrap_is_the_same_for_the_same_seed_and_near_the_normal_interval():
    values = np.random.default_rng(3).normal(2.0, 1.5, size=400)
    first, again, other = bootstrap_mean(values), bootstrap_mean(values), bootstrap_mean(values, seed=1)
    assert first == again
    assert first != other
    half = 1.96 * values.std() / np.sqrt(400)
    assert first.low == pytest.approx(values.mean() - half, abs=0.02)
    assert first.high == pytest.approx(values.mean() + half, abs=0.02)


def test_bootstrap_covers_the_true_mean_about_as_often_as_it_says():
    rng = np.random.default_rng(0)
    hits = 0
    for _ in range(200):
        interval = bootstrap_mean(rng.normal(0.0, 1.0, size=60), resamples=400)
        hits += interval.low <= 0.0 <= interval.high
    assert 0.88 <= hits / 200 <= 0.99


def test_bootstrap_in_blocks_still_makes_all_its_resamples():
    values = np.arange(3_000_000, dtype=np.float64)  # two blocks of one resample
    interval = bootstrap_mean(values, resamples=2)
    assert interval.low < interval.high


def test_mcnemar_agrees_with_the_binomial_by_hand():
    assert mcnemar(9, 1) == pytest.approx(2 * (1 + 10) / 1024)
    assert mcnemar(1, 9) == mcnemar(9, 1)
    assert mcnemar(0, 0) == 1.0
    assert mcnemar(3, 3) == 1.0
    assert mcnemar(0, 6) == pytest.approx(2 / 64)


def test_paired_comparison_uses_only_common_seeds_and_keeps_the_sign():
    first = {s: (s % 10 != 0, 0.9) for s in range(100)}
    second = {s: (s % 2 == 0 and s % 10 != 0, 0.5) for s in range(20, 140)}
    paired = compare(first, second)
    assert paired.seeds == 80
    assert (paired.only_first, paired.only_second) == (40, 0)
    assert paired.success_p < 1e-9
    assert paired.success_difference.estimate == pytest.approx(0.5)
    assert paired.score_difference.low == pytest.approx(0.4)
    assert paired.score_difference.high == pytest.approx(0.4)


def test_a_comparison_without_common_seeds_is_refused():
    with pytest.raises(ValueError, match="common seed"):
        compare({1: (True, 1.0)}, {2: (True, 1.0)})
