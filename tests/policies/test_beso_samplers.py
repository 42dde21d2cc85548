"""BESO's noise: preconditioning, density, schedules, and each sampler on a target whose score is known."""

import math
from itertools import pairwise
from typing import get_args

import numpy as np
import pytest
import torch
from diffusers import EDMDPMSolverMultistepScheduler, EDMEulerScheduler

from robot_learning.errors import ConfigError, UnknownName
from robot_learning.policies.beso.config import BesoConfig, Sampler, Schedule
from robot_learning.policies.beso.density import TruncatedLogLogistic
from robot_learning.policies.beso.preconditioning import Preconditioning
from robot_learning.policies.beso.samplers import SAMPLERS, lms
from robot_learning.policies.beso.schedules import SCHEDULES, sigmas

LOW, HIGH = 0.005, 1.0
MEAN, STD = 0.7, 0.4  # of the toy target, N(MEAN, STD^2)
ORDERS = {"euler": 1, "ddim": 1, "heun": 2, "dpm_2": 2, "dpm++_2s": 2, "dpm++_2m": 2}
NOISY = ["euler_ancestral", "dpm_2_ancestral", "dpm++_2s_ancestral", "dpm++_2m_sde"]


def toy_denoiser(x, sigma):
    """E[x_0 | x] of the toy target."""
    return (STD**2 * x + sigma**2 * MEAN) / (STD**2 + sigma**2)


def no_noise():
    raise AssertionError("an ODE's sampler draws no noise")


def along_the_flow(x, start, end):
    """The exact solution of the probability-flow ODE for the toy target."""
    return MEAN + (x - MEAN) * math.sqrt((STD**2 + end**2) / (STD**2 + start**2))


def levels(steps):
    """From 1 to 0.1, evenly in the logarithm, without a last step to zero."""
    return (0.1 ** (np.arange(steps + 1) / steps)).tolist()


def test_the_network_reads_and_says_values_of_unit_variance_at_each_noise_level():
    c, rng = Preconditioning(0.5), np.random.default_rng(0)
    x, epsilon = (torch.from_numpy(v) for v in rng.standard_normal((2, 400_000)))
    x = 0.5 * (x - x.mean()) / x.std()
    for sigma in torch.tensor([0.005, 0.3, 1.0, 20.0], dtype=torch.float64):
        noisy = x + sigma * epsilon
        assert float((c.c_in(sigma) * noisy).std()) == pytest.approx(1, abs=0.01)
        assert float(c.target(x, noisy, sigma).std()) == pytest.approx(1, abs=0.01)
        restored = c.c_skip(sigma) * noisy + c.c_out(sigma) * c.target(x, noisy, sigma)
        torch.testing.assert_close(restored, x)
        edm_weight = (sigma**2 + 0.25) / (sigma * 0.5) ** 2
        assert float(edm_weight * c.c_out(sigma) ** 2) == pytest.approx(1, rel=1e-12)


def test_without_noise_the_denoiser_is_the_identity():
    c, none = Preconditioning(0.5), torch.zeros((), dtype=torch.float64)
    assert (float(c.c_skip(none)), float(c.c_out(none))) == (1, 0)
    assert float(c.c_noise(torch.tensor(math.exp(2.0), dtype=torch.float64))) == pytest.approx(0.5, rel=1e-12)


def test_training_noise_has_the_truncated_log_logistic_s_distribution():
    torch.manual_seed(0)
    drawn = TruncatedLogLogistic(math.log(0.5), 0.5, LOW, HIGH).sample((200_000,), torch.device("cpu"))
    assert drawn.dtype == torch.float64
    assert LOW <= drawn.min() < 0.01
    assert 0.99 < drawn.max() <= HIGH
    grid = np.linspace(LOW, HIGH, 200_001)
    z = (grid / 0.5) ** (1 / 0.5)  # density of Fisk's distribution: (b / s) z / (1 + z)^2, with z = (s / a)^b, b = 2
    density = 2 / grid * z / (1 + z) ** 2
    mass = np.concatenate([[0], np.cumsum((density[1:] + density[:-1]) / 2)])
    expected = np.interp([0.05, 0.2, 0.5, 0.8, 0.95], grid, mass / mass[-1])
    found = [(drawn < s).double().mean().item() for s in (0.05, 0.2, 0.5, 0.8, 0.95)]
    np.testing.assert_allclose(found, expected, atol=0.004)


