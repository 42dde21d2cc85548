"""Named presets: a policy's configuration with the recipe that trains it. One flat list."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from robot_learning.errors import unknown_name
from robot_learning.policies.act.config import ActConfig, MapConfig
from robot_learning.policies.act_jepa.config import ActJepaConfig
from robot_learning.policies.beso.config import BesoConfig
from robot_learning.policies.config import PolicyConfig, VisionConfig
from robot_learning.policies.diffusion.config import DiffusionTransformerConfig, DiffusionUNetConfig, FlowUNetConfig
from robot_learning.policies.mse.config import MseConfig
from robot_learning.policies.recipe import Recipe


@dataclass(frozen=True)
class Preset:
    """A policy and its recipe.

    Attributes:
        images: whether it sees through cameras; decides the default choice of observations.
        about: one line for lists.
    """

    name: str
    config: PolicyConfig
    recipe: Recipe
    images: bool
    about: str


# Published hyperparameters are those of Diffusion Policy's code (real-stanford/diffusion_policy, configs
# train_diffusion_{unet,transformer}_{lowdim,hybrid}_workspace), 5,000 epochs from state and 3,050 from images
# on about 100 steps per epoch. Those marked "small" are ours, for one CPU core.
_PAD_AFTER = 7  # Ta - 1, as in that code
_PUBLISHED_TRANSFORMER = {"betas": (0.9, 0.95), "weight_decay": 1e-3, "warmup_steps": 1000}
_SMALL_TRANSFORMER = {"betas": (0.9, 0.95), "weight_decay": 1e-3, "warmup_steps": 200}
# ACT: 2,000 epochs of 50 episodes, one window each, in batches of 8 are 12,500 steps, for real tasks twice or more
# (tonyzhaozh/act); LeRobot's 100,000 steps are what results are compared with.
_PUBLISHED_ACT = {
    "lr": 1e-5, "betas": (0.9, 0.999), "weight_decay": 1e-4, "encoder_weight_decay": 1e-4, "schedule": "constant",
    "warmup_steps": 0, "ema": "none",
}  # fmt: skip

# BESO's are those of its code for the kitchen (intuitive-robots/beso, franka_kitchen), Adam's moments as there.
_PUBLISHED_BESO = {"betas": (0.9, 0.999), "weight_decay": 1e-2, "ema": "ramp", "ema_decay": 0.999, "schedule": "step"}
# Chunks need more noise to begin with than the paper's single action: the mean of many noisy values tells one way from
# another still at sigma = 1. Of two ways learned, 81 % of chunks then keep to one in 3 steps, rather than 7 %.
_SMALL_BESO = {
    "layers": 4, "heads": 4, "dim": 128, "attention_dropout": 0.0, "init": "width", "Ta": 8,
    "sigma_max": 20.0, "sigma_scale": 1.0, "schedule": "karras",
}  # fmt: skip
# ACT-JEPA on PushT (arXiv 2501.14622): 6,000 steps of 128 windows, 4 % of them warm-up.
_PUBLISHED_JEPA = {
    "steps": 6000, "batch_size": 128, "lr": 6e-4, "betas": (0.9, 0.999), "weight_decay": 0.1,
    "encoder_weight_decay": 0.1, "warmup_steps": 240, "ema": "none",
}  # fmt: skip
# A whole ResNet-10 takes 1.5 s for 64 frames of 58 pixels, forward and back, on one core of an AVX2 CPU; a quarter of
# its channels without the last stage take 0.07 s, and leave a map of 4 x 4 places rather than 2 x 2.
_SMALL_BACKBONE: dict[str, Any] = {"backbone": "resnet10t", "width": 0.25, "stages": 3}
_SMALL_JEPA = {
    "dim": 128, "heads": 4, "ffn_dim": 512, "encoder_layers": 2, "predictor_dim": 64, "predictor_ffn_dim": 256,
    "predictor_layers": 2,
}  # fmt: skip

PRESETS = (
    Preset(
        "act_state_small",
        ActConfig(Tp=16, Ta=8, dim=128, heads=4, ffn_dim=512, encoder_layers=2, style_layers=2),
        Recipe(steps=15_000, batch_size=64, lr=3e-4, betas=(0.9, 0.999), weight_decay=1e-4, warmup_steps=200),
        images=False,
        about="ACT from state, about 1 M parameters, chunks of 16, for one CPU core",
    ),
    Preset(
        "act_state",
        ActConfig(),
        Recipe(steps=100_000, batch_size=8, **_PUBLISHED_ACT),  # type: ignore[arg-type]
        images=False,
        about="ACT from state, transformers as published",
    ),
    Preset(
        "act_image_small",
        ActConfig(
            Tp=16,
            Ta=8,
            dim=128,
            heads=4,
            ffn_dim=512,
            encoder_layers=2,
            style_layers=2,
            vision=MapConfig(image_size=(96, 96), crop=0.9, **_SMALL_BACKBONE),
        ),
        Recipe(steps=20_000, batch_size=32, lr=3e-4, betas=(0.9, 0.999), weight_decay=1e-4, encoder_weight_decay=1e-4),
        images=True,
        about="ACT from images with a narrow ResNet-10 and transformers, chunks of 16, for CPUs",
    ),
    Preset(
        "act_image",
        ActConfig(),
        Recipe(steps=100_000, batch_size=8, **_PUBLISHED_ACT),  # type: ignore[arg-type]
        images=True,
        about="ACT from images, as published, its ResNet-18 trained from scratch",
    ),
    Preset(
        "act_jepa_state_small",
        ActJepaConfig(Tp=16, Ta=8, future=16, **_SMALL_JEPA),  # type: ignore[arg-type]
        Recipe(steps=15_000, batch_size=64, lr=3e-4, betas=(0.9, 0.999), weight_decay=1e-2, ema="none"),
        images=False,
        about="ACT-JEPA from state, narrow, chunks of 16, for one CPU core",
    ),
    Preset(
        "act_jepa_state",
        ActJepaConfig(),
        Recipe(**_PUBLISHED_JEPA),  # type: ignore[arg-type]
        images=False,
        about="ACT-JEPA from state, transformers as published",
    ),
    Preset(
        "act_jepa_image_small",
        ActJepaConfig(
            Tp=16,
            Ta=8,
            future=16,
            vision=MapConfig(image_size=(96, 96), crop=0.9, **_SMALL_BACKBONE),
            **_SMALL_JEPA,  # type: ignore[arg-type]
        ),
        Recipe(steps=20_000, batch_size=32, lr=3e-4, betas=(0.9, 0.999), weight_decay=1e-2, ema="none"),
        images=True,
        about="ACT-JEPA from images with a narrow ResNet-10 and transformers, for CPUs",
    ),
    Preset(
        "act_jepa_image",
        ActJepaConfig(),
        Recipe(**_PUBLISHED_JEPA),  # type: ignore[arg-type]
        images=True,
        about="ACT-JEPA from images, as published, its ResNet-18 trained from scratch",
    ),
    Preset(
        "diffusion_unet_state_small",
        DiffusionUNetConfig(dims=(32, 64, 128), step_dim=64),
        Recipe(steps=15_000, batch_size=64, lr=1e-3, warmup_steps=200),
        images=False,
        about="U-Net from state, about 1 M parameters: good policies in minutes on one CPU core",
    ),
    Preset(
        "diffusion_transformer_state_small",
        DiffusionTransformerConfig(
            Tp=16,
            layers=4,
            heads=4,
            dim=128,
            attention_dropout=0.0,
            causal=False,
            init="width",
        ),
        Recipe(steps=15_000, batch_size=64, lr=1e-3, **_SMALL_TRANSFORMER),  # type: ignore[arg-type]
        images=False,
        about="transformer from state, about 1 M parameters, for one CPU core",
    ),
    Preset(
        "flow_unet_state_small",
        FlowUNetConfig(dims=(32, 64, 128), step_dim=64),
        Recipe(steps=15_000, batch_size=64, lr=1e-3, warmup_steps=200),
        images=False,
        about="flow matching with the small U-Net, from state, for one CPU core",
    ),
    Preset(
        "diffusion_unet_image_cpu",
        DiffusionUNetConfig(
            dims=(32, 64, 128),
            step_dim=64,
            vision=VisionConfig(**_SMALL_BACKBONE),
        ),
        Recipe(steps=10_000, batch_size=32, lr=3e-4),
        images=True,
        about="a narrow ResNet-10 and the small U-Net, for CPUs",
    ),
    Preset(
        "diffusion_unet_state",
        DiffusionUNetConfig(sampler="ddpm", inference_steps=100, pad_after=_PAD_AFTER),
        Recipe(steps=500_000, batch_size=256),
        images=False,
        about="U-Net from state, as published",
    ),
    Preset(
        "diffusion_transformer_state",
        DiffusionTransformerConfig(sampler="ddpm", inference_steps=100, pad_after=_PAD_AFTER),
        Recipe(steps=500_000, batch_size=256, **_PUBLISHED_TRANSFORMER),  # type: ignore[arg-type]
        images=False,
        about="transformer from state, as published",
    ),
    Preset(
        "diffusion_unet_image_small",
        DiffusionUNetConfig(dims=(64, 128, 256), step_dim=64),
        Recipe(steps=20_000, batch_size=32, lr=3e-4),
        images=True,
        about="ResNet-18 and a small U-Net, for one small GPU",
    ),
    Preset(
        "diffusion_unet_image",
        DiffusionUNetConfig(
            dims=(512, 1024, 2048), step_dim=128, sampler="ddpm", inference_steps=100, pad_after=_PAD_AFTER
        ),
        Recipe(steps=300_000, batch_size=64),
        images=True,
        about="ResNet-18 and U-Net from images, as published",
    ),
    Preset(
        "diffusion_transformer_image",
        DiffusionTransformerConfig(sampler="ddpm", inference_steps=100, pad_after=_PAD_AFTER, vision=VisionConfig()),
        Recipe(steps=300_000, batch_size=64, **_PUBLISHED_TRANSFORMER),  # type: ignore[arg-type]
        images=True,
        about="ResNet-18 and transformer from images, as published",
    ),
    Preset(
        "beso_state_small",
        BesoConfig(**_SMALL_BESO),  # type: ignore[arg-type]
        Recipe(steps=15_000, batch_size=64, lr=2e-3, betas=(0.9, 0.999), weight_decay=1e-3, warmup_steps=200),
        images=False,
        about="BESO from state, chunks, under 1 M parameters, 3 steps: for one CPU core",
    ),
    Preset(
        "beso_state",
        BesoConfig(To=4, Tp=4, Ta=1, goal=2, guidance=1.5, sampler="euler_ancestral"),
        Recipe(steps=40_000, batch_size=1024, **_PUBLISHED_BESO),  # type: ignore[arg-type]
        images=False,
        about="BESO from state towards goals, as published for the kitchen: one action at a time, 3 steps",
    ),
    Preset(
        "beso_image_small",
        BesoConfig(**_SMALL_BESO, vision=VisionConfig(**_SMALL_BACKBONE)),  # type: ignore[arg-type]
        Recipe(steps=10_000, batch_size=32, lr=3e-4, betas=(0.9, 0.999), weight_decay=1e-3),
        images=True,
        about="BESO from images, chunks, with a narrow ResNet-10, for CPUs",
    ),
    Preset(
        "beso_image",
        BesoConfig(To=4, Tp=4, Ta=1, goal=2, guidance=1.5, sampler="euler_ancestral"),
        Recipe(steps=40_000, batch_size=128, **_PUBLISHED_BESO),  # type: ignore[arg-type]
        images=True,
        about="BESO's published network and training behind a ResNet-18, towards goals given as images",
    ),
    Preset(
        "mse_state_small",
        MseConfig(),
        Recipe(steps=15_000, batch_size=64, lr=1e-3, warmup_steps=200),
        images=False,
        about="regression from state, to compare with: where demonstrations differ, it does what lies between",
    ),
)


def preset(name: str) -> Preset:
    """The preset called `name`, or UnknownName with the closest match."""
    for candidate in PRESETS:
        if candidate.name == name:
            return candidate
    raise unknown_name("policy preset", name, [p.name for p in PRESETS])
