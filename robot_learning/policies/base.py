"""The interface of every policy."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from robot_learning.contract import Contract
from robot_learning.data.windows import WindowSpec
from robot_learning.errors import UserError
from robot_learning.policies.config import PolicyConfig
from robot_learning.policies.normalizer import Normalizer
from robot_learning.policies.view import View

Batch = Mapping[str, Any]  # what `data.cache.Windows.batch` returns, as tensors
Generators = torch.Generator | list[torch.Generator] | None


class Policy(nn.Module):
    """A policy with everything that it needs in order to be used: configuration, contract, view, normaliser.

    `forward` is `loss`, so that a wrapper such as DistributedDataParallel sees the training step.

    Attributes:
        supports_prefix: whether `predict` can begin a chunk with committed actions.
        takes_goal: whether `predict` can be told what to reach.
    """

    supports_prefix = False
    takes_goal = False

    def __init__(self, config: PolicyConfig, contract: Contract, view: View, normalizer: Normalizer) -> None:
        super().__init__()
        self.config = config
        self.contract = contract
        self.view = view
        self.normalizer = normalizer

    @property
    def observations(self) -> tuple[str, ...]:
        """Names of the features that the policy sees."""
        return self.view.observations

    @property
    def actions(self) -> tuple[str, ...]:
        """Names of the features that a chunk is made of, in order."""
        return self.view.actions

    @property
    def spec(self) -> WindowSpec:
        """The window."""
        return self.view.spec

    @property
    def executed(self) -> slice:
        """Which part of a chunk to execute before predicting anew: Ta actions, the first due now."""
        first = -self.view.spec.first_action
        return slice(first, first + self.config.Ta)

    @property
    def device(self) -> torch.device:
        """Where the weights are."""
        return next(self.parameters()).device

    def loss(self, batch: Batch) -> tuple[Tensor, dict[str, Tensor]]:
        """The training loss, a scalar, and figures worth logging."""
        raise NotImplementedError

    def predict(
        self,
        observation: Mapping[str, Tensor],
        generator: Generators = None,
        prefix: Tensor | None = None,
        goal: Mapping[str, Tensor] | None = None,
    ) -> Tensor:
        """Sample one chunk per observation.

        Args:
            observation: feature name to (B, To, *shape) in the contract's units, images uint8.
            generator: source of the sampling noise; a list of B gives each observation its own, so that
                its chunk does not depend on what else is in the batch.
            prefix: (B, d, Da) actions from the newest observation's step on that will be executed whatever the
                chunk says, in the contract's units; the rest of the chunk then continues them.
            goal: goal feature name to (B, goal, *shape), as observations; None: act without one.

        Returns:
            (B, Tp, Da) actions in the contract's units, the action features concatenated.

        Raises:
            UserError: a prefix that the policy can't begin a chunk with, or a goal that it does not take.
        """
        raise NotImplementedError

    def after_step(self, step: int, steps: int) -> None:
        """Called after each optimiser step, `step` of `steps`, counted from 1: for weights that follow others."""

    def networks(self, observation: Mapping[str, Tensor]) -> dict[str, tuple[Any, ...]]:
        """Those attributes that do the work of `predict`, with example inputs, for one observation.

        Each is a module of plain tensors (the observation encoder, of a mapping of them) in and one tensor out, that a
        back end may replace by a compiled or exported one.
        """
        raise NotImplementedError

    def taken_from(self, source: Policy) -> tuple[str, ...]:
        """Names of the parts that training takes over from `source`, a trained policy of the same kind."""
        return tuple(name for name, _ in self.named_children() if name != "normalizer")

    def refuse_goal(self, goal: Mapping[str, Tensor] | None) -> None:
        """Raise UserError where a goal is given and the policy takes none."""
        if goal is not None and not self.takes_goal:
            raise UserError(
                f"policy '{self.config.policy}' takes no goal; leave it out, or choose one that does: beso."
            )

    def committed(self, prefix: Tensor, B: int, Da: int) -> slice:
        """Where in a chunk a prefix belongs; raises UserError where it does not fit or prefixes are not supported."""
        if not self.supports_prefix:
            raise UserError(
                f"policy '{self.config.policy}' can't begin a chunk with committed actions; "
                "execute its chunks by timestamp or ensemble."
            )
        first = self.executed.start
        longest = self.spec.Tp - first
        if prefix.ndim != 3 or prefix.shape[::2] != (B, Da) or not 1 <= prefix.shape[1] <= longest:
            raise UserError(
                f"committed actions must be ({B}, 1 to {longest}, {Da}) for this policy; got {tuple(prefix.shape)}."
            )
        return slice(first, first + prefix.shape[1])

    def parameter_groups(self, weight_decay: float, encoder_weight_decay: float) -> list[dict[str, Any]]:
        """Optimiser groups; one-dimensional parameters (biases, norms) are not decayed."""
        raise NotImplementedError

    def forward(self, batch: Batch) -> tuple[Tensor, dict[str, Tensor]]:
        """The same as `loss`."""
        return self.loss(batch)