@pytest.mark.parametrize("name", SCHEDULES)
def test_a_schedule_falls_from_the_largest_noise_to_the_smallest_and_then_to_zero(name):
    for steps in (2, 3, 50):
        s = sigmas(name, steps, LOW, HIGH)
        assert len(s) == steps + 1
        assert s[0] == pytest.approx(HIGH, rel=1e-12)
        assert s[-2] == pytest.approx(LOW, rel=1e-9)
        assert s[-1] == 0
        assert all(a > b for a, b in pairwise(s))
    assert sigmas(name, 1, LOW, HIGH) == [pytest.approx(HIGH), 0]


def test_schedules_are_their_papers_curves():
    n, rho = 6, 7
    for i in range(n):
        part = i / (n - 1)
        karras = (HIGH ** (1 / rho) + part * (LOW ** (1 / rho) - HIGH ** (1 / rho))) ** rho
        assert sigmas("karras", n, LOW, HIGH, rho)[i] == pytest.approx(karras, rel=1e-12)
        assert sigmas("exponential", n, LOW, HIGH)[i] == pytest.approx(HIGH * (LOW / HIGH) ** part, rel=1e-12)
        assert sigmas("ve", n, LOW, HIGH)[i] ** 2 == pytest.approx(HIGH**2 * (LOW**2 / HIGH**2) ** part, rel=1e-12)
        assert sigmas("linear", n, LOW, HIGH)[i] == pytest.approx(HIGH + part * (LOW - HIGH), rel=1e-12)
    # VP at its own range: sigma(t), t from 1 to 1e-3; cosine: alpha_bar = 1 / (1 + sigma^2) is a squared cosine
    t = np.linspace(1, 1e-3, n)
    vp = np.sqrt(np.exp(19.9 / 2 * t**2 + 0.1 * t) - 1)
    np.testing.assert_allclose(sigmas("vp", n, vp[-1], vp[0])[:-1], vp, rtol=1e-9)
    angles = np.arccos(np.sqrt(1 / (1 + np.square(sigmas("cosine", n, LOW, HIGH)[:-1]))))
    np.testing.assert_allclose(np.diff(angles, 2), 0, atol=1e-12)


@pytest.mark.parametrize(("name", "order"), ORDERS.items())
def test_a_sampler_s_error_falls_at_its_order(name, order):
    start = torch.tensor([-1.5, 0.2, 2.0], dtype=torch.float64)
    exact = along_the_flow(start, 1.0, 0.1)
    errors = [
        float((SAMPLERS[name](toy_denoiser, start, levels(n), no_noise) - exact).abs().max()) for n in (64, 128, 256)
    ]
    rates = np.log2(np.divide(errors[:-1], errors[1:]))
    np.testing.assert_allclose(rates, order, atol=0.15)


def test_lms_is_of_second_order_from_end_to_end_for_it_starts_as_euler():
    start = torch.tensor([-1.5, 0.2, 2.0], dtype=torch.float64)
    exact = along_the_flow(start, 1.0, 0.1)

    def error(steps):
        return float((lms(toy_denoiser, start, levels(steps), no_noise) - exact).abs().max())

    assert math.log2(error(64) / error(128)) > 1.8  # its first step alone costs the orders above two


def test_lms_integrates_a_cubic_slope_exactly():
    def slope(s):
        return 1 - 2 * s + 3 * s**2 - 4 * s**3

    def integral(s):
        return s - s**2 + s**3 - s**4

    s, seen = [1.0, 0.8, 0.7, 0.5, 0.45, 0.2, 0.1], []

    def denoiser(x, sigma):
        seen.append(float(x))
        return x - sigma * slope(sigma)

    end = lms(denoiser, torch.zeros((), dtype=torch.float64), s, no_noise)
    path = [*seen, float(end)]
    for i in range(3, 6):
        assert path[i + 1] - path[i] == pytest.approx(integral(s[i + 1]) - integral(s[i]), abs=1e-12)


