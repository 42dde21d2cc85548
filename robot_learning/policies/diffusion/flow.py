"""Flow matching (Lipman et al., arXiv 2210.02747) in the place of diffusion; rectified flow is the same straight path.

The paper's time t, from noise (0) to data (1), is tau here, for t is the robot's time; its x_1 is the chunk A,
its x_0 the noise epsilon. Equation numbers are those of the paper, with sigma_min = 0.
"""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import Tensor, nn

from robot_learning.policies import noise
from robot_learning.policies.base import Batch, Generators
from robot_learning.policies.diffusion.denoising import DenoisingPolicy

EMBEDDED = 100  # the denoisers embed steps 0 to 100; tau is stretched to these


class FlowPolicy(DenoisingPolicy):
    """Predicts the velocity that carries noise to a chunk of actions, given observations."""

    def loss(self, batch: Batch) -> tuple[Tensor, dict[str, Tensor]]:
        """Eq. 23: MSE(v_theta(O_t, A_tau, tau), A - epsilon), over the whole window."""
        O_t = self.observe(batch["observation"])
        A = self.act.encode(batch["action"], batch["observation"])
        epsilon = noise.normal_like(A)
        tau = noise.uniform((len(A), 1, 1), A.device, A.dtype)
        velocity = self.denoiser(path(A, epsilon, tau), EMBEDDED * tau.flatten(), O_t)
        return nn.functional.mse_loss(velocity, A - epsilon), {}

    def times(self) -> Iterable[Tensor]:
        """tau = 0, 1/N, ..., 1 - 1/N, stretched as the denoiser takes them."""
        steps = self.config.inference_steps
        return EMBEDDED * torch.arange(steps, dtype=self.normalizer.dtype) / steps

    def step(self, A_k: Tensor, k: Tensor, O_t: Tensor, generator: Generators) -> Tensor:
        """One step of Euler's method for dA/dtau = v_theta, the flow of eq. 1."""
        return A_k + self.denoiser(A_k, k.expand(len(A_k)), O_t) / self.config.inference_steps

    def committed_at(self, known: Tensor, epsilon: Tensor, k: Tensor) -> Tensor:
        """The prefix itself, without noise: with less of it, the rest continues the prefix more often.

        Of two ways learned, 4 committed actions of 8 then choose the right one in 72 to 100 % of chunks (3 trainings).
        """
        return known


def path(A: Tensor, epsilon: Tensor, tau: Tensor) -> Tensor:
    """Eq. 22: (1 - tau) epsilon + tau A."""
    return (1 - tau) * epsilon + tau * A
