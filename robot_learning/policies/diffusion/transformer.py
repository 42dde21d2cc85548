"""The time-series diffusion transformer that predicts the noise in a sequence of actions.

Diffusion Policy, sec. III-A: noisy actions are the tokens of a decoder; the diffusion step and the
observations are its memory. Causal: action t sees actions up to t (or, not causal, all) and observations up to t.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from robot_learning.policies.diffusion.config import TransformerConfig
from robot_learning.policies.diffusion.embedding import StepEmbedding
from robot_learning.policies.initialize import initialize


class DiffusionTransformer(nn.Module):
    """epsilon_theta(O, A^k, k), or what else is to be predicted of noisy actions.

    Args:
        action_dim: values per action, D.
        observation_dim: values of the whole observation window, To * Do.
    """

    causal: Tensor
    memory_mask: Tensor

    def __init__(self, action_dim: int, observation_dim: int, config: TransformerConfig) -> None:
        super().__init__()
        Tp, To, dim = config.Tp, config.To, config.dim
        self.action = nn.Linear(action_dim, dim)
        self.observation = nn.Linear(observation_dim // To, dim)
        self.step = StepEmbedding(dim)
        self.action_position = nn.Parameter(torch.zeros(1, Tp, dim))
        self.memory_position = nn.Parameter(torch.zeros(1, 1 + To, dim))
        self.drop = nn.Dropout(config.embedding_dropout)
        self.memory = nn.Sequential(nn.Linear(dim, 4 * dim), nn.Mish(), nn.Linear(4 * dim, dim))
        layer = nn.TransformerDecoderLayer(
            dim, config.heads, 4 * dim, config.attention_dropout, activation="gelu", batch_first=True, norm_first=True
        )
        self.decoder = nn.TransformerDecoder(layer, config.layers, norm=nn.LayerNorm(dim))
        self.head = nn.Linear(dim, action_dim)
        t, s = torch.arange(Tp), torch.arange(1 + To)
        hidden = (t[:, None] < t[None, :]) & config.causal
        self.register_buffer("causal", hidden, persistent=False)  # True: may not see
        self.register_buffer("memory_mask", t[:, None] < s[None, :] - 1, persistent=False)  # s = 0 is the step
        last: list[Any] = [self.head]
        for block in self.decoder.layers:
            last += [block.self_attn.out_proj, block.multihead_attn.out_proj, block.linear2]
        initialize(self, config.init, (self.action_position, self.memory_position), last)

    def forward(self, A_k: Tensor, k: Tensor, O: Tensor) -> Tensor:  # noqa: E741
        """(B, Tp, D) noisy actions, (B,) steps and (B, To, Do) observations to (B, Tp, D)."""
        memory = torch.cat([self.step(k)[:, None], self.observation(O)], dim=1) + self.memory_position
        memory = self.memory(self.drop(memory))
        tokens = self.drop(self.action(A_k) + self.action_position)
        return self.head(self.decoder(tokens, memory, self.causal, self.memory_mask, tgt_is_causal=False))
