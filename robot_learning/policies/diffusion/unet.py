"""The 1-D conditional U-Net that predicts the noise in a sequence of actions.

After Janner et al. (2022), with FiLM conditioning (Perez et al., 2018) on the diffusion step and the
observations, as in Diffusion Policy, sec. III-A. Kernel 5, GroupNorm, Mish; two residual blocks per level.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from robot_learning.policies.diffusion.config import UNetConfig
from robot_learning.policies.diffusion.convolution import TimeConvolution, TimeExpansion
from robot_learning.policies.diffusion.embedding import StepEmbedding


class ConvBlock(nn.Sequential):
    """Conv1d, GroupNorm, Mish; (B, in, T) to (B, out, T)."""

    def __init__(self, in_channels: int, out_channels: int, kernel_size: int, groups: int) -> None:
        super().__init__(
            TimeConvolution(in_channels, out_channels, kernel_size, padding=kernel_size // 2),
            nn.GroupNorm(groups, out_channels),
            nn.Mish(),
        )


class ResidualBlock(nn.Module):
    """Two convolution blocks with FiLM between them, and a residual connection."""

    def __init__(self, in_channels: int, out_channels: int, condition_dim: int, config: UNetConfig) -> None:
        super().__init__()
        size = (config.kernel_size, config.groups)
        self.first = ConvBlock(in_channels, out_channels, *size)
        self.second = ConvBlock(out_channels, out_channels, *size)
        self.film = nn.Linear(condition_dim, 2 * out_channels)
        self.shortcut = TimeConvolution(in_channels, out_channels, 1) if in_channels != out_channels else nn.Identity()

    def forward(self, x: Tensor, condition: Tensor) -> Tensor:
        """(B, in, T) and (B, C) to (B, out, T)."""
        scale, bias = self.film(condition)[..., None].chunk(2, dim=1)
        return self.second(torch.addcmul(bias, scale, self.first(x))) + self.shortcut(x)


class ConditionalSequence(nn.ModuleList):
    """Residual blocks one after the other, all under the same condition."""

    def forward(self, x: Tensor, condition: Tensor) -> Tensor:
        """(B, in, T) and (B, C) to (B, out, T)."""
        for block in self:
            x = block(x, condition)
        return x


class ConditionalUNet(nn.Module):
    """epsilon_theta(O, A^k, k), or what else is to be predicted of noisy actions.

    Args:
        action_dim: values per action, D.
        observation_dim: values of the whole observation window.
    """

    def __init__(self, action_dim: int, observation_dim: int, config: UNetConfig) -> None:
        super().__init__()
        step_dim, dims = config.step_dim, config.dims
        condition_dim = step_dim + observation_dim
        self.step = nn.Sequential(
            StepEmbedding(step_dim), nn.Linear(step_dim, 4 * step_dim), nn.Mish(), nn.Linear(4 * step_dim, step_dim)
        )

        def pair(in_channels: int, out_channels: int) -> ConditionalSequence:
            return ConditionalSequence(
                ResidualBlock(c, out_channels, condition_dim, config) for c in (in_channels, out_channels)
            )

        levels = list(zip((action_dim, *dims[:-1]), dims, strict=True))
        self.down = nn.ModuleList([pair(i, o) for i, o in levels])
        self.shrink = nn.ModuleList([TimeConvolution(d, d, 3, stride=2, padding=1) for d in dims[:-1]])
        self.middle = pair(dims[-1], dims[-1])
        # The first level's output has no counterpart on the way up: the last expansion restores its length.
        self.up = nn.ModuleList([pair(2 * o, i) for i, o in reversed(levels[1:])])
        self.expand = nn.ModuleList([TimeExpansion(i, i) for i, _ in reversed(levels[1:])])
        self.head = nn.Sequential(
            ConvBlock(dims[0], dims[0], config.kernel_size, config.groups), TimeConvolution(dims[0], action_dim, 1)
        )

    def forward(self, A_k: Tensor, k: Tensor, O: Tensor) -> Tensor:  # noqa: E741
        """(B, Tp, D) noisy actions, (B,) steps and (B, To, Do) observations to (B, Tp, D)."""
        condition = nn.functional.mish(torch.cat([self.step(k), O.flatten(1)], dim=-1))
        x, skips = A_k.transpose(1, 2), []
        for level, blocks in enumerate(self.down):
            x = blocks(x, condition)
            skips.append(x)
            if level < len(self.shrink):
                x = self.shrink[level](x)
        x = self.middle(x, condition)
        for blocks, expand in zip(self.up, self.expand, strict=True):
            x = expand(blocks(torch.cat([x, skips.pop()], dim=1), condition))
        return self.head(x).transpose(1, 2)
