"""In which order windows are seen: a function of (seed, epoch), so that nothing about it need be saved."""

from __future__ import annotations

from collections.abc import Callable, Generator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import torch

from robot_learning.data.cache import Windows


class DataOrder:
    """An endless sequence of window numbers: one random permutation of `count` after another."""

    def __init__(self, count: int, seed: int) -> None:
        self.count, self.seed = count, seed
        self._epoch, self._permutation = -1, np.empty(0, np.int64)

    def indices(self, start: int, length: int) -> np.ndarray:
        """Numbers `start` to `start + length - 1` of the sequence, (length,) int64."""
        parts = []
        while length:
            epoch, offset = divmod(start, self.count)
            if epoch != self._epoch:
                self._epoch = epoch
                self._permutation = np.random.default_rng((self.seed, epoch)).permutation(self.count)
            parts.append(self._permutation[offset : offset + length])
            start, length = start + len(parts[-1]), length - len(parts[-1])
        return np.concatenate(parts)


class Batches:
    """Batches as tensors on the training device; the next is gathered while one is being used.

    Args:
        usable: numbers of the windows to use.
        rank, world: this process among all; each takes its own part of every global batch.
    """

    def __init__(
        self,
        windows: Windows,
        usable: np.ndarray,
        seed: int,
        batch_size: int,
        device: torch.device,
        rank: int = 0,
        world: int = 1,
    ) -> None:
        self.windows, self.usable, self.batch_size, self.device = windows, usable, batch_size, device
        self.order = DataOrder(len(usable), seed)
        self.rank, self.world = rank, world

    def indices(self, number: int) -> np.ndarray:
        """The windows of this process's batch `number`, (batch_size,)."""
        whole = self.batch_size * self.world
        mine = self.order.indices(number * whole, whole)[self.rank :: self.world]
        return self.usable[mine]

    def epoch(self, number: int) -> int:
        """The epoch in which batch `number` begins."""
        return number * self.batch_size * self.world // len(self.usable)

    def iterate(self, first: int) -> Generator[dict[str, Any], None, None]:
        """Batches from number `first` on, without end."""
        with ThreadPoolExecutor(1, "batches") as pool:
            ahead = pool.submit(self._gather, first)
            while True:
                first += 1
                batch, ahead = ahead.result(), pool.submit(self._gather, first)
                yield _each(batch, lambda tensor: tensor.to(self.device, non_blocking=True))

    def _gather(self, number: int) -> dict[str, Any]:
        drawn = _Share((self.order.seed, number), self.rank, self.world)
        batch = _each(self.windows.batch(self.indices(number), drawn), torch.from_numpy)
        # Out of pinned memory a GPU fetches the next batch while it computes.
        return _each(batch, torch.Tensor.pin_memory) if self.device.type == "cuda" else batch


class _Share(np.random.Generator):
    """Draws for a global batch and returns this process's part, so that goals don't depend on how many share it."""

    def __init__(self, seed: tuple[int, ...], rank: int, world: int) -> None:
        super().__init__(np.random.PCG64(seed))
        self.rank, self.world = rank, world

    def random(self, size: int) -> np.ndarray:  # type: ignore[override]
        """(size,) numbers uniform in [0, 1)."""
        return super().random(size * self.world)[self.rank :: self.world]


def to_tensors(batch: dict[str, Any], device: torch.device) -> dict[str, Any]:
    """A batch of arrays to one of tensors."""
    return _each(batch, lambda array: torch.from_numpy(array).to(device))


def _each(batch: dict[str, Any], change: Callable[[Any], Any]) -> dict[str, Any]:
    """The same batch, each of its values changed."""
    return {
        key: {name: change(v) for name, v in value.items()} if isinstance(value, dict) else change(value)
        for key, value in batch.items()
    }
