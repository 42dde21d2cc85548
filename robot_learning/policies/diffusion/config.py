"""Configuration of Diffusion Policy's forms: two denoisers, each under diffusion or flow matching."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import ClassVar, Literal, get_args

from robot_learning.errors import ConfigError, unknown_name
from robot_learning.policies.config import PolicyConfig, VisionConfig
from robot_learning.policies.initialize import Init

SamplerName = Literal["ddpm", "ddim", "dpm++"]
Prediction = Literal["epsilon", "sample", "v"]


@dataclass(frozen=True, kw_only=True)
class DenoisingConfig(PolicyConfig):
    """What all forms share.

    Attributes:
        inference_steps: denoising steps when predicting.
        vision: the image encoder.
    """

    inference_steps: int = 10
    vision: VisionConfig = field(default_factory=VisionConfig)

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.inference_steps < 1:
            raise ConfigError(f"inference_steps must be at least 1; got {self.inference_steps}.")


@dataclass(frozen=True, kw_only=True)
class DiffusionConfig(DenoisingConfig):
    """A diffusion process of K steps.

    Attributes:
        K: diffusion steps in training.
        prediction: what the denoiser predicts: the noise (`epsilon`), the actions themselves (`sample`) or the
            `v` of Salimans and Ho (2022).
        sampler: `ddpm` (Ho et al., 2020), `ddim` (Song et al., 2021, eta = 0) or `dpm++` (DPM-Solver++(2M), Lu et
            al., 2022), which needs the fewest steps.
    """

    K: int = 100
    prediction: Prediction = "epsilon"
    sampler: SamplerName = "ddim"

    def __post_init__(self) -> None:
        super().__post_init__()
        for kind, allowed in (("sampler", SamplerName), ("prediction", Prediction)):
            if (name := getattr(self, kind)) not in get_args(allowed):
                raise unknown_name(kind, name, get_args(allowed))
        if self.inference_steps > self.K:
            raise ConfigError(f"inference_steps must be 1 to K = {self.K}; got {self.inference_steps}.")
        every = self.K // self.inference_steps  # these samplers' steps are 0, every, 2 every, ...
        if self.sampler != "dpm++" and self.inference_steps * every < 0.75 * self.K:
            good = min((n for n in range(1, self.K + 1) if not self.K % n), key=lambda n: abs(n - self.inference_steps))
            raise ConfigError(
                f"{self.inference_steps} inference_steps of K = {self.K} would begin {self.sampler} at diffusion step "
                f"{every * (self.inference_steps - 1)}, where actions are not yet pure noise; choose {good}, or dpm++."
            )


@dataclass(frozen=True, kw_only=True)
class UNetConfig(DenoisingConfig):
    """The 1-D convolutional U-Net (sec. III-A of the paper).

    Attributes:
        dims: channels of each level; each level but the last halves the time axis.
        step_dim: width of the diffusion step's embedding.
        kernel_size: of the convolutions, in time steps.
        groups: of the group normalisation.
    """

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
class TransformerConfig(DenoisingConfig):
    """The time-series diffusion transformer (sec. III-A of the paper).

    Attributes:
        layers: decoder layers.
        heads: attention heads.
        dim: width of a token.
        attention_dropout: dropout inside the layers.
        embedding_dropout: dropout on the input tokens.
        causal: whether an action sees only those before it, as published. The noise of a chunk is better told by those
            who see all of it.
        init: of the weights, see `policies.initialize`; `gpt2` is what was published.
    """

    Tp: int = 10
    layers: int = 8
    heads: int = 4
    dim: int = 256
    attention_dropout: float = 0.3
    embedding_dropout: float = 0.0
    causal: bool = True
    init: Init = "gpt2"

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.dim % self.heads or self.dim % 2:
            raise ConfigError(f"dim must be even and divisible by heads = {self.heads}; got {self.dim}.")


# The network comes first, so that its defaults (Tp) are the ones that count.


@dataclass(frozen=True, kw_only=True)
class DiffusionUNetConfig(UNetConfig, DiffusionConfig):
    """Diffusion with the U-Net."""

    policy: ClassVar[str] = "diffusion_unet"


@dataclass(frozen=True, kw_only=True)
class DiffusionTransformerConfig(TransformerConfig, DiffusionConfig):
    """Diffusion with the transformer."""

    policy: ClassVar[str] = "diffusion_transformer"


@dataclass(frozen=True, kw_only=True)
class FlowUNetConfig(UNetConfig):
    """Flow matching with the U-Net."""

    policy: ClassVar[str] = "flow_unet"


@dataclass(frozen=True, kw_only=True)
class FlowTransformerConfig(TransformerConfig):
    """Flow matching with the transformer."""

    policy: ClassVar[str] = "flow_transformer"
