"""Configuration of ACT-JEPA."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import ClassVar, Literal

from robot_learning.data.windows import WindowSpec
from robot_learning.errors import ConfigError
from robot_learning.policies.act.config import MapConfig, require_one_observation, require_width
from robot_learning.policies.config import Method, PolicyConfig


@dataclass(frozen=True, kw_only=True)
class ActJepaConfig(PolicyConfig):
    """Sizes as published.

    Attributes:
        future: steps after the newest observation whose latents are predicted.
        target: what these latents are of: the robot's `state`, as published, or its `image`s, our extension.
        dim, ffn_dim: width of a token and inside a layer's feed-forward part, of encoders and action decoder.
        heads: attention heads, everywhere.
        dropout: in all layers, in training.
        encoder_layers: of context and target encoder.
        predictor_dim, predictor_ffn_dim, predictor_layers: of the predictor.
        decoder_layers: of the action decoder.
        momentum: the target encoder's, from the first to the last step, linear between them.
        latent_weight: of the latents' loss beside that of the actions; 1 as published, 0 for a comparison without it.
        pretrain: learn latents only; actions are not read and need not be there, and the policy can't act.
        vision: the backbone.
    """

    policy: ClassVar[str] = "act_jepa"

    To: int = 1
    Tp: int = 30
    Ta: int = 30
    default_method: Method = "z_score"
    future: int = 30
    target: Literal["state", "image"] = "state"
    dim: int = 512
    ffn_dim: int = 2048
    heads: int = 8
    dropout: float = 0.1
    encoder_layers: int = 4
    predictor_dim: int = 128
    predictor_ffn_dim: int = 512
    predictor_layers: int = 4
    decoder_layers: int = 1
    momentum: tuple[float, float] = (0.996, 1.0)
    latent_weight: float = 1.0
    pretrain: bool = False
    vision: MapConfig = field(default_factory=MapConfig)

    @property
    def spec(self) -> WindowSpec:
        """The first action belongs to the newest observation."""
        return WindowSpec(self.To, self.Tp, action_offset=0, future=self.future, pad_after=self.pad_after)

    @property
    def future_images(self) -> bool:
        """Whether latents are of images."""
        return self.target == "image"

    @property
    def learns_actions(self) -> bool:
        """Not in pre-training."""
        return not self.pretrain

    def __post_init__(self) -> None:
        super().__post_init__()
        require_one_observation(self)
        require_width(self.dim, self.heads)
        require_width(self.predictor_dim, self.heads)
        if min(self.future, self.encoder_layers, self.predictor_layers, self.decoder_layers) < 1:
            raise ConfigError("future and the numbers of layers are at least 1.")
        if not all(0 <= m <= 1 for m in self.momentum):
            raise ConfigError(f"momentum is two numbers in [0, 1]; got {self.momentum}.")
        if self.latent_weight < 0 or (self.pretrain and self.latent_weight == 0):
            raise ConfigError(
                f"latent_weight is at least 0, and more than 0 where pretrain learns nothing else; got "
                f"{self.latent_weight:g}."
            )
