"""What image encoders share: a backbone of timm with a normalisation of our choice, crops, statistics of pixels."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from robot_learning.errors import ConfigError, unknown_name
from robot_learning.policies import noise
from robot_learning.policies.config import Norm
from robot_learning.policies.map_convolution import use_map_convolutions

IMAGENET_MEAN, IMAGENET_STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


_RESNETS = ("resnet10t", "resnet18", "resnet34")  # timm's without bottlenecks
_RESNET_CHANNELS, _DEEP_STEM = (64, 128, 256, 512), 32  # theirs; the stem's of resnet10t, which has several layers
STAGES = len(_RESNET_CHANNELS)


def make_backbone(name: str, norm: Norm, width: float = 1.0, stages: int = STAGES) -> Any:
    """A network of timm, (N, 3, H, W) to its last feature map, with fresh weights.

    Args:
        width: of a ResNet, times the channels of each stage.
        stages: of a ResNet, how many are kept; each one after the first halves the map.

    Raises:
        UnknownName: timm has no such model.
        ConfigError: it is no ResNet, and a width or number of stages is asked for.
    """
    import timm  # brings torchvision: 100 MB that policies without images are spared

    known = timm.list_models()
    if name not in known:
        raise unknown_name("timm backbone", name, known)
    more: dict[str, Any] = {"norm_layer": _group_norm}
    if norm == "frozen_batch":  # zeros in a frozen norm would shut its residual branch for good
        more = {"norm_layer": _frozen_batch_norm, "zero_init_last": False}
    if (width != 1 or stages != STAGES) and name not in _RESNETS:
        raise ConfigError(f"vision.width and vision.stages are for backbones {', '.join(_RESNETS)}; got {name}.")
    if width != 1:
        more["channels"] = tuple(round(channels * width) for channels in _RESNET_CHANNELS)
        if name == "resnet10t":
            more["stem_width"] = round(_DEEP_STEM * width)
    backbone = timm.create_model(name, pretrained=False, num_classes=0, global_pool="", **more)
    for stage in range(stages, STAGES):
        setattr(backbone, f"layer{stage + 1}", nn.Identity())
    use_map_convolutions(backbone)
    # As the images, so that nothing is laid out anew for each step. (torch declares no such overload.)
    return backbone.to(memory_format=torch.channels_last)  # type: ignore[call-overload]


@torch.no_grad()
def map_shape(backbone: nn.Module, image_size: tuple[int, int]) -> tuple[int, int, int]:
    """(C, h, w) of the feature map that a backbone makes of an image."""
    channels, height, width = backbone(torch.zeros(1, 3, *image_size)).shape[1:]
    return channels, height, width


def register_statistics(module: nn.Module) -> None:
    """Give `module` buffers `mean` and `std`, (3, 1, 1): ImageNet's. In its weights, for an import may bring others."""
    module.register_buffer("mean", torch.tensor(IMAGENET_MEAN)[:, None, None])
    module.register_buffer("std", torch.tensor(IMAGENET_STD)[:, None, None])


def crop_size(image_size: tuple[int, int], crop: float | tuple[int, int]) -> tuple[int, int]:
    """(H, W) [px] of the crop of an image, see `VisionConfig.crop`; ConfigError where the image has no room for it."""
    if not isinstance(crop, tuple):
        return round(image_size[0] * crop), round(image_size[1] * crop)
    if crop[0] > image_size[0] or crop[1] > image_size[1]:
        raise ConfigError(f"vision.crop is at most the image's size {image_size} (H, W) [px]; got {crop}.")
    return crop


def cropped(images: Tensor, size: tuple[int, int], at_random: bool) -> Tensor:
    """(B, To, H, W, C) to (B, To, *size, C): each frame at a place of its own, or the centres."""
    return _random_crop(images, size) if at_random else _centre_crop(images, size)


def _random_crop(images: Tensor, size: tuple[int, int]) -> Tensor:
    B, To, height, width, _ = images.shape
    h, w = size
    device = images.device
    top = noise.integers(height - h + 1, (B, To, 1), device) + torch.arange(h, device=device)
    left = noise.integers(width - w + 1, (B, To, 1), device) + torch.arange(w, device=device)
    b, t = torch.arange(B, device=device)[:, None], torch.arange(To, device=device)
    return images[b[..., None, None], t[:, None, None], top[..., :, None], left[..., None, :]]


def _centre_crop(images: Tensor, size: tuple[int, int]) -> Tensor:
    (height, width), (h, w) = images.shape[-3:-1], size
    top, left = (height - h) // 2, (width - w) // 2
    return images[..., top : top + h, left : left + w, :]


def _group_norm(channels: int, **where: Any) -> nn.GroupNorm:
    return nn.GroupNorm(max(1, channels // 16), channels, **where)


def _frozen_batch_norm(channels: int, **where: Any) -> nn.Module:
    from torchvision.ops import FrozenBatchNorm2d

    return FrozenBatchNorm2d(channels).to(**where)