@pytest.mark.parametrize("name", NOISY)
def test_a_sampler_with_noise_ends_in_the_target_s_distribution(name):
    generator = torch.Generator().manual_seed(0)

    def normal():
        return torch.randn(20_000, generator=generator, dtype=torch.float64)

    start = MEAN + math.sqrt(STD**2 + HIGH**2) * normal()
    end = SAMPLERS[name](toy_denoiser, start, sigmas("exponential", 150, LOW, HIGH), normal)
    assert float(end.mean()) == pytest.approx(MEAN, abs=0.012)
    assert float(end.std()) == pytest.approx(STD, abs=0.01)
    assert abs(float(torch.corrcoef(torch.stack([start, end]))[0, 1])) < 0.6  # the ODE's would be 1


@pytest.mark.parametrize("name", SAMPLERS)
def test_the_step_to_zero_is_what_the_denoiser_says(name):
    asked = []

    def denoiser(x, sigma):
        asked.append((x, sigma))
        return 3.0 - 0 * x

    noise = torch.ones(2, dtype=torch.float64)
    end = SAMPLERS[name](denoiser, 5 * noise, sigmas("linear", 3, LOW, HIGH), lambda: noise)
    torch.testing.assert_close(end, 3 * noise)
    assert asked[-1][1] == pytest.approx(LOW)
    assert min(sigma for _, sigma in asked) > 0


@pytest.mark.parametrize("schedule", ["karras", "exponential"])
@pytest.mark.parametrize("name", ["euler", "ddim", "dpm++_2m", "dpm++_2m_sde"])
def test_samplers_agree_with_diffusers_where_it_has_the_same(name, schedule):
    kind = {"sigma_min": LOW, "sigma_max": HIGH, "sigma_data": 0.5, "sigma_schedule": schedule, "rho": 7.0}
    if name in ("euler", "ddim"):
        theirs = EDMEulerScheduler(**kind)
    else:
        algorithm = "sde-dpmsolver++" if name.endswith("sde") else "dpmsolver++"
        theirs = EDMDPMSolverMultistepScheduler(
            **kind, algorithm_type=algorithm, solver_order=2, euler_at_final=True, final_sigmas_type="zero"
        )
    theirs.set_timesteps(6)
    ours = sigmas(schedule, 6, LOW, HIGH, 7.0)
    np.testing.assert_allclose(theirs.sigmas.numpy(), ours, rtol=1e-5)

    c, start = Preconditioning(0.5), torch.linspace(-2, 2, 5)
    x, generator = start, torch.Generator().manual_seed(0)
    for t in theirs.timesteps:
        theirs.scale_model_input(x, t)
        sigma = theirs.sigmas[theirs.step_index]
        network = (toy_denoiser(x, sigma) - c.c_skip(sigma) * x) / c.c_out(sigma)
        x = theirs.step(network, t, x, generator=generator, return_dict=False)[0]
    generator = torch.Generator().manual_seed(0)
    mine = SAMPLERS[name](toy_denoiser, start, ours, lambda: torch.randn(5, generator=generator))
    torch.testing.assert_close(mine, x, atol=2e-4, rtol=0)


def test_every_name_in_the_configuration_is_there_and_misspelt_ones_are_answered():
    assert set(get_args(Sampler)) == set(SAMPLERS)
    assert set(get_args(Schedule)) == set(SCHEDULES)
    with pytest.raises(UnknownName, match="did you mean 'heun'"):
        BesoConfig(sampler="huen")
    with pytest.raises(UnknownName, match="did you mean 'karras'"):
        BesoConfig(schedule="karas")
    with pytest.raises(ConfigError, match=r"sigma_min < sigma_max.*got sigma_min=2"):
        BesoConfig(sigma_min=2)
    with pytest.raises(ConfigError, match="needs a policy that also learns to act without a goal"):
        BesoConfig(goal=1, goal_dropout=0, guidance=2.0)
