"""How a policy is optimised."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from robot_learning.errors import ConfigError


@dataclass(frozen=True)
class Recipe:
    """How a policy is optimised, with a running average of the weights (EMA) that is what one evaluates.

    Attributes:
        steps: optimiser steps; schedules that end, such as the cosine, end there.
        batch_size: windows per batch and process.
        accumulate: batches per optimiser step.
        optimizer: `adamw`, or `adam`, whose weight decay is part of the gradient.
        lr: peak learning rate.
        betas: decay rates of the optimiser's two moments.
        weight_decay: of the policy's matrices; the image encoders have their own.
        encoder_weight_decay: of the observation encoder.
        schedule: a learning-rate schedule of diffusers, e.g. `cosine`, `constant_with_warmup`; or `step`, as BESO
            was trained: times 0.99 after each 100 steps, without a warm-up.
        warmup_steps: steps over which the learning rate rises from zero.
        grad_clip: largest norm of the whole gradient; None: any.
        ema: decay of the average after n steps, at most `ema_decay`: `power` 1 - (1 + n)^-ema_power (Diffusion
            Policy), `ramp` (1 + n) / (10 + n) (BESO); `none`: no average, the weights as they are.
        ema_power: that of `power`.
        ema_decay: its largest decay.
        compile: run the policy's parts through torch.compile: slower to start, quicker then on most GPUs.
    """

    steps: int
    batch_size: int
    accumulate: int = 1
    optimizer: Literal["adamw", "adam"] = "adamw"
    lr: float = 1e-4
    betas: tuple[float, float] = (0.95, 0.999)
    weight_decay: float = 1e-6
    encoder_weight_decay: float = 1e-6
    schedule: str = "cosine"
    warmup_steps: int = 500
    grad_clip: float | None = None
    ema: Literal["power", "ramp", "none"] = "power"
    ema_power: float = 0.75
    ema_decay: float = 0.9999
    compile: bool = False

    def __post_init__(self) -> None:
        for name in ("steps", "batch_size", "accumulate"):
            if getattr(self, name) < 1:
                raise ConfigError(f"{name.replace('_', '-')} must be at least 1; got {getattr(self, name)}.")
        if not self.lr > 0 or self.warmup_steps < 0 or self.ema_power < 0:
            raise ConfigError(
                f"lr must be positive, warmup-steps and ema-power not negative; "
                f"got lr={self.lr}, warmup-steps={self.warmup_steps}, ema-power={self.ema_power}."
            )
        if not 0 <= self.ema_decay < 1:
            raise ConfigError(f"ema-decay must be in [0, 1); got {self.ema_decay}.")
        if self.grad_clip is not None and not self.grad_clip > 0:
            raise ConfigError(f"grad-clip must be positive, or None for no clipping; got {self.grad_clip}.")
