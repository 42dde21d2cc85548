"""Configuration of Diffusion Policy's two forms."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import ClassVar, Literal

from robot_learning.errors import ConfigError
from robot_learning.policies.config import PolicyConfig, VisionConfig


@dataclass(frozen=True, kw_only=True)
class DiffusionConfig(PolicyConfig):
    """What both denoisers share.

    Attributes:
        K: diffusion steps in training.
        sampler: `ddpm` (Ho et al., 2020) or `ddim` (Song et al., 2021, eta = 0).
        inference_steps: denoising steps when predicting, at most K.
        vision: the image encoder.
    """

    K: int = 100
    sampler: Literal["ddpm", "ddim"] = "ddim"
    inference_steps: int = 10
    vision: VisionConfig = field(default_factory=VisionConfig)

    def __post_init__(self) -> None:
        super().__post_init__()
        if not 1 <= self.inference_steps <= self.K:
            raise ConfigError(f"inference_steps must be 1 to K = {self.K}; got {self.inference_steps}.")


@dataclass(frozen=True, kw_only=True)
class DiffusionUNetConfig(DiffusionConfig):
    """The 1-D convolutional U-Net (sec. III-A of the paper).

    Attributes:
        dims: channels of each level; each level but the last halves the time axis.
        step_dim: width of the diffusion step's embedding.
        kernel_size: of the convolutions, in time steps.
        groups: of the group normalisation.
    """

    policy: ClassVar[str] = "diffusion_unet"

    dims: tuple[int, ...] = (256, 512, 1024)
    step_dim: int = 256
    kernel_size: int = 5
    groups: int = 8

    def __post_init__(self) -> None:
        super().__post_init__()
        factor = 2 ** (len(self.dims) - 1)
        if self.Tp % factor:
            near = max(1, round(self.Tp / factor)) * factor
            raise ConfigError(
                f"Tp must be divisible by {factor}, for {len(self.dims)} levels halve the time axis "
                f"{len(self.dims) - 1} times; got {self.Tp}, try {near}."
            )
        if bad := [d for d in self.dims if d % self.groups]:
            raise ConfigError(f"dims must be divisible by groups = {self.groups}; got {bad}.")


@dataclass(frozen=True, kw_only=True)
class DiffusionTransformerConfig(DiffusionConfig):
    """The time-series diffusion transformer (sec. III-A of the paper).

    Attributes:
        layers: decoder layers.
        heads: attention heads.
        dim: width of a token.
        attention_dropout: dropout inside the layers.
        embedding_dropout: dropout on the input tokens.
    """

    policy: ClassVar[str] = "diffusion_transformer"

    Tp: int = 10
    layers: int = 8
    heads: int = 4
    dim: int = 256
    attention_dropout: float = 0.3
    embedding_dropout: float = 0.0

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.dim % self.heads or self.dim % 2:
            raise ConfigError(f"dim must be even and divisible by heads = {self.heads}; got {self.dim}.")
