"""What a recipe names: optimiser, learning-rate schedule, running average of the weights."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from diffusers.optimization import SchedulerType, get_scheduler
from torch import Tensor
from torch.optim.lr_scheduler import StepLR

from robot_learning.errors import unknown_name
from robot_learning.policies.base import Policy
from robot_learning.policies.recipe import Recipe

if TYPE_CHECKING:
    from diffusers.training_utils import EMAModel

STEP = "step"  # BESO's learning rate: times STEP_FACTOR after each STEP_EVERY optimiser steps
STEP_EVERY, STEP_FACTOR = 100, 0.99


def check_schedule(name: str) -> None:
    """Raise UnknownName for a schedule that there is not."""
    if name not in (names := [STEP, *(s.value for s in SchedulerType)]):
        raise unknown_name("schedule", name, names)


class Adam(torch.optim.Adam):
    """torch's fused Adam, for weights and gradients that do not lie row by row, as channels-last convolutions' do not.

    Where a gradient lies otherwise than its weight, torch's pairs values wrongly on a CPU, in silence (torch 2.13).
    Where both are channels-last, it copies gradients there: with a ResNet half of the optimiser's time. This one gives
    it views that lie row by row; each value's arithmetic is the same.
    """

    def _init_group(self, group: dict[str, Any], params: list[Tensor], *lists: list[Tensor]) -> bool:
        """Fills `params` and lists of their gradients, moments (three kinds, the last may be empty) and step counts."""
        has_complex = super()._init_group(group, params, *lists)
        gradients, channels_last = lists[0], [_channels_last(p) for p in params]
        gradients[:] = [
            g if g.stride() == p.stride() else torch.empty_like(p).copy_(g)
            for g, p in zip(gradients, params, strict=True)
        ]
        for tensors in (params, *lists[:-1]):
            pairs = list(zip(tensors, channels_last, strict=False))
            tensors[:] = [t.permute(0, 2, 3, 1) if last else t for t, last in pairs]
        return has_complex


def _channels_last(x: Tensor) -> bool:
    return x.ndim == 4 and x.is_contiguous(memory_format=torch.channels_last)


def make_optimizer(policy: Policy, recipe: Recipe) -> torch.optim.Optimizer:
    """Adam or AdamW over the policy's own groups of parameters, those that are trained."""
    groups = policy.parameter_groups(recipe.weight_decay, recipe.encoder_weight_decay)
    decoupled = recipe.optimizer == "adamw"
    return Adam(groups, lr=recipe.lr, betas=recipe.betas, fused=True, decoupled_weight_decay=decoupled)


def make_schedule(optimizer: torch.optim.Optimizer, recipe: Recipe) -> Any:
    """The schedule, to be stepped after each optimiser step."""
    if recipe.schedule == STEP:
        return StepLR(optimizer, STEP_EVERY, STEP_FACTOR)
    return get_scheduler(
        recipe.schedule, optimizer, num_warmup_steps=recipe.warmup_steps, num_training_steps=recipe.steps
    )


def make_average(policy: Policy, recipe: Recipe) -> EMAModel | None:
    """The running average of a policy's weights; None where the recipe wants none.

    diffusers has both forms: its warm-up with inv_gamma 1 is 1 - (1 + n)^-power, without it (1 + n) / (10 + n).
    """
    if recipe.ema == "none":
        return None
    from diffusers.training_utils import EMAModel  # brings torchvision, which runs without an average are spared

    return EMAModel(
        policy.parameters(),
        decay=recipe.ema_decay,
        use_ema_warmup=recipe.ema == "power",
        inv_gamma=1.0,
        power=recipe.ema_power,
        foreach=True,
    )
