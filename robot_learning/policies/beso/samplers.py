"""Samplers of BESO's comparison: from noise at level sigmas[0] along a schedule to a sample.

With sigma as the time, the probability-flow ODE is

    dx/dsigma = (x - D(x; sigma)) / sigma                                     (EDM, arXiv 2206.00364, eq. 1 and 3)

and with lambda = -ln sigma it has the exact solution (DPM-Solver++, arXiv 2211.01095, eq. 8, at alpha = 1)

    x(t) = t/s x(s) + t * integral from lambda_s to lambda_t of exp(lambda) D dlambda.

s, t: noise levels of a step and of the next; each sampler takes an ODE step from s to t, or, with noise, one to a lower
level and noise back up. A step to t = 0 is D(x; s) in all of them.

| sampler               | order | asks D per step | source                                                             |
|-----------------------|-------|-----------------|--------------------------------------------------------------------|
| `euler`               | 1     | 1               | EDM, Algorithm 1 without its correction                            |
| `ddim`                | 1     | 1               | Song et al. (arXiv 2010.02502), eq. 12, eta = 0                    |
| `euler_ancestral`     | noisy | 1               | the same, eta = 1: the DDPM posterior's noise                      |
| `heun`                | 2     | 2               | EDM, Algorithm 1                                                   |
| `dpm_2`               | 2     | 2               | DPM-Solver-2 (arXiv 2206.00927), Algorithm 1; its midpoint in ln s |
| `dpm_2_ancestral`     | noisy | 2               | the same, with ancestral noise                                     |
| `dpm++_2s`            | 2     | 2               | DPM-Solver++ (arXiv 2211.01095), Algorithm 1, r = 1/2              |
| `dpm++_2s_ancestral`  | noisy | 2               | the same, with ancestral noise                                     |
| `dpm++_2m`            | 2     | 1               | DPM-Solver++, Algorithm 2                                          |
| `dpm++_2m_sde`        | noisy | 1               | DPM-Solver++, eq. 18: SDE-DPM-Solver++(2M)                         |
| `lms`                 | 2     | 1               | linear multistep (Adams-Bashforth); 4 past its first steps         |

At alpha = 1, `ddim` and `euler` are the same formula; both names are kept because the paper compares them.

Why not diffusers' schedulers: those of Heun, DPM-2, LMS, the ancestral and the single-step ones make their noise levels
of the betas of an image model; EDM's take two schedules of the six. What is left is Euler, whose step is one line.
The tests compare with diffusers where both can be asked for the same.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from itertools import pairwise

import numpy as np
from numpy.polynomial.legendre import leggauss
from torch import Tensor

Denoiser = Callable[[Tensor, float], Tensor]
Noise = Callable[[], Tensor]
Sampler = Callable[[Denoiser, Tensor, Sequence[float], Noise], Tensor]
Step = Callable[[Denoiser, Tensor, float, float], Tensor]


def ddim_step(D: Denoiser, x: Tensor, s: float, t: float) -> Tensor:
    """x_t = t/s x + (1 - t/s) D(x; s): the exact solution if D were constant."""
    return t / s * x + (1 - t / s) * D(x, s)


def euler_step(D: Denoiser, x: Tensor, s: float, t: float) -> Tensor:
    """Along the slope at s."""
    return x + (t - s) * (x - D(x, s)) / s


def heun_step(D: Denoiser, x: Tensor, s: float, t: float) -> Tensor:
    """Along the mean of the slopes at s and at where Euler's step ends."""
    slope = (x - D(x, s)) / s
    ahead = x + (t - s) * slope
    if t == 0:
        return ahead
    return x + (t - s) * (slope + (ahead - D(ahead, t)) / t) / 2


def dpm_2_step(D: Denoiser, x: Tensor, s: float, t: float) -> Tensor:
    """Along the slope at the middle of ln s and ln t."""
    if t == 0:
        return ddim_step(D, x, s, t)
    m = math.sqrt(s * t)
    middle = x + (m - s) * (x - D(x, s)) / s
    return x + (t - s) * (middle - D(middle, m)) / m


def dpmpp_2s_step(D: Denoiser, x: Tensor, s: float, t: float) -> Tensor:
    """The exact solution if D were what it is at the middle of ln s and ln t."""
    if t == 0:
        return ddim_step(D, x, s, t)
    m = math.sqrt(s * t)
    middle = ddim_step(D, x, s, m)
    return t / s * x + (1 - t / s) * D(middle, m)


