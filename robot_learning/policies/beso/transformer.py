"""The causal transformer inside of BESO's score model (sec. IV; minGPT, decoder only).

Tokens, in order: [sigma, goal_1, ..., goal_G, s_1, a_1, ..., s_To, a_To, a_To+1, ..., a_Tp]. Each sees itself and
those before it. States and goals share an embedding; s_t and a_t share a position; sigma has none. Actions after the
newest state, which the paper does not have, come last, each at a position of its own. Outputs are read at the actions.

The actions of a chunk, a_To, ..., a_Tp, see each other in both directions: the score of a chunk is that of all its
actions together, and of two ways to go each action would else choose by itself. For Tp = To, as in the paper, that is
the causal mask.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from robot_learning.policies.beso.config import BesoConfig
from robot_learning.policies.initialize import initialize


class Block(nn.Module):
    """Masked self-attention and a perceptron of four times the width, each after a norm and around a shortcut."""

    def __init__(self, config: BesoConfig) -> None:
        super().__init__()
        dim = config.dim
        self.heads, self.attention_dropout = config.heads, config.attention_dropout
        self.before_attention, self.before_mlp = nn.LayerNorm(dim), nn.LayerNorm(dim)
        self.query_key_value = nn.Linear(dim, 3 * dim)
        self.mix = nn.Linear(dim, dim)
        self.mlp = nn.Sequential(nn.Linear(dim, 4 * dim), nn.GELU(), nn.Linear(4 * dim, dim))
        self.drop = nn.Dropout(config.residual_dropout)

    def forward(self, x: Tensor, visible: Tensor) -> Tensor:
        """(B, L, dim) to the same; (L, L) bool says which tokens each may see."""
        q, k, v = (
            y.unflatten(-1, (self.heads, -1)).transpose(1, 2)
            for y in self.query_key_value(self.before_attention(x)).chunk(3, dim=-1)
        )
        dropout = self.attention_dropout if self.training else 0.0
        y = functional.scaled_dot_product_attention(q, k, v, attn_mask=visible, dropout_p=dropout)
        x = x + self.drop(self.mix(y.transpose(1, 2).flatten(2)))
        return x + self.drop(self.mlp(self.before_mlp(x)))


class ScoreTransformer(nn.Module):
    """F(c_in a, s, g, c_noise), the network inside of D.

    Attributes:
        visible: (L, L) bool, which tokens (columns) each (row) may see.

    Args:
        action_dim: values per action, D.
        observation_dim: values per state and per goal, Do.
    """

    visible: Tensor

    def __init__(self, action_dim: int, observation_dim: int, config: BesoConfig) -> None:
        super().__init__()
        self.To, self.Tp, self.G = config.To, config.Tp, config.goal
        self.sigma = nn.Linear(1, config.dim)
        self.state = nn.Linear(observation_dim, config.dim)
        self.action = nn.Linear(action_dim, config.dim)
        self.position = nn.Parameter(torch.empty(1, self.G + self.Tp, config.dim))
        blocks = [Block(config) for _ in range(config.layers)]
        self.blocks = nn.ModuleList(blocks)
        self.norm = nn.LayerNorm(config.dim)
        self.head = nn.Linear(config.dim, action_dim)
        last: list[Any] = [self.head]
        for block in blocks:
            last += [block.mix, block.mlp[-1]]
        initialize(self, config.init, [self.position], last)
        token = torch.arange(1 + self.G + self.To + self.Tp)
        newest = self.G + 2 * self.To  # the token of a_To
        visible = (token[None, :] <= token[:, None]) | (token >= newest) & (token >= newest)[:, None]
        self.register_buffer("visible", visible, persistent=False)

    def forward(self, A: Tensor, c_noise: Tensor, O: Tensor, G: Tensor | None = None) -> Tensor:  # noqa: E741
        """(B, Tp, D) scaled noisy actions, (B,) noise levels, (B, To, Do) states, (B, G, Do) goals to (B, Tp, D)."""
        goal_position, position = self.position[:, : self.G], self.position[:, self.G :]
        tokens = [self.sigma(c_noise[:, None])[:, None]]
        if G is not None:
            tokens.append(self.state(G) + goal_position)
        s = self.state(O) + position[:, : self.To]
        a = self.action(A) + position
        pairs = torch.stack([s, a[:, : self.To]], dim=2).flatten(1, 2)  # s_1, a_1, s_2, a_2, ...
        x = torch.cat([*tokens, pairs, a[:, self.To :]], dim=1)
        for block in self.blocks:
            x = block(x, self.visible)
        y = self.head(self.norm(x))[:, 1 + self.G :]
        return torch.cat([y[:, 1 : 2 * self.To : 2], y[:, 2 * self.To :]], dim=1)
