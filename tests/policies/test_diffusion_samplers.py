"""Samplers with perfect denoisers of a Gaussian: what they should make of noise is known in closed form."""

import math

import pytest
import torch
from gaussian import MEAN, STD, diffusion, flow

PREDICTIONS = ["epsilon", "sample", "v"]


def order(error_few, error_many, ratio):
    return math.log(error_few / error_many) / math.log(ratio)


@pytest.mark.parametrize(("sampler", "steps"), [("ddpm", 500), ("ddim", 250), ("dpm++", 40)])
@pytest.mark.parametrize("prediction", PREDICTIONS)
def test_samples_have_the_target_s_mean_and_standard_deviation(sampler, steps, prediction):
    actions, _ = diffusion(sampler, steps, prediction)
    assert actions.dtype == torch.float64
    assert float(actions.mean()) == pytest.approx(MEAN, abs=0.02)
    assert float(actions.std()) == pytest.approx(STD, rel=0.03)


@pytest.mark.parametrize("prediction", PREDICTIONS)
def test_ddim_is_of_first_order_and_dpm_solver_of_second(prediction):
    few, many = (diffusion("ddim", n, prediction)[1] for n in (20, 80))
    assert order(few, many, 4) == pytest.approx(1, abs=0.15)
    few, many = (diffusion("dpm++", n, prediction)[1] for n in (20, 80))
    assert 1.7 < order(few, many, 4) < 2.5


def test_the_three_predictions_lead_to_the_same_actions():
    for sampler in ("ddim", "dpm++"):
        epsilon, x0, v = (diffusion(sampler, 10, prediction)[0] for prediction in PREDICTIONS)
        torch.testing.assert_close(epsilon, x0, atol=2e-5, rtol=0)
        torch.testing.assert_close(epsilon, v, atol=2e-5, rtol=0)


def test_few_steps_of_dpm_solver_are_worth_many_of_ddim():
    spread = {(s, n): abs(float(diffusion(s, n, K=100)[0].std()) - STD) for s, n in (("ddim", 10), ("dpm++", 5))}
    assert spread["dpm++", 5] < spread["ddim", 10]
    assert diffusion("dpm++", 10, K=100)[1] < 0.5 * diffusion("ddim", 100, K=100)[1]


def test_flow_matching_has_the_target_s_mean_and_standard_deviation_and_euler_s_order():
    actions, many = flow(80)
    assert actions.dtype == torch.float64
    assert float(actions.mean()) == pytest.approx(MEAN, abs=0.02)
    assert float(actions.std()) == pytest.approx(STD, rel=0.03)
    assert order(flow(20)[1], many, 4) == pytest.approx(1, abs=0.2)
