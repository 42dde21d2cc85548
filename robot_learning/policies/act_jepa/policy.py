"""ACT-JEPA: a policy with a joint-embedding predictive architecture (arXiv 2501.14622).

The context encoder sees the present; the target encoder, a running average of it, sees the future; a predictor is to
get from the first to the second. Actions are decoded from the context. There is no CVAE.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import Any, Self

import torch
from torch import Tensor

from robot_learning.contract import Contract
from robot_learning.errors import ConfigError, UserError
from robot_learning.policies.act.policy import decayed_apart, masked_l1, pooled
from robot_learning.policies.act_jepa.collapse import effective_rank, spread
from robot_learning.policies.act_jepa.config import ActJepaConfig
from robot_learning.policies.act_jepa.encoder import Encoder
from robot_learning.policies.act_jepa.heads import Queries
from robot_learning.policies.base import Batch, Generators, Policy
from robot_learning.policies.normalizer import Normalizer
from robot_learning.policies.relative import ActionVector
from robot_learning.policies.view import View


class ActJepaPolicy(Policy):
    """Predicts a chunk from one observation; learns to predict the latents of the future as well."""

    config: ActJepaConfig

    def __init__(self, config: ActJepaConfig, contract: Contract, view: View, normalizer: Normalizer) -> None:
        super().__init__(config, contract, view, normalizer)
        self.act = ActionVector(contract, view, normalizer, config.relative)
        self.context = Encoder(config, contract, view, normalizer)
        if config.target == "image" and not self.context.cameras.names:
            raise ConfigError(
                "target image needs an image among the observations; choose target state, or observe one."
            )
        self.target = copy.deepcopy(self.context).requires_grad_(False).eval()
        dim, more = config.dim, (config.heads, config.predictor_ffn_dim, config.predictor_layers, config.dropout)
        self.predictor = Queries(config.future, dim, config.predictor_dim, dim, *more)
        more = (config.heads, config.ffn_dim, config.decoder_layers, config.dropout)
        width = self.act.dim or 1  # pre-training has no actions to decode
        self.decode = Queries(config.Tp, dim, dim, width, *more).requires_grad_(not config.pretrain)

    def train(self, mode: bool = True) -> Self:
        """As every module's; the target has no dropout in training either."""
        super().train(mode)
        self.target.eval()
        return self

    def loss(self, batch: Batch) -> tuple[Tensor, dict[str, Tensor]]:
        """L1 of actions and weighted L1 of latents; what is padded is left out. In pre-training the latter alone."""
        context = self.context(batch["observation"])
        real = batch["future_mask"]
        latents = self._target(batch)
        latent_l1 = masked_l1(self.predictor(context), latents, real)
        total = self.config.latent_weight * latent_l1
        figures = {"latent_l1": latent_l1, "latent_std": spread(latents), "latent_rank": effective_rank(latents[:, 0])}
        if not self.config.pretrain:
            A = self.act.encode(batch["action"], batch["observation"])
            figures["l1"] = masked_l1(self.decode(context), A, batch["mask"])
            total = total + figures["l1"]
        return total, {name: value.detach() for name, value in figures.items()}

    def after_step(self, step: int, steps: int) -> None:
        """theta_target = m theta_target + (1 - m) theta_context."""
        m = self.momentum(step, steps)
        with torch.no_grad():
            for target, context in zip(self.target.parameters(), self.context.parameters(), strict=True):
                target.lerp_(context, 1 - m)

    def momentum(self, step: int, steps: int) -> float:
        """m of a step, counted from 1: linear from the first to the last."""
        first, last = self.config.momentum
        return first + (last - first) * (step - 1) / max(steps - 1, 1)

    @torch.inference_mode()
    def predict(
        self,
        observation: Mapping[str, Tensor],
        generator: Generators = None,
        prefix: Tensor | None = None,
        goal: Mapping[str, Tensor] | None = None,
    ) -> Tensor:
        """The decoded chunk; there is no noise to draw from `generator`."""
        self.refuse_goal(goal)
        if self.config.pretrain:
            raise UserError("this policy was pre-trained without actions and can't act; fine-tune it first.")
        context = self.context(observation)
        if prefix is not None:
            self.committed(prefix, len(context), self.act.raw_dim)  # says that it can't be done
        return self.act.decode(self.decode(context), observation)

    def networks(self, observation: Mapping[str, Tensor]) -> dict[str, tuple[Any, ...]]:
        return {"context": (observation,), "decode": (self.context(observation),)}

    def taken_from(self, source: Policy) -> tuple[str, ...]:
        """Encoders and predictor, and the action decoder where the source was trained with actions."""
        pretrained = isinstance(source, ActJepaPolicy) and source.config.pretrain
        return ("context", "target", "predictor") if pretrained else ("context", "target", "predictor", "decode")

    def representations(self, observation: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """For a probe: `context`, (B, 1, 2 or 3 dim), and `predictor`, the predicted latents (B, future, dim)."""
        context = self.context(observation)
        return {"context": pooled(context[:, :2].flatten(1), context[:, 2:]), "predictor": self.predictor(context)}

    def parameter_groups(self, weight_decay: float, encoder_weight_decay: float) -> list[dict[str, Any]]:
        """Transformers and image encoders apart; the target is not optimised."""
        return decayed_apart(self, self.context.cameras, weight_decay, encoder_weight_decay)

    @torch.no_grad()
    def _target(self, batch: Batch) -> Tensor:
        """(B, F, dim) latents of the future, without a gradient."""
        return self.target.encode_future(batch["future"], batch["future_mask"], self.config.future_images)
