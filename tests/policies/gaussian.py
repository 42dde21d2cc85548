"""A target that is a Gaussian, N(MEAN, STD^2) in each value, and the denoisers that are perfect for it."""

import math
from dataclasses import replace

import torch
from toy_policies import UNET, arm_contract, make_policy

from robot_learning.policies.diffusion.config import FlowUNetConfig

MEAN, STD = 0.4, 0.3
CONTRACT = arm_contract(action_gated=((2,), "m"))
FLOW = FlowUNetConfig(dims=(16, 32), step_dim=16, Tp=8, Ta=4, vision=UNET.vision)


def squared_cosine(K):
    """alpha_bar of Nichol and Dhariwal (2021), eq. 17, beta at most 0.999; (K,) float64."""
    product, alpha_bar = 1.0, []
    for k in range(K):
        f = [math.cos((t / K + 0.008) / 1.008 * math.pi / 2) ** 2 for t in (k, k + 1)]
        product *= 1 - min(1 - f[1] / f[0], 0.999)
        alpha_bar.append(product)
    return torch.tensor(alpha_bar, dtype=torch.float64)


class PerfectDenoiser(torch.nn.Module):
    """What an ideal network predicts, E[target | A^k], in closed form; remembers where sampling began."""

    def __init__(self, K, prediction):
        super().__init__()
        self.alpha_bar, self.prediction, self.began = squared_cosine(K), prediction, None

    def forward(self, x, k, O):  # noqa: E741
        alpha, sigma = (v[k].sqrt()[:, None, None] for v in (self.alpha_bar, 1 - self.alpha_bar))
        spread = alpha**2 * STD**2 + sigma**2
        if self.began is None:
            self.began = MEAN + STD * (x - alpha * MEAN) / spread.sqrt()  # where the probability flow ends
        x0 = MEAN + STD**2 * alpha * (x - alpha * MEAN) / spread
        epsilon = (x - alpha * x0) / sigma
        return {"sample": x0, "epsilon": epsilon, "v": alpha * epsilon - sigma * x0}[self.prediction]


class PerfectVelocity(torch.nn.Module):
    """E[A - epsilon | A_tau] in closed form, time stretched to [0, 100)."""

    began = None

    def forward(self, x, k, O):  # noqa: E741
        tau = (k / 100)[:, None, None]
        spread = tau**2 * STD**2 + (1 - tau) ** 2
        if self.began is None:
            self.began = MEAN + STD * x
        a = MEAN + STD**2 * tau * (x - tau * MEAN) / spread
        epsilon = (1 - tau) * (x - tau * MEAN) / spread
        return a - epsilon


def sample(policy, denoiser, count=500):
    """(count, Tp, 2) actions, and the largest distance from where the exact flow ends."""
    policy.double().eval()
    policy.denoiser = denoiser
    generator = torch.Generator().manual_seed(0)
    actions = policy.predict({"joints": torch.zeros(count, 2, 3)}, generator)
    return actions, float((actions - denoiser.began).abs().max())


def diffusion(sampler, steps, prediction="epsilon", K=1000):
    config = replace(UNET, sampler=sampler, inference_steps=steps, prediction=prediction, K=K)
    policy = make_policy(replace(config, normalization={"action": "identity"}), ("joints",), CONTRACT)
    return sample(policy, PerfectDenoiser(K, prediction))


def flow(steps):
    policy = make_policy(
        replace(FLOW, inference_steps=steps, normalization={"action": "identity"}), ("joints",), CONTRACT
    )
    return sample(policy, PerfectVelocity())