def _follow(step: Step) -> Sampler:
    """The ODE, step by step."""

    def sampler(D: Denoiser, x: Tensor, sigmas: Sequence[float], noise: Noise) -> Tensor:
        for s, t in pairwise(sigmas):
            x = step(D, x, s, t)
        return x

    return sampler


def _ancestral(step: Step) -> Sampler:
    """An ODE step from s to `down`, then noise of `up`, where down^2 + up^2 = t^2 and up^2 = t^2 (s^2 - t^2) / s^2."""

    def sampler(D: Denoiser, x: Tensor, sigmas: Sequence[float], noise: Noise) -> Tensor:
        for s, t in pairwise(sigmas):
            up = t * math.sqrt(1 - (t / s) ** 2)
            x = step(D, x, s, t**2 / s)
            if up > 0:
                x = x + up * noise()
        return x

    return sampler


def dpmpp_2m(D: Denoiser, x: Tensor, sigmas: Sequence[float], noise: Noise) -> Tensor:
    """As DDIM, with D extrapolated from the last two to the middle of the step, linearly in lambda."""
    before, h_before = None, 0.0
    for s, t in pairwise(sigmas):
        denoised = now = D(x, s)
        h = math.log(s / t) if t else math.inf
        if before is not None and t:
            r = h_before / h
            denoised = (1 + 1 / (2 * r)) * now - 1 / (2 * r) * before
        x = t / s * x + (1 - t / s) * denoised
        before, h_before = now, h
    return x


def dpmpp_2m_sde(D: Denoiser, x: Tensor, sigmas: Sequence[float], noise: Noise) -> Tensor:
    """The reverse SDE's exact solution with the same extrapolation of D; noise independent from step to step."""
    before, h_before = None, 0.0
    for s, t in pairwise(sigmas):
        denoised = now = D(x, s)
        h = math.log(s / t) if t else math.inf
        if before is not None and t:
            r = h_before / h
            denoised = (1 + 1 / (2 * r)) * now - 1 / (2 * r) * before
        x = (t / s) ** 2 * x + (1 - (t / s) ** 2) * denoised  # t/s exp(-h) = (t/s)^2
        if t:
            x = x + t * math.sqrt(1 - (t / s) ** 2) * noise()
        before, h_before = now, h
    return x


def lms(D: Denoiser, x: Tensor, sigmas: Sequence[float], noise: Noise, order: int = 4) -> Tensor:
    """Along the integral of the polynomial in sigma through the last (at most `order`) slopes."""
    slopes: list[Tensor] = []
    for i, (s, t) in enumerate(pairwise(sigmas)):
        slopes = [(x - D(x, s)) / s, *slopes][:order]
        if t == 0:  # the polynomial would reach beyond the data's noise; the others end so, too
            return x + (t - s) * slopes[0]
        nodes = [sigmas[i - j] for j in range(len(slopes))]
        for weight, slope in zip(lagrange_integrals(nodes, s, t), slopes, strict=True):
            x = x + weight * slope
    return x


def lagrange_integrals(nodes: Sequence[float], start: float, end: float) -> list[float]:
    """The integral from start to end of each Lagrange polynomial of at most four nodes, exact (Gauss-Legendre)."""
    places, weights = leggauss(2)
    at = start + (places + 1) / 2 * (end - start)
    polynomials = [
        np.prod([(at - other) / (node - other) for other in nodes if other != node], axis=0) * np.ones_like(at)
        for node in nodes
    ]
    return [float(weights @ p * (end - start) / 2) for p in polynomials]


SAMPLERS: dict[str, Sampler] = {
    "ddim": _follow(ddim_step),
    "euler": _follow(euler_step),
    "euler_ancestral": _ancestral(euler_step),
    "heun": _follow(heun_step),
    "dpm_2": _follow(dpm_2_step),
    "dpm_2_ancestral": _ancestral(dpm_2_step),
    "dpm++_2s": _follow(dpmpp_2s_step),
    "dpm++_2s_ancestral": _ancestral(dpmpp_2s_step),
    "dpm++_2m": dpmpp_2m,
    "dpm++_2m_sde": dpmpp_2m_sde,
    "lms": lms,
}
