"""Observations to tokens: the robot's state is one, each place of a camera's feature map is one."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import timm
import torch
from torch import Tensor, nn
from torchvision.ops import FrozenBatchNorm2d

from robot_learning.contract import Contract
from robot_learning.errors import ConfigError, unknown_name
from robot_learning.policies.act.config import MapConfig
from robot_learning.policies.act.positions import map_positions
from robot_learning.policies.encoders import centre_crop, image_shape, random_crop
from robot_learning.policies.features import FeatureVector
from robot_learning.policies.normalizer import Normalizer
from robot_learning.policies.view import View

IMAGENET_MEAN, IMAGENET_STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


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
        self.crop_size = (round(image_size[0] * vision.crop), round(image_size[1] * vision.crop))
        known = timm.list_models()
        if vision.backbone not in known:
            raise unknown_name("timm backbone", vision.backbone, known)
        more: dict[str, Any] = {"norm_layer": _group_norm}
        if vision.norm == "frozen_batch":  # zeros in a frozen norm would shut its residual branch for good
            more = {"norm_layer": _frozen_batch_norm, "zero_init_last": False}
        self.backbone = timm.create_model(vision.backbone, pretrained=False, num_classes=0, global_pool="", **more)
        with torch.no_grad():
            _, channels, *size = self.backbone(torch.zeros(1, 3, *self.crop_size)).shape
        # As the images, so that nothing is laid out anew for each step. (torch declares no such overload.)
        self.backbone.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.size = (size[0], size[1])
        self.project = nn.Conv2d(channels, dim, kernel_size=1)
        # In the weights, for an imported policy may bring others.
        self.register_buffer("mean", torch.tensor(IMAGENET_MEAN)[:, None, None])
        self.register_buffer("std", torch.tensor(IMAGENET_STD)[:, None, None])

    def forward(self, images: Tensor) -> Tensor:
        """(N, H, W, 3) uint8 to (N, h * w, dim); crops at random in training mode, else the centre."""
        if self.crop_size != self.image_size:
            crop = random_crop if self.training else centre_crop
            images = crop(images[:, None], self.crop_size)[:, 0]
        x = (images.permute(0, 3, 1, 2).to(self.mean.dtype) / 255.0 - self.mean) / self.std
        x = self.project(self.backbone(x.contiguous(memory_format=torch.channels_last)))
        return x.flatten(2).transpose(1, 2)


def _group_norm(channels: int, **where: Any) -> nn.GroupNorm:
    return nn.GroupNorm(channels // 16, channels, **where)


def _frozen_batch_norm(channels: int, **where: Any) -> FrozenBatchNorm2d:
    return FrozenBatchNorm2d(channels).to(**where)


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


class ObservationTokens(nn.Module):
    """The newest observation as 1 + M tokens, the state's first."""

    def __init__(self, contract: Contract, view: View, normalizer: Normalizer, dim: int, vision: MapConfig) -> None:
        super().__init__()
        self.vector = state_vector(contract, view, normalizer)
        self.state = nn.Linear(self.vector.dim, dim)
        self.cameras = Cameras(contract, view, dim, vision)

    def forward(self, observation: Mapping[str, Tensor]) -> Tensor:
        """Feature name to (B, 1, *shape) raw, to (B, 1 + M, dim)."""
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
