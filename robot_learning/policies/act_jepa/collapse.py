"""Whether latents still say something: the ways in which a joint embedding collapses show in two figures."""

from __future__ import annotations

import torch
from torch import Tensor

ROWS = 128  # latents whose rank is measured, so that a step's monitor costs little


def spread(latents: Tensor) -> Tensor:
    """Standard deviation of (B, ..., d) latents over the batch, mean over the rest; 0: all the same."""
    return latents.float().std(0, correction=0).mean()


def effective_rank(latents: Tensor) -> Tensor:
    """exp of the entropy of the normalised singular values of (N, d) centred latents (Roy and Vetterli, 2007).

    1 to min(N - 1, d), and 0 where all latents are the same. Of the first 128.
    """
    x = latents[:ROWS].float()
    x = x - x.mean(0)
    s = torch.linalg.eigvalsh(x @ x.T).clamp(min=0).sqrt()
    p = s / s.sum().clamp(min=1e-12)
    rank = torch.special.entr(p).sum().exp()
    return torch.where(s.sum() > 1e-4 * len(x), rank, torch.zeros_like(rank))
