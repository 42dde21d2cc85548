"""ACT: learning fine-grained bimanual manipulation with low-cost hardware (Zhao et al., RSS 2023, arXiv 2304.13705).

Symbols of the paper: o_t the observation, a_{t:t+k} the chunk of k = Tp actions from now on, z the style.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from robot_learning.contract import Contract
from robot_learning.policies import noise
from robot_learning.policies.act.config import ActConfig
from robot_learning.policies.act.cvae import StyleEncoder, kl_divergence
from robot_learning.policies.act.layers import DecoderLayer, EncoderLayer
from robot_learning.policies.act.observe import ObservationTokens
from robot_learning.policies.base import Batch, Generators, Policy
from robot_learning.policies.normalizer import Normalizer
from robot_learning.policies.relative import ActionVector
from robot_learning.policies.view import View


class ActTransformer(nn.Module):
    """pi_theta(a_{t:t+k} | o_t, z): an encoder over style, state and images, a decoder over the chunk (Fig. 4, right).

    Args:
        vectors: V, the tokens of the state; 1 as published.
        image_positions: (M, dim) of the image tokens.
        action_dim: values per action, D.
    """

    image_positions: Tensor

    def __init__(self, vectors: int, image_positions: Tensor, action_dim: int, config: ActConfig) -> None:
        super().__init__()
        dim, sizes = config.dim, (config.dim, config.heads, config.ffn_dim, config.dropout)
        self.style = nn.Linear(config.style_dim, dim)
        self.first_positions = nn.Parameter(torch.randn(1 + vectors, dim))  # of style and state
        self.register_buffer("image_positions", image_positions, persistent=False)
        self.encoder = nn.ModuleList([EncoderLayer(*sizes) for _ in range(config.encoder_layers)])
        self.queries = nn.Parameter(torch.randn(config.Tp, dim))
        self.decoder = nn.ModuleList([DecoderLayer(*sizes) for _ in range(config.decoder_layers)])
        self.norm = nn.LayerNorm(dim)
        self.head = nn.Linear(dim, action_dim)
        for parameter in (*self.encoder.parameters(), *self.decoder.parameters()):
            if parameter.ndim > 1:
                nn.init.xavier_uniform_(parameter)

    def encode(self, z: Tensor, tokens: Tensor) -> tuple[Tensor, Tensor]:
        """(B, style_dim) and (B, V + M, dim) to the memory (B, 1 + V + M, dim) and its positions."""
        positions = torch.cat([self.first_positions, self.image_positions])
        memory = torch.cat([self.style(z)[:, None], tokens], dim=1)
        for layer in self.encoder:
            memory = layer(memory, positions)
        return memory, positions

    def forward(self, z: Tensor, tokens: Tensor) -> Tensor:
        """(B, style_dim) and (B, V + M, dim) to (B, Tp, D)."""
        memory, positions = self.encode(z, tokens)
        x = torch.zeros_like(self.queries).expand(len(z), -1, -1)
        for layer in self.decoder:
            x = layer(x, self.queries, memory, positions)
        return self.head(self.norm(x))


class ActPolicy(Policy):
    """Predicts a chunk from one observation; in training, from the style of the demonstrated chunk as well."""

    config: ActConfig

    def __init__(self, config: ActConfig, contract: Contract, view: View, normalizer: Normalizer) -> None:
        super().__init__(config, contract, view, normalizer)
        self.observe = ObservationTokens(contract, view, normalizer, config)
        self.act = ActionVector(contract, view, normalizer, config.relative)
        self.style = StyleEncoder(self.observe.vector.dim, self.act.dim, config) if config.cvae else None
        self.decode = ActTransformer(self.observe.vectors, self.observe.cameras.positions, self.act.dim, config)

    def loss(self, batch: Batch) -> tuple[Tensor, dict[str, Tensor]]:
        """L1(a, a^) + beta KL(q(z | a, o) || N(0, I)) (Algorithm 1); padded actions are left out of both."""
        observation, real = batch["observation"], batch["mask"]
        A = self.act.encode(batch["action"], batch["observation"])
        z, figures = self._no_style(len(A)), {}
        total = torch.zeros((), device=A.device, dtype=A.dtype)
        if self.style is not None:
            mu, log_variance = self.style(self.observe.vector(observation), A, real)
            z = mu + (0.5 * log_variance).exp() * noise.normal_like(mu)
            figures["kl"] = kl_divergence(mu, log_variance)
            total = self.config.kl_weight * figures["kl"]
        predicted = self.decode(z, self.observe(observation))
        figures["l1"] = masked_l1(predicted, A, real, self.config.l1_over == "all")
        return total + figures["l1"], {name: value.detach() for name, value in figures.items()}

    @torch.inference_mode()
    def predict(
        self,
        observation: Mapping[str, Tensor],
        generator: Generators = None,
        prefix: Tensor | None = None,
        goal: Mapping[str, Tensor] | None = None,
    ) -> Tensor:
        """pi_theta(o_t, z = 0), the prior's mean (Algorithm 2); there is no noise to draw from `generator`.

        Overlapping chunks are averaged by whoever executes them: `deployment.ensemble`.
        """
        self.refuse_goal(goal)
        tokens = self.observe(observation)
        if prefix is not None:
            self.committed(prefix, len(tokens), self.act.raw_dim)  # says that it can't be done
        return self.act.decode(self.decode(self._no_style(len(tokens)), tokens), observation)

    def networks(self, observation: Mapping[str, Tensor]) -> dict[str, tuple[Any, ...]]:
        tokens = self.observe(observation)
        return {"observe": (observation,), "decode": (self._no_style(len(tokens)), tokens)}

    def representations(self, observation: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """What a probe reads: `context`, the encoded state and the mean of the encoded images, (B, 1, 2 * dim)."""
        tokens = self.observe(observation)
        memory, _ = self.decode.encode(self._no_style(len(tokens)), tokens)
        first_image = 1 + self.observe.vectors
        return {"context": pooled(memory[:, 1:first_image].mean(1), memory[:, first_image:])}

    def parameter_groups(self, weight_decay: float, encoder_weight_decay: float) -> list[dict[str, Any]]:
        """Transformers and image encoders apart."""
        return decayed_apart(self, self.observe.cameras, weight_decay, encoder_weight_decay)

    def _no_style(self, B: int) -> Tensor:
        return torch.zeros(B, self.config.style_dim, device=self.device, dtype=self.normalizer.dtype)


def masked_l1(predicted: Tensor, true: Tensor, real: Tensor, over_all: bool = False) -> Tensor:
    """Mean of |predicted - true|, both (B, T, D), over what is `real` (B, T); or that sum over the number of all."""
    error = (predicted - true).abs() * real[..., None]
    count = real.numel() if over_all else real.sum().clamp(min=1)
    return error.sum() / (count * true.shape[-1])


def pooled(first: Tensor, rest: Tensor) -> Tensor:
    """(B, dim) and (B, M, dim), M may be 0, to (B, 1, dim or 2 dim): the first and the mean of the rest."""
    parts = [first, rest.mean(1)] if rest.shape[1] else [first]
    return torch.cat(parts, dim=-1)[:, None]


def decayed_apart(
    policy: nn.Module, encoder: nn.Module, weight_decay: float, encoder_weight_decay: float
) -> list[dict[str, Any]]:
    """Optimiser groups of what is trained, `encoder` with a decay of its own; biases and norms are not decayed."""
    trained = [p for p in policy.parameters() if p.requires_grad]
    inside = {id(p) for p in encoder.parameters()}
    groups: list[dict[str, Any]] = [
        {"params": [p for p in trained if id(p) not in inside and p.ndim > 1], "weight_decay": weight_decay},
        {"params": [p for p in trained if id(p) in inside and p.ndim > 1], "weight_decay": encoder_weight_decay},
        {"params": [p for p in trained if p.ndim <= 1], "weight_decay": 0.0},
    ]
    return [group for group in groups if group["params"]]
