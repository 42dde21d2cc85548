"""Convolutions of small feature maps that are matrix products where they are trained on a CPU.

The last stages of a ResNet have many channels and few pixels: on 6 x 6 and fewer oneDNN's convolutions take two to
three times as long as the same products, and their weights' gradients come in a layout that is copied into the weights'
own. With products a training step of ACT takes 0.94 of its time, one of Diffusion Policy from 64-pixel images 0.83.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

SMALL_PX = 36  # pixels of the map that goes in


class MapConvolution(nn.Conv2d):
    """`nn.Conv2d`, with its parameters and, but for rounding, its results."""

    def forward(self, x: Tensor) -> Tensor:
        """(N, in, H, W) to (N, out, h, w)."""
        if not (self.training and x.device.type == "cpu" and x.shape[-2] * x.shape[-1] <= SMALL_PX):
            return super().forward(x)
        return self.products(x)

    def products(self, x: Tensor) -> Tensor:
        """The same by gathering each place's surroundings, channels last, as the weights lie."""
        (p, q), (s, t) = map(int, self.padding), self.stride
        (rows, columns), x = self.kernel_size, functional.pad(x.permute(0, 2, 3, 1), (0, 0, q, q, p, p))
        h, w = x.shape[1] - rows + 1, x.shape[2] - columns + 1
        around = [x[:, i : i + h : s, j : j + w : t] for i in range(rows) for j in range(columns)]
        weight = self.weight.permute(0, 2, 3, 1).flatten(1)
        return functional.linear(torch.cat(around, dim=-1), weight, self.bias).permute(0, 3, 1, 2)


def use_map_convolutions(network: nn.Module) -> None:
    """Let a network's convolutions be of this kind, where they are plain: not grouped, not dilated, padded by zeros."""
    for module in network.modules():
        plain = type(module) is nn.Conv2d and module.groups == 1 and module.dilation == (1, 1)
        if plain and module.padding_mode == "zeros" and not isinstance(module.padding, str):
            module.__class__ = MapConvolution
