"""Configuration of ACT."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import ClassVar, Literal

from robot_learning.data.windows import WindowSpec
from robot_learning.errors import ConfigError
from robot_learning.policies.config import Method, Norm, PolicyConfig, require_crop, require_size

DECAY = 0.01  # of ensembling, m: the weight of the i-th oldest chunk is exp(-m i), so the oldest weighs most


@dataclass(frozen=True)
class MapConfig:
    """The backbone whose feature map becomes tokens, one of its own for each camera.

    Attributes:
        image_size: (H, W) [px] that images are resized to; None keeps the recorded size.
        crop: side of the random crop (training) or centre crop (use), as a fraction of the image's side; 1: none.
        backbone: a timm model with a feature map and BatchNorm, such as `resnet18`.
        width, stages: as those of `policies.config.VisionConfig`.
        norm: `group`, or `frozen_batch` as published. Frozen statistics are those of pretrained weights: a backbone
            that is trained from scratch, as ours are, would not be normalised at all, so the default is `group`.
    """

    image_size: tuple[int, int] | None = None
    crop: float = 1.0
    backbone: str = "resnet18"
    width: float = 1.0
    stages: int = 4
    norm: Norm = "group"

    def __post_init__(self) -> None:
        require_crop(self.crop)
        require_size(self.width, self.stages)


@dataclass(frozen=True, kw_only=True)
class ActConfig(PolicyConfig):
    """Sizes as published, but for the layers of the decoder.

    Attributes:
        dim: width of a token.
        heads: attention heads.
        ffn_dim: width inside a layer's feed-forward part.
        dropout: in all layers, in training.
        encoder_layers: of the transformer over observations.
        decoder_layers: of the transformer over actions. The original names 7 but uses the output of the first only,
            an indexing error; here each counts, so 1 is what was published.
        style_layers: of the CVAE's encoder.
        style_dim: values of z.
        cvae: learn a style z; False: z = 0 in training, too.
        kl_weight: beta of the loss.
        l1_over: divide the L1 loss by its `real` actions, or by `all`, the padded included, as the original does: then
            windows at an episode's end count for less.
        vector_tokens: `one` token for all vectors that are observed side by side, as published, or one for `each`, as
            LeRobot has them.
        vision: the backbone.
    """

    policy: ClassVar[str] = "act"

    To: int = 1
    Tp: int = 100
    Ta: int = 100
    default_method: Method = "z_score"
    dim: int = 512
    heads: int = 8
    ffn_dim: int = 3200
    dropout: float = 0.1
    encoder_layers: int = 4
    decoder_layers: int = 1
    style_layers: int = 4
    style_dim: int = 32
    cvae: bool = True
    kl_weight: float = 10.0
    l1_over: Literal["real", "all"] = "real"
    vector_tokens: Literal["one", "each"] = "one"
    vision: MapConfig = field(default_factory=MapConfig)

    @property
    def spec(self) -> WindowSpec:
        """The first action belongs to the newest observation."""
        return WindowSpec(self.To, self.Tp, action_offset=0, pad_after=self.pad_after)

    def __post_init__(self) -> None:
        super().__post_init__()
        require_one_observation(self)
        require_width(self.dim, self.heads)
        layers = (self.encoder_layers, self.decoder_layers, self.style_layers)
        if min(*layers, self.style_dim) < 1:
            raise ConfigError(f"layers and style_dim are at least 1; got {layers} and style_dim={self.style_dim}.")


def require_one_observation(config: PolicyConfig) -> None:
    """Raise ConfigError for more than one."""
    if config.To != 1:
        raise ConfigError(f"policy '{config.policy}' sees the newest observation only: To must be 1; got {config.To}.")


def require_width(dim: int, heads: int) -> None:
    """Raise ConfigError where tokens can't be split over heads, or have no room for 2-D positions."""
    if dim % 4 or dim % heads:
        raise ConfigError(f"dim must be divisible by 4 and by heads = {heads}; got {dim}.")
