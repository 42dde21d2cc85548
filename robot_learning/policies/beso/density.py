"""The distribution of noise levels in training (BESO, sec. IV; its code: a truncated log-logistic)."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from robot_learning.policies import noise


@dataclass(frozen=True)
class TruncatedLogLogistic:
    """ln sigma is logistic about `loc` with `scale`, given that low <= sigma <= high.

    Its untruncated distribution function is F(sigma) = 1 / (1 + exp(-(ln sigma - loc) / scale)). Numbers are float64:
    close to 1, F is too flat for float32 to come back from.
    """

    loc: float
    scale: float
    low: float
    high: float

    def quantile(self, u: Tensor) -> Tensor:
        """The sigma below which a part u in [0, 1] of the noise lies: F^-1(F(low) + u (F(high) - F(low)))."""
        low, high = (1 / (1 + math.exp(-(math.log(s) - self.loc) / self.scale)) for s in (self.low, self.high))
        p = low + u.double() * (high - low)
        return (self.loc + self.scale * torch.logit(p)).exp().clamp(self.low, self.high)

    def sample(self, shape: tuple[int, ...], device: torch.device) -> Tensor:
        """Noise levels, float64, from the random numbers that training shares between processes."""
        return self.quantile(noise.uniform(shape, device, torch.float64))
