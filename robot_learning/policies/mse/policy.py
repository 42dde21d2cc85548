"""Behaviour cloning by regression (Pomerleau, NeurIPS 1988), with chunks: the baseline without a distribution.

It learns the mean of what demonstrations do in a state, E[A | O]. Where they do two different things, the mean may
be neither.
"""

from __future__ import annotations

from collections.abc import Mapping
from itertools import pairwise
from typing import Any

import torch
from torch import Tensor, nn

from robot_learning.contract import Contract
from robot_learning.policies.base import Batch, Generators, Policy
from robot_learning.policies.encoders import ObservationEncoder
from robot_learning.policies.mse.config import MseConfig
from robot_learning.policies.normalizer import Normalizer
from robot_learning.policies.relative import ActionVector
from robot_learning.policies.view import View


class MsePolicy(Policy):
    """A chunk as a function of the observations."""

    config: MseConfig

    def __init__(self, config: MseConfig, contract: Contract, view: View, normalizer: Normalizer) -> None:
        super().__init__(config, contract, view, normalizer)
        self.observe = ObservationEncoder(contract, view, normalizer, config.vision)
        self.act = ActionVector(contract, view, normalizer, config.relative)
        widths = [config.To * self.observe.dim, *config.hidden]
        layers = [layer for i, o in pairwise(widths) for layer in (nn.Linear(i, o), nn.Mish())]
        self.mean = nn.Sequential(*layers, nn.Linear(widths[-1], config.Tp * self.act.dim))

    def loss(self, batch: Batch) -> tuple[Tensor, dict[str, Tensor]]:
        """MSE(A, f(O)) over the whole window, the repeats past an episode's ends included, as Diffusion Policy has."""
        A = self.act.encode(batch["action"], batch["observation"])
        return nn.functional.mse_loss(self._chunk(batch["observation"]), A), {}

    @torch.inference_mode()
    def predict(
        self,
        observation: Mapping[str, Tensor],
        generator: Generators = None,
        prefix: Tensor | None = None,
        goal: Mapping[str, Tensor] | None = None,
    ) -> Tensor:
        """f(O); there is no noise to draw from `generator`."""
        self.refuse_goal(goal)
        A = self._chunk(observation)
        if prefix is not None:
            self.committed(prefix, len(A), self.act.raw_dim)  # says that it can't be done
        return self.act.decode(A, observation)

    def networks(self, observation: Mapping[str, Tensor]) -> dict[str, tuple[Any, ...]]:
        return {"observe": (observation,), "mean": (self.observe(observation).flatten(1),)}

    def parameter_groups(self, weight_decay: float, encoder_weight_decay: float) -> list[dict[str, Any]]:
        """Regression and observation encoder apart."""
        groups = []
        for module, decay in ((self.mean, weight_decay), (self.observe, encoder_weight_decay)):
            parameters = list(module.parameters())
            matrices = [p for p in parameters if p.ndim > 1]
            vectors = [p for p in parameters if p.ndim <= 1]
            groups += [{"params": matrices, "weight_decay": decay}, {"params": vectors, "weight_decay": 0.0}]
        return [group for group in groups if group["params"]]

    def _chunk(self, observation: Mapping[str, Tensor]) -> Tensor:
        """(B, Tp, D) normalised actions."""
        return self.mean(self.observe(observation).flatten(1)).unflatten(-1, (self.config.Tp, self.act.dim))
