"""The CVAE's encoder q_phi(z | a_{t:t+k}, o_t), which training alone uses."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from robot_learning.policies.act.config import ActConfig
from robot_learning.policies.act.layers import EncoderLayer
from robot_learning.policies.act.positions import sequence_positions


class StyleEncoder(nn.Module):
    """A transformer over [CLS, joints, actions]; z is read at CLS (Fig. 4, left; without images)."""

    positions: Tensor

    def __init__(self, state_dim: int, action_dim: int, config: ActConfig) -> None:
        super().__init__()
        dim = config.dim
        self.cls = nn.Parameter(torch.randn(1, 1, dim))
        self.state, self.action = nn.Linear(state_dim, dim), nn.Linear(action_dim, dim)
        self.layers = nn.ModuleList(
            [EncoderLayer(dim, config.heads, config.ffn_dim, config.dropout) for _ in range(config.style_layers)]
        )
        self.head = nn.Linear(dim, 2 * config.style_dim)
        self.register_buffer("positions", sequence_positions(2 + config.Tp, dim), persistent=False)

    def forward(self, state: Tensor, A: Tensor, real: Tensor) -> tuple[Tensor, Tensor]:
        """(B, 1, Ds), (B, Tp, D) and (B, Tp) bool, False for padding, to mu and log sigma^2, each (B, style_dim)."""
        x = torch.cat([self.cls.expand(len(A), -1, -1), self.state(state), self.action(A)], dim=1)
        padding = torch.cat([torch.zeros_like(real[:, :1]).expand(-1, 2), ~real], dim=1)
        *layers, last = self.layers
        for layer in layers:
            x = layer(x, self.positions, padding)
        x = last(x, self.positions, padding, first=1)  # of the others nothing is read
        mu, log_variance = self.head(x[:, 0]).chunk(2, dim=-1)
        return mu, log_variance


def kl_divergence(mu: Tensor, log_variance: Tensor) -> Tensor:
    """KL(N(mu, sigma^2) || N(0, I)), summed over z, mean over the batch."""
    return -0.5 * (1 + log_variance - mu**2 - log_variance.exp()).sum(-1).mean()
