"""Configuration of the regression policy."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import ClassVar

from robot_learning.errors import ConfigError
from robot_learning.policies.config import PolicyConfig, VisionConfig


@dataclass(frozen=True, kw_only=True)
class MseConfig(PolicyConfig):
    """A multi-layer perceptron from the observations to a chunk.

    Attributes:
        hidden: width of each hidden layer.
        vision: the image encoder.
    """

    policy: ClassVar[str] = "mse"

    hidden: tuple[int, ...] = (512, 512, 512)
    vision: VisionConfig = field(default_factory=VisionConfig)

    def __post_init__(self) -> None:
        super().__post_init__()
        if not self.hidden or min(self.hidden) < 1:
            raise ConfigError(f"hidden has at least one layer, each at least 1 wide; got {self.hidden}.")
