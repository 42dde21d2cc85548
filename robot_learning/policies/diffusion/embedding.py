"""The diffusion step k as a vector."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn


class StepEmbedding(nn.Module):
    """Sines and cosines at geometrically spaced frequencies (Vaswani et al., 2017)."""

    frequency: Tensor

    def __init__(self, dim: int) -> None:
        super().__init__()
        half = dim // 2
        frequency = torch.exp(torch.arange(half) * (-math.log(10_000) / (half - 1)))
        self.register_buffer("frequency", frequency, persistent=False)

    def forward(self, k: Tensor) -> Tensor:
        """(B,) to (B, dim)."""
        angle = k[:, None] * self.frequency
        return torch.cat([angle.sin(), angle.cos()], dim=-1)
