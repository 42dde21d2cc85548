"""Observations to one vector per time step: low-dimensional features, and images through one encoder per camera.

The image encoder is that of Diffusion Policy: ResNet-18 trained from scratch, GroupNorm in place of
BatchNorm (whose running statistics an average of weights spoils), spatial softmax (Levine et al., 2016,
sec. 5.2), random crops.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from robot_learning.contract import Contract
from robot_learning.errors import ConfigError, unknown_name
from robot_learning.policies.backbone import crop_size, cropped, make_backbone, map_shape, register_statistics
from robot_learning.policies.config import VisionConfig
from robot_learning.policies.features import FeatureVector
from robot_learning.policies.normalizer import Normalizer
from robot_learning.policies.view import View


class SpatialSoftmax(nn.Module):
    """Feature maps to the expected image position of each of `keypoints` soft arg-maxes."""

    def __init__(self, channels: int, keypoints: int) -> None:
        super().__init__()
        self.to_keypoints = nn.Conv2d(channels, keypoints, kernel_size=1, bias=False)  # softmax undoes a bias

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, H, W) to (N, 2 * keypoints), x and y of each keypoint in [-1, 1]."""
        x = self.to_keypoints(x)
        attention = x.flatten(-2).softmax(-1).view_as(x)
        across = torch.linspace(-1, 1, x.shape[-1], device=x.device, dtype=x.dtype)
        down = torch.linspace(-1, 1, x.shape[-2], device=x.device, dtype=x.dtype)
        position = [(attention.sum(-2) * across).sum(-1), (attention.sum(-1) * down).sum(-1)]
        return torch.stack(position, dim=-1).flatten(-2)


class ImageEncoder(nn.Module):
    """Backbone, spatial softmax and a linear layer, for one camera."""

    mean: Tensor
    std: Tensor

    def __init__(self, image_size: tuple[int, int], vision: VisionConfig) -> None:
        super().__init__()
        self.crop_size = crop_size(image_size, vision.crop)
        self.backbone = make_backbone(vision.backbone, vision.norm, vision.width, vision.stages)
        channels, height, width = map_shape(self.backbone, self.crop_size)
        if min(height, width) < 2:
            raise ConfigError(
                f"{vision.backbone} makes a {height}x{width} feature map of a {self.crop_size[0]}x{self.crop_size[1]} "
                "crop, in which no keypoint has a place to be; choose a larger config.vision.image-size."
            )
        self.pool = SpatialSoftmax(channels, vision.keypoints)
        self.project = nn.Linear(2 * vision.keypoints, vision.feature_dim)
        self.activation = nn.ReLU() if vision.activation == "relu" else nn.Identity()
        self.standardise = vision.pixels == "statistics"
        if self.standardise:
            register_statistics(self)

    def forward(self, images: Tensor) -> Tensor:
        """(B, To, H, W, 3) uint8 to (B, To, feature_dim); crops at random in training mode, else the centre."""
        lead = images.shape[:2]
        x = cropped(images, self.crop_size, self.training)
        x = x.flatten(0, 1).permute(0, 3, 1, 2).to(self.project.weight.dtype)
        x = (x / 255.0 - self.mean) / self.std if self.standardise else x / 127.5 - 1.0
        x = self.backbone(x.contiguous(memory_format=torch.channels_last))
        return self.activation(self.project(self.pool(x))).unflatten(0, lead)


def image_shape(contract: Contract, name: str) -> tuple[int, int]:
    """(H, W) of an image feature as recorded."""
    height, width, _ = contract.spec_of(name).shape
    return height, width


class ObservationEncoder(nn.Module):
    """Features of vectors and images side by side.

    Attributes:
        dim: values per time step.
        images: names of the features that go through an image encoder.
    """

    def __init__(self, contract: Contract, view: View, normalizer: Normalizer, vision: VisionConfig) -> None:
        super().__init__()
        self.images = view.images(contract)
        vectors = [name for name in view.observations if name not in self.images]
        self.vector = FeatureVector(contract, vectors, normalizer)
        self.image_sizes = {name: view.image_size or image_shape(contract, name) for name in self.images}
        self.cameras = nn.ModuleDict({name: ImageEncoder(size, vision) for name, size in self.image_sizes.items()})
        self.dim = self.vector.dim + vision.feature_dim * len(self.images)
        if not self.dim:
            raise ConfigError("a policy needs at least one observation feature; none is chosen.")

    def forward(self, observation: Mapping[str, Tensor]) -> Tensor:
        """Feature name to (B, To, *shape) raw, to (B, To, dim)."""
        for name in (*self.vector.names, *self.images):
            if name not in observation:
                raise unknown_name("observation: the policy needs", name, observation)
        parts = [self.vector(observation)] if self.vector.names else []
        for name, camera in self.cameras.items():
            frames = observation[name]
            if tuple(frames.shape[2:4]) != self.image_sizes[name]:
                raise ConfigError(
                    f"images of '{name}' must be {self.image_sizes[name]} pixels (H, W) as in training; "
                    f"got {tuple(frames.shape[2:4])}."
                )
            parts.append(camera(frames))
        return torch.cat(parts, dim=-1)
