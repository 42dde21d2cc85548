"""The probe's sums: what a linear map gets out of a representation, and whether it says nothing."""

from __future__ import annotations

import numpy as np
import pytest

from robot_learning.errors import StoreError, UnknownName
from robot_learning.evaluation.probe import STAYS, compare, predictions, scores
from robot_learning.evaluation.probe_report import steps_shown
from robot_learning.evaluation.probe_windows import Sample, choose_episodes
from robot_learning.evaluation.ridge import fit, fit_best

FEATURES = {"a": slice(0, 1), "b": slice(1, 3)}
F, D = 3, 3


def made(seed, N=60):
    """Windows of six episodes whose future does not follow from their present."""
    rng = np.random.default_rng(seed)
    future = rng.normal(size=(N, F, D)) + np.array([1.0, 0.0, -2.0])
    inputs = {
        "context": future.reshape(N, 1, F * D) @ np.random.default_rng(9).normal(size=(F * D, F * D)),
        "predictor": future.copy(),
        "observation": np.full((N, 1, 4), 0.5),
    }
    return Sample(inputs, rng.normal(size=(N, D)), future, np.ones((N, F), bool), np.repeat(np.arange(6), N // 6))


@pytest.mark.parametrize("name", ["context", "predictor"])
def test_a_representation_that_holds_the_future_has_an_r2_of_1(name):
    found = compare(made(0), made(1), FEATURES)
    assert found["inputs"][name]["r2"] == pytest.approx([1.0] * F, abs=1e-6)
    assert found["inputs"][name]["rmse_mean"] < 1e-3
    assert not found["collapse"][name]["collapsed"]


def test_one_that_is_always_the_same_has_an_r2_of_0_and_is_called_collapsed():
    train, val = made(0), made(1)
    for sample in (train, val):
        sample.inputs["context"] = np.ones((60, 1, 8))
    found = compare(train, val, FEATURES)
    assert found["inputs"]["context"]["r2"] == pytest.approx([0.0] * F, abs=1e-12)
    assert found["collapse"]["context"] == {"spread": 0.0, "effective_rank": 0.0, "dim": 8, "collapsed": True}


def test_one_that_varies_along_one_line_only_is_collapsed_too():
    train, val = made(0), made(1)
    for sample in (train, val):
        sample.inputs["context"] = np.random.default_rng(2).normal(size=(60, 1, 1)) * np.ones(8)
    assert compare(train, val, FEATURES)["collapse"]["context"]["collapsed"]


def test_scores_are_sums_over_what_is_real_and_each_step_and_feature_has_its_own():
    train, val = made(0), made(1)
    train.real[5:, 2] = False
    val.real[10:, 1] = False
    predicted = predictions(train, val, STAYS)
    found = scores(predicted, train, val, FEATURES)
    for name, dims in {"a": [0], "b": [1, 2]}.items():
        for h in range(F):
            error = total = count = 0.0
            for d in dims:
                mean = np.mean([train.future[n, h, d] for n in range(60) if train.real[n, h]])
                for n in range(60):
                    if val.real[n, h]:
                        error += (val.present[n, d] - val.future[n, h, d]) ** 2
                        total += (mean - val.future[n, h, d]) ** 2
                        count += 1
            assert found["features"][name]["r2"][h] == pytest.approx(1 - error / total)
            assert found["features"][name]["rmse"][h] == pytest.approx((error / count) ** 0.5)
    assert found["r2_mean"] == pytest.approx(np.mean(found["r2"]))


def test_a_step_that_no_window_reaches_and_a_feature_that_never_changes_have_no_r2():
    train, val = made(0), made(1)
    train.real[:, 2] = False
    for sample in (train, val):
        sample.future[..., 0] = 0.25
    found = compare(train, val, FEATURES)["inputs"]["predictor"]
    assert found["r2"][2] is None
    assert found["rmse"][2] is None
    assert found["features"]["a"]["r2"] == [None] * F
    assert found["features"]["a"]["rmse"][:2] == pytest.approx([0, 0], abs=1e-9)
    assert found["r2_mean"] == pytest.approx(1.0, abs=1e-6)


def test_ridge_is_the_least_squares_solution_with_rows_of_penalty():
    rng = np.random.default_rng(3)
    X, Y = rng.normal(size=(30, 4)) * [1, 10, 0.1, 3] + 5, rng.normal(size=(30, 2))
    X = np.concatenate([X, X[:, :1], np.full((30, 1), 7.0)], axis=1)  # one input twice, and one constant
    for ridge in fit(X, Y, (1e-3, 0.5)):
        x = np.where(X.std(0) > 0, (X - X.mean(0)) / np.where(X.std(0) > 0, X.std(0), 1), 0)
        penalty = np.sqrt(30 * ridge.strength) * np.eye(6)
        W = np.linalg.lstsq(np.vstack([x, penalty]), np.vstack([Y - Y.mean(0), np.zeros((6, 2))]), rcond=None)[0]
        np.testing.assert_allclose(ridge(X), Y.mean(0) + x @ W, atol=1e-9)


def test_the_strength_is_chosen_on_rows_apart():
    rng = np.random.default_rng(4)
    X, apart = rng.normal(size=(40, 30)), np.arange(40) >= 32
    assert fit_best(X, rng.normal(size=(40, 2)), apart).strength >= 0.1  # noise: better say the mean
    Y = X @ rng.normal(size=(30, 2))
    assert fit_best(X[:, :6], X[:, :6] @ rng.normal(size=(6, 2)), apart).strength < 1e-5
    assert fit_best(X, Y, apart).strength < 1


def test_the_run_s_own_split_is_kept_and_another_said_aloud():
    run = {"train_episodes": ["a", "b", "c"], "val_episodes": ["d"]}
    there = {i: i for i in "abcde"}
    assert choose_episodes(there, run, (), 0) == (
        ("a", "b", "c"), ("d",), "the run's own: judged on episodes that it held out",
    )  # fmt: skip
    assert choose_episodes(there, run, ("d", "c", "b"), 0)[:2] == (("b", "c"), ("d",))
    train, val, told = choose_episodes({i: i for i in "xyz"}, run, (), 0)
    assert sorted(train + val) == ["x", "y", "z"]
    assert "not the run's own" in told
    assert "none of which the policy was trained on" in told
    assert "some of which the policy was trained on" in choose_episodes({i: i for i in "abc"}, run, (), 0)[2]
    with pytest.raises(UnknownName, match="unknown episode 'dd'; did you mean 'd'"):
        choose_episodes(there, run, ("dd",), 0)
    with pytest.raises(StoreError, match=r"3 episodes or more.*got 2"):
        choose_episodes({i: i for i in "xy"}, run, (), 0)


def test_an_episode_and_its_mirror_image_are_on_the_same_side_of_a_split_and_seen_together():
    families = {"a": 1, "b": 2, "c": 3, "a2": 1, "b2": 2, "c2": 3}
    train, val, told = choose_episodes(families, {"train_episodes": ["a", "b", "c"]}, ("a2", "b2", "c2"), 0)
    assert "some of which the policy was trained on" in told
    train, val, told = choose_episodes(families, {}, (), 0)
    assert {families[i] for i in train}.isdisjoint(families[i] for i in val)
    assert len(val) == 2
    with pytest.raises(StoreError, match=r"3 episodes or more, mirror images aside.*got 1"):
        choose_episodes(families, {}, ("a", "a2"), 0)


def test_a_table_shows_the_first_and_the_last_step():
    assert steps_shown(30) == [1, 2, 4, 8, 15, 30]
    assert steps_shown(2) == [1, 2]
    assert steps_shown(1) == [1]
