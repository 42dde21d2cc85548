"""Random numbers of training, each the same however many processes share the work.

A loss draws its noise here instead of from torch. Within `shared`, each process draws the noise of the whole global
batch from one source and keeps the samples that are its own: rank, rank + world, rank + 2 world, ..., as
`training.order` deals out the windows. So two processes see exactly the noise that one with twice the batch sees.
Elsewhere these are torch's own functions. Dropout draws from torch's generator and is not shared.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class _Share:
    """Which part of what is drawn belongs to this process; `generator` None: torch's own."""

    generator: torch.Generator | None = None
    rank: int = 0
    world: int = 1


_share = _Share()


@contextmanager
def shared(generator: torch.Generator, rank: int, world: int) -> Iterator[None]:
    """Draw for a global batch from `generator`, in the same state in every process, and keep this process's part."""
    global _share  # noqa: PLW0603
    before, _share = _share, _Share(generator, rank, world)
    try:
        yield
    finally:
        _share = before


@torch.compiler.disable
def normal_like(x: Tensor) -> Tensor:
    """N(0, 1) noise of the shape of x, (B, ...)."""
    s = _share
    drawn = torch.randn(s.world * len(x), *x.shape[1:], generator=s.generator, device=x.device, dtype=x.dtype)
    return drawn[s.rank :: s.world]


@torch.compiler.disable
def uniform(shape: Sequence[int], device: torch.device, dtype: torch.dtype = torch.float32) -> Tensor:
    """(B, ...) numbers uniform in [0, 1)."""
    s = _share
    drawn = torch.rand(s.world * shape[0], *shape[1:], generator=s.generator, device=device, dtype=dtype)
    return drawn[s.rank :: s.world]


@torch.compiler.disable
def integers(high: int, shape: Sequence[int], device: torch.device) -> Tensor:
    """(B, ...) integers uniform in 0 to high - 1."""
    s = _share
    drawn = torch.randint(high, (s.world * shape[0], *shape[1:]), generator=s.generator, device=device)
    return drawn[s.rank :: s.world]
