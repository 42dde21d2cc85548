"""The time-series diffusion transformer that predicts the noise in a sequence of actions.

Diffusion Policy, sec. III-A: noisy actions are the tokens of a decoder; the diffusion step and the
observations are its memory. Causal: action t sees actions up to t and observations up to t.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from robot_learning.policies.diffusion.config import TransformerConfig
from robot_learning.policies.diffusion.embedding import StepEmbedding


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
        self.register_buffer("causal", t[:, None] < t[None, :], persistent=False)  # True: may not see
        self.register_buffer("memory_mask", t[:, None] < s[None, :] - 1, persistent=False)  # s = 0 is the step
        self.apply(_initialize)
        for position in (self.action_position, self.memory_position):
            nn.init.normal_(position, std=0.02)

    def forward(self, A_k: Tensor, k: Tensor, O: Tensor) -> Tensor:  # noqa: E741
        """(B, Tp, D) noisy actions, (B,) steps and (B, To, Do) observations to (B, Tp, D)."""
        memory = torch.cat([self.step(k)[:, None], self.observation(O)], dim=1) + self.memory_position
        memory = self.memory(self.drop(memory))
        tokens = self.drop(self.action(A_k) + self.action_position)
        return self.head(self.decoder(tokens, memory, self.causal, self.memory_mask, tgt_is_causal=False))


def _initialize(module: nn.Module) -> None:
    """N(0, 0.02) weights and zero biases, as in GPT-2."""
    if isinstance(module, nn.Linear):
        nn.init.normal_(module.weight, std=0.02)
        nn.init.zeros_(module.bias)
    elif isinstance(module, nn.MultiheadAttention):
        nn.init.normal_(module.in_proj_weight, std=0.02)
        nn.init.zeros_(module.in_proj_bias)
