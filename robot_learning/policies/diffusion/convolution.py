"""Convolutions along time that are matrix products where they are compiled for a CPU.

Chunks are short: 16 actions, then 8, then 4. On these, oneDNN's convolutions reach a third of what a core can do, and
nothing can be fused with them. As products of gathered columns, torch.compile fuses the gathering, padding, FiLM and
Mish around them, and a training step takes three quarters of the time. Eagerly, and on GPUs, convolutions are quicker.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional


def _as_products(x: Tensor) -> bool:
    return torch.compiler.is_compiling() and x.device.type == "cpu"


class TimeConvolution(nn.Conv1d):
    """`nn.Conv1d`, with its parameters and its results."""

    def forward(self, x: Tensor) -> Tensor:
        """(B, in, T) to (B, out, T / stride)."""
        if not _as_products(x):
            return super().forward(x)
        width, stride, padding = self.kernel_size[0], self.stride[0], int(self.padding[0])
        x = functional.pad(x.transpose(1, 2), (0, 0, padding, padding))
        last = x.shape[1] - width
        columns = torch.cat([x[:, i : i + last + 1 : stride] for i in range(width)], dim=-1)
        return functional.linear(columns, self.weight.transpose(1, 2).flatten(1), self.bias).transpose(1, 2)


class TimeExpansion(nn.ConvTranspose1d):
    """`nn.ConvTranspose1d` with kernel 4, stride 2 and padding 1: each step becomes two."""

    def __init__(self, in_channels: int, out_channels: int) -> None:
        super().__init__(in_channels, out_channels, kernel_size=4, stride=2, padding=1)

    def forward(self, x: Tensor, output_size: list[int] | None = None) -> Tensor:
        """(B, in, T) to (B, out, 2 T)."""
        if not _as_products(x):
            return super().forward(x, output_size)
        x = functional.pad(x.transpose(1, 2), (0, 0, 1, 1))
        before, now, after = x[:, :-2], x[:, 1:-1], x[:, 2:]
        w = self.weight.unbind(-1)  # (in, out) each; step t of the input reaches 2 t - 1 to 2 t + 2
        even = torch.cat([now, before], dim=-1) @ torch.cat([w[1], w[3]])
        odd = torch.cat([after, now], dim=-1) @ torch.cat([w[0], w[2]])
        y = torch.stack([even, odd], dim=2).flatten(1, 2)
        return (y if self.bias is None else y + self.bias).transpose(1, 2)
