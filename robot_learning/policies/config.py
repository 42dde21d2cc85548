"""What every policy's configuration has; free of torch, so that `--help` is quick."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import ClassVar, Literal

from robot_learning.data.windows import WindowSpec
from robot_learning.errors import ConfigError

Method = Literal["min_max", "z_score", "quantile", "identity"]
Norm = Literal["group", "frozen_batch"]


@dataclass(frozen=True)
class VisionConfig:
    """The image encoder of each camera.

    Attributes:
        image_size: (H, W) [px] that images are resized to; None keeps the recorded size.
        crop: size of the random crop (training) or centre crop (use): a fraction of the image's sides, or (H, W) [px].
        backbone: a timm model with a feature map and BatchNorm, such as `resnet18`.
        width: of a ResNet, times the channels of each of its stages.
        stages: of a ResNet, how many of its four are kept; the map is finer with each one less.
        norm: of the backbone: `group`, or `frozen_batch`, whose statistics are those of trained weights that are
            brought along.
        pixels: `range`: colours to [-1, 1]; `statistics`: less the mean over the standard deviation of each colour,
            which are kept with the weights: ImageNet's, where an imported policy brings no others.
        keypoints: spatial softmax keypoints.
        feature_dim: output values per camera and frame.
        activation: what these go through: nothing (`none`), or `relu`.
    """

    image_size: tuple[int, int] | None = (84, 84)
    crop: float | tuple[int, int] = 0.9
    backbone: str = "resnet18"
    width: float = 1.0
    stages: int = 4
    norm: Norm = "group"
    pixels: Literal["range", "statistics"] = "range"
    keypoints: int = 32
    feature_dim: int = 64
    activation: Literal["none", "relu"] = "none"

    def __post_init__(self) -> None:
        require_crop(self.crop)
        require_size(self.width, self.stages)


def require_size(width: float, stages: int) -> None:
    """Raise ConfigError for a backbone of no width, or of more or fewer stages than ResNets have."""
    if width <= 0:
        raise ConfigError(f"vision.width times a backbone's channels is above 0, such as 0.25; got {width}.")
    if not 1 <= stages <= 4:
        raise ConfigError(f"vision.stages is from 1 to 4, which is all that a ResNet has; got {stages}.")


def require_crop(crop: float | tuple[int, int]) -> None:
    """Raise ConfigError for a crop that is neither a fraction nor a size in pixels."""
    if isinstance(crop, tuple):
        if min(crop) < 1:
            raise ConfigError(f"vision.crop as height and width [px] is at least 1 each; got {crop}.")
    elif not 0 < crop <= 1:
        raise ConfigError(f"vision.crop is a fraction of the image's side in (0, 1]; got {crop}.")


@dataclass(frozen=True, kw_only=True)
class PolicyConfig:
    """Horizons and normalisation.

    Attributes:
        To: observations that a policy sees (policy steps, the newest included).
        Tp: actions that it predicts; see `spec` for where the first one belongs.
        Ta: actions executed before it predicts anew, the first due at the newest observation.
        normalization: feature name to method.
        default_method: that of the features not named there.
        relative: pairs of an action feature and an observation feature that it is learned relative to, as that one
            is in the newest observation; `action ee_position action ee_orientation` for an action that is a pose. The
            observation stands for the first part of the action with its units; parts that none stands for, and all
            where there are no pairs, are absolute. `predict` returns absolute actions in any case.
        pad_after: windows with more actions past their episode's end, which repeat its last one, are not learned from;
            None: all are. They teach to hold still where demonstrations end; Diffusion Policy's code has Ta - 1.
    """

    policy: ClassVar[str]

    To: int = 2
    Tp: int = 16
    Ta: int = 8
    normalization: dict[str, Method] = field(default_factory=dict)
    default_method: Method = "min_max"
    relative: tuple[tuple[str, str], ...] = ()
    pad_after: int | None = None

    @property
    def spec(self) -> WindowSpec:
        """The window; the first action belongs to the oldest observation, unless a policy says otherwise."""
        return WindowSpec(self.To, self.Tp, pad_after=self.pad_after)

    @property
    def learns_actions(self) -> bool:
        """Whether training reads actions; recordings without any do where it doesn't."""
        return True

    @property
    def future_images(self) -> bool:
        """Whether the window's future, if there is one, is of the images rather than of the vectors observed."""
        return False

    def __post_init__(self) -> None:
        if min(self.To, self.Tp, self.Ta) < 1:
            raise ConfigError(f"horizons must be at least 1; got To={self.To}, Tp={self.Tp}, Ta={self.Ta}.")
        if (room := self.Tp + self.spec.first_action) < self.Ta:
            raise ConfigError(
                f"Ta must be at most {room}: of Tp = {self.Tp} predicted actions so many are not past "
                f"with To = {self.To}; got {self.Ta}."
            )
