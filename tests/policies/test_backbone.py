"""Image backbones: how wide, how many stages, and what is refused."""

import pytest
import torch

from robot_learning.errors import ConfigError, UnknownName
from robot_learning.policies.backbone import make_backbone, map_shape
from robot_learning.policies.config import VisionConfig


@pytest.mark.parametrize(
    ("name", "width", "stages", "shape"),
    [
        ("resnet10t", 1.0, 4, (512, 3, 3)),
        ("resnet10t", 0.25, 3, (64, 5, 5)),
        ("resnet18", 0.5, 2, (64, 10, 10)),
    ],
)
def test_a_resnet_is_as_wide_and_deep_as_asked(name, width, stages, shape):
    backbone = make_backbone(name, "group", width, stages)
    assert map_shape(backbone, (76, 76)) == shape
    backbone(torch.rand(2, 3, 76, 76)).square().mean().backward()
    assert all(p.grad is not None for p in backbone.parameters())  # no stage is kept that nothing goes through


@pytest.mark.parametrize(("width", "stages"), [(0.5, 4), (1.0, 3)])
def test_other_backbones_have_one_size(width, stages):
    with pytest.raises(ConfigError, match=r"resnet18.*got mobilenetv3_small_050"):
        make_backbone("mobilenetv3_small_050", "group", width, stages)


def test_a_misspelt_backbone_is_answered_with_the_closest():
    with pytest.raises(UnknownName, match="did you mean 'resnet18'"):
        make_backbone("resnet_18", "group")


@pytest.mark.parametrize(("more", "said"), [({"width": 0.0}, "above 0"), ({"stages": 5}, "from 1 to 4")])
def test_a_size_that_no_backbone_has_is_refused(more, said):
    with pytest.raises(ConfigError, match=said):
        VisionConfig(**more)
