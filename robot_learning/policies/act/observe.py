"""Observations to tokens: the robot's state is one, each place of a camera's feature map is one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn

from robot_learning.contract import Contract
from robot_learning.errors import ConfigError, unknown_name
from robot_learning.policies.act.config import ActConfig, MapConfig
from robot_learning.policies.act.positions import map_positions
from robot_learning.policies.backbone import crop_size, cropped, make_backbone, map_shape, register_statistics
from robot_learning.policies.encoders import image_shape
from robot_learning.policies.features import FeatureVector
from robot_learning.policies.normalizer import Normalizer
from robot_learning.policies.view import View


class FeatureMap(nn.Module):
    """Backbone and 1x1 convolution of one camera.

    Attributes:
        size: (h, w) of the map.
    """

    mean: Tensor
    std: Tensor

    def __init__(self, image_size: tuple[int, int], dim: int, vision: MapConfig) -> None:
        super().__init__()
        self.image_size = image_size
        self.crop_size = crop_size(image_size, vision.crop)
        self.backbone = make_backbone(vision.backbone, vision.norm, vision.width, vision.stages)
        channels, height, width = map_shape(self.backbone, self.crop_size)
        self.size = (height, width)
        self.project = nn.Conv2d(channels, dim, kernel_size=1)
        register_statistics(self)

    def forward(self, images: Tensor) -> Tensor:
        """(N, H, W, 3) uint8 to (N, h * w, dim); crops at random in training mode, else the centre."""
        if self.crop_size != self.image_size:
            images = cropped(images[:, None], self.crop_size, self.training)[:, 0]
        x = (images.permute(0, 3, 1, 2).to(self.mean.dtype) / 255.0 - self.mean) / self.std
        x = self.project(self.backbone(x.contiguous(memory_format=torch.channels_last)))
        return x.flatten(2).transpose(1, 2)


class Cameras(nn.Module):
    """The feature maps of all cameras side by side.

    Attributes:
        positions: (M, dim), of the M tokens of one frame of each camera.
    """

    positions: Tensor

    def __init__(self, contract: Contract, view: View, dim: int, vision: MapConfig) -> None:
        super().__init__()
        self.names = [n for n in view.observations if contract.spec_of(n).is_image]
        self.sizes = {n: view.image_size or image_shape(contract, n) for n in self.names}
        self.maps = nn.ModuleDict({n: FeatureMap(self.sizes[n], dim, vision) for n in self.names})
        parts = [map_positions(*map.size, dim) for map in self.maps.values()]  # type: ignore[misc, call-arg]
        self.register_buffer("positions", torch.cat([torch.zeros(0, dim), *parts]), persistent=False)

    def forward(self, images: Mapping[str, Tensor]) -> list[Tensor]:
        """Feature name to (N, H, W, 3) uint8, to (N, h * w, dim) of each camera in order."""
        tokens = []
        for name, map in self.maps.items():
            frames = images[name]
            if tuple(frames.shape[1:3]) != self.sizes[name]:
                raise ConfigError(
                    f"images of '{name}' must be {self.sizes[name]} pixels (H, W) as in training; "
                    f"got {tuple(frames.shape[1:3])}."
                )
            tokens.append(map(frames))
        return tokens


class EachVector(nn.ModuleList):
    """Vectors side by side to one token for each."""

    def __init__(self, sizes: Sequence[int], dim: int) -> None:
        super().__init__(nn.Linear(size, dim) for size in sizes)
        self.sizes = list(sizes)

    def forward(self, x: Tensor) -> Tensor:
        """(B, 1, sum of sizes) to (B, V, dim)."""
        return torch.cat([token(part) for token, part in zip(self, x.split(self.sizes, dim=-1), strict=True)], dim=1)


class ObservationTokens(nn.Module):
    """The newest observation as V + M tokens, those of the vectors first.

    Attributes:
        vectors: V; see `ActConfig.vector_tokens`.
    """

    def __init__(self, contract: Contract, view: View, normalizer: Normalizer, config: ActConfig) -> None:
        super().__init__()
        self.vector = state_vector(contract, view, normalizer)
        sizes = [encoding.dim for encoding in self.vector.encodings.values()]
        each = config.vector_tokens == "each"
        self.state = EachVector(sizes, config.dim) if each else nn.Linear(self.vector.dim, config.dim)
        self.vectors = len(sizes) if each else 1
        self.cameras = Cameras(contract, view, config.dim, config.vision)

    def forward(self, observation: Mapping[str, Tensor]) -> Tensor:
        """Feature name to (B, 1, *shape) raw, to (B, V + M, dim)."""
        require_features(observation, (*self.vector.names, *self.cameras.names))
        images = self.cameras({n: observation[n][:, -1] for n in self.cameras.names})
        return torch.cat([self.state(self.vector(observation)), *images], dim=1)


def state_vector(contract: Contract, view: View, normalizer: Normalizer) -> FeatureVector:
    """The proprioceptive state: all vectors that are observed.

    Raises:
        ConfigError: there is none.
    """
    names = [n for n in view.observations if not contract.spec_of(n).is_image]
    if not names:
        raise ConfigError(f"this policy reads the robot's state beside its images; got only {list(view.observations)}.")
    return FeatureVector(contract, names, normalizer)


def require_features(observation: Mapping[str, Tensor], names: tuple[str, ...]) -> None:
    """Raise UnknownName for the first of `names` that is not observed."""
    for name in names:
        if name not in observation:
            raise unknown_name("observation: the policy needs", name, observation)
