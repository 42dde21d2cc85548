"""Fixed positions of tokens: sines and cosines at geometrically spaced wavelengths (Vaswani et al., 2017)."""

from __future__ import annotations

import math

import torch
from torch import Tensor

TEMPERATURE = 10_000.0


def sinusoid(position: Tensor, dim: int) -> Tensor:
    """(...,) positions to (..., dim): p / 10000^(2i / dim), its sine at 2i and its cosine at 2i + 1."""
    wavelength = TEMPERATURE ** (torch.arange(0, dim, 2) / dim)
    angle = position[..., None] / wavelength
    return torch.stack([angle.sin(), angle.cos()], dim=-1).flatten(-2)


def sequence_positions(count: int, dim: int) -> Tensor:
    """(count, dim) of positions 0, 1, ..."""
    return sinusoid(torch.arange(float(count)), dim)


def map_positions(height: int, width: int, dim: int) -> Tensor:
    """(height * width, dim), row by row: half of it says which row, half which column (Carion et al., ECCV 2020).

    Rows and columns are counted from 1 and scaled so that the last is 2 pi, whatever the map's size.
    """

    def axis(count: int) -> Tensor:
        return sinusoid(torch.arange(1.0, count + 1) / count * 2 * math.pi, dim // 2)

    rows = axis(height)[:, None].expand(-1, width, -1)
    columns = axis(width)[None].expand(height, -1, -1)
    return torch.cat([rows, columns], dim=-1).flatten(0, 1)
