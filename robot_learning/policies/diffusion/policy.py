"""Diffusion Policy: visuomotor policy learning via action diffusion (Chi et al., arXiv 2303.04137).

Symbols and equation numbers are those of the paper: epsilon is the noise, A_t^k = sqrt(alpha_bar_k) A_t^0 +
sqrt(1 - alpha_bar_k) epsilon the actions at step k of K.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Self

import torch
from diffusers import DDIMScheduler, DDPMScheduler
from torch import Tensor, nn

from robot_learning.contract import Contract
from robot_learning.policies import noise
from robot_learning.policies.base import Batch, Generators
from robot_learning.policies.diffusion.config import DiffusionConfig
from robot_learning.policies.diffusion.denoising import PREFIX_NOISE, DenoisingPolicy
from robot_learning.policies.normalizer import Normalizer
from robot_learning.policies.view import View

LEAST_LOG_SNR = -5.0  # below it an action's part in A^k is under 1 %: the cosine schedule's last step has 0.05 %


class DiffusionPolicy(DenoisingPolicy):
    """Predicts the noise in a chunk of actions, given observations; or the actions, or v."""

    config: DiffusionConfig

    def __init__(self, config: DiffusionConfig, contract: Contract, view: View, normalizer: Normalizer) -> None:
        super().__init__(config, contract, view, normalizer)
        self.ddpm: Any = make_sampler("ddpm", config, self.act.is_bounded)
        self.sampler: Any = make_sampler(config.sampler, config, self.act.is_bounded)

    def loss(self, batch: Batch) -> tuple[Tensor, dict[str, Tensor]]:
        """Eq. 5: MSE(epsilon^k, epsilon_theta(O_t, A_t^0 + epsilon^k, k)), over the whole window.

        Windows that reach beyond an episode's ends repeat its first or last frame, and these count too:
        the policy learns to hold still at the end.
        """
        O_t = self.observe(batch["observation"])
        A_0 = self.act.encode(batch["action"], batch["observation"])
        epsilon = noise.normal_like(A_0)
        k = noise.integers(self.config.K, (len(A_0),), A_0.device)
        A_k = self.ddpm.add_noise(A_0, epsilon, k)
        return nn.functional.mse_loss(self.denoiser(A_k, k, O_t), self.target(A_0, epsilon, k)), {}

    def target(self, A_0: Tensor, epsilon: Tensor, k: Tensor) -> Tensor:
        """What the denoiser is to predict: epsilon, A^0 or v.

        v = sqrt(alpha_bar_k) epsilon - sqrt(1 - alpha_bar_k) A^0 (Salimans and Ho, arXiv 2202.00512, sec. 4).
        """
        if self.config.prediction == "sample":
            return A_0
        return epsilon if self.config.prediction == "epsilon" else self.ddpm.get_velocity(A_0, epsilon, k)

    def times(self) -> Iterable[Tensor]:
        """Steps k of the sampler, falling."""
        steps = self.config.inference_steps
        if self.config.sampler == "dpm++":
            self.sampler.set_timesteps(timesteps=even_in_log_snr(self.sampler.lambda_t, steps))
        else:
            self.sampler.set_timesteps(steps)
        return self.sampler.timesteps

    def step(self, A_k: Tensor, k: Tensor, O_t: Tensor, generator: Generators) -> Tensor:
        """Eq. 4: A^{k-1} = alpha (A^k - gamma epsilon_theta(O_t, A^k, k) + N(0, sigma^2 I)), or a longer step."""
        predicted = self.denoiser(A_k, k.expand(len(A_k)), O_t)
        return self.sampler.step(predicted, k, A_k, generator=generator, return_dict=False)[0]

    def committed_at(self, known: Tensor, epsilon: Tensor, k: Tensor) -> Tensor:
        """The prefix at step 0.3 k."""
        less = (PREFIX_NOISE * k).long().to(known.device).expand(len(known))
        return self.ddpm.add_noise(known, epsilon, less)

    def with_sampler(self, sampler: str | None = None, steps: int | None = None) -> Self:
        """See `DenoisingPolicy`."""
        other = super().with_sampler(sampler, steps)
        other.sampler = make_sampler(other.config.sampler, other.config, other.act.is_bounded)
        return other


def make_sampler(name: str, config: DiffusionConfig, clip: bool) -> Any:
    """A scheduler of diffusers on the paper's noise schedule (iDDPM's squared cosine).

    Args:
        name: see `DiffusionConfig.sampler`.
        clip: whether estimates of A^0 are kept in [-1, 1], which holds all data.
    """
    schedule: dict[str, Any] = {
        "num_train_timesteps": config.K,
        "beta_schedule": "squaredcos_cap_v2",
        "prediction_type": "v_prediction" if config.prediction == "v" else config.prediction,
    }
    if name == "ddpm":
        return DDPMScheduler(**schedule, clip_sample=clip, variance_type="fixed_small")
    if name == "ddim":
        return DDIMScheduler(**schedule, clip_sample=clip)
    from diffusers import DPMSolverMultistepScheduler  # brings scipy, 40 MB

    return DPMSolverMultistepScheduler(
        **schedule,
        algorithm_type="dpmsolver++",
        solver_order=2,
        thresholding=clip,  # with a largest value of 1, dynamic thresholding is clipping
        sample_max_value=1.0,
    )


def even_in_log_snr(log_snr: Tensor, steps: int) -> list[int]:
    """Diffusion steps k, falling, at even distances of lambda = log(sqrt(alpha_bar) / sqrt(1 - alpha_bar)).

    The spacing that Lu et al. (arXiv 2206.00927) use: on the cosine schedule most of the change is in the last few k,
    which even distances of k step over. With it, 5 steps on a Gaussian target lie between 10 and 20 steps of DDIM.

    Args:
        log_snr: (K,) lambda of each k.
        steps: how many; fewer where several fall on one k.
    """
    reachable = log_snr[log_snr > LEAST_LOG_SNR]
    wanted = torch.linspace(float(reachable[-1]), float(reachable[0]), steps)
    nearest = (log_snr[:, None] - wanted).abs().argmin(0)
    return sorted(set(nearest.tolist()), reverse=True)
