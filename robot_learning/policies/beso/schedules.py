"""Noise schedules: at which levels a sampler stops on its way from sigma_max to sigma_min, and then to zero.

Each is the curve that its paper names, cut to [sigma_min, sigma_max] and stepped through evenly, for outside of that
range the network was not trained. (VP's own range is 0.01 to 152; asking a policy of sigma_max = 1 for that would be
asking for noise.)

| schedule      | evenly stepped                                                     | source                          |
|---------------|--------------------------------------------------------------------|---------------------------------|
| `karras`      | sigma^(1 / rho)                                                    | EDM (arXiv 2206.00364), eq. 5   |
| `exponential` | ln sigma                                                           | Lu et al. (arXiv 2206.00927)    |
| `linear`      | sigma                                                              | BESO's evaluation               |
| `vp`          | t in sigma^2 = exp(beta_d t^2 / 2 + beta_min t) - 1                | Song et al. (2021); EDM, Tab. 1 |
| `ve`          | ln sigma^2, hence the same levels as `exponential`                 | Song et al. (2021); EDM, Tab. 1 |
| `cosine`      | t in sigma = tan(pi / 2 (t + s) / (1 + s)), from alpha_bar = cos^2 | iDDPM (arXiv 2102.09672) eq. 17 |

EDM's iDDPM row is `cosine` rounded to a grid of 1000, with a bound that acts above sigma = 30 only. diffusers has
`karras` and `exponential` inside of its schedulers; these are one line each, and in float64.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

BETA_D, BETA_MIN = 19.9, 0.1  # of VP, EDM's Table 1


def _even(to: Callable, back: Callable) -> Callable[[int, float, float, float], np.ndarray]:
    """Levels with even distances of `to(sigma, rho)`, whose inverse is `back`."""

    def levels(steps: int, sigma_min: float, sigma_max: float, rho: float) -> np.ndarray:
        return back(np.linspace(to(sigma_max, rho), to(sigma_min, rho), steps), rho)

    return levels


def _vp_time(sigma: float, rho: float) -> float:
    return (np.sqrt(BETA_MIN**2 + 2 * BETA_D * np.log1p(sigma**2)) - BETA_MIN) / BETA_D


def _vp_sigma(t: np.ndarray, rho: float) -> np.ndarray:
    return np.sqrt(np.expm1(BETA_D * t**2 / 2 + BETA_MIN * t))


SCHEDULES: dict[str, Callable[[int, float, float, float], np.ndarray]] = {
    "karras": _even(lambda s, rho: s ** (1 / rho), lambda y, rho: y**rho),
    "exponential": _even(lambda s, rho: np.log(s), lambda y, rho: np.exp(y)),
    "linear": _even(lambda s, rho: s, lambda y, rho: y),
    "vp": _even(_vp_time, _vp_sigma),
    "ve": _even(lambda s, rho: np.log(s**2), lambda y, rho: np.sqrt(np.exp(y))),
    "cosine": _even(lambda s, rho: np.arctan(s), lambda y, rho: np.tan(y)),
}


def sigmas(name: str, steps: int, sigma_min: float, sigma_max: float, rho: float = 7.0) -> list[float]:
    """`steps` falling noise levels from sigma_max to sigma_min (one step: sigma_max alone), and a zero after them."""
    return [*SCHEDULES[name](steps, sigma_min, sigma_max, rho).tolist(), 0.0]
