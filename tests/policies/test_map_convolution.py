"""Convolutions of small maps as products: the numbers and gradients of torch's own, for training on CPUs only."""

import pytest
import torch
from torch import nn

from robot_learning.policies.backbone import make_backbone
from robot_learning.policies.map_convolution import MapConvolution


@pytest.mark.parametrize(
    "options",
    [
        {"kernel_size": 3, "padding": 1},
        {"kernel_size": 3, "padding": 1, "stride": 2},
        {"kernel_size": 1, "stride": 2, "bias": False},
        {"kernel_size": (3, 2), "padding": (1, 0), "stride": (1, 2)},
    ],
)
@pytest.mark.parametrize("size", [(2, 2), (3, 5), (6, 6)])
def test_products_are_the_convolution_and_so_are_their_gradients(options, size):
    layer = MapConvolution(3, 5, **options).double().to(memory_format=torch.channels_last)
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(4, 3, *size, dtype=torch.float64, generator=generator, requires_grad=True)
    inputs = [x, *layer.parameters()]
    plain = layer.eval()(x)
    weights = torch.randn(plain.shape, dtype=torch.float64, generator=generator)
    wanted = torch.autograd.grad((plain * weights).sum(), inputs)
    products = layer.products(x)
    torch.testing.assert_close(products, plain)
    for mine, theirs in zip(torch.autograd.grad((products * weights).sum(), inputs), wanted, strict=True):
        torch.testing.assert_close(mine, theirs)


def test_only_small_maps_in_training_go_this_way(monkeypatch):
    layer, taken = MapConvolution(3, 4, 3, padding=1), []
    products = layer.products
    monkeypatch.setattr(layer, "products", lambda x: taken.append(x.shape) or products(x))
    layer.train()(torch.randn(1, 3, 6, 6))
    layer(torch.randn(1, 3, 6, 7))
    layer.eval()(torch.randn(1, 3, 6, 6))
    assert taken == [(1, 3, 6, 6)]


def test_a_backbone_s_weights_keep_their_names_and_its_gradients_their_weights_layout():
    backbone = make_backbone("resnet10t", "group").train()
    assert any(isinstance(m, MapConvolution) for m in backbone.modules())
    names = set(backbone.state_dict())
    assert {"conv1.0.weight", "layer4.0.conv2.weight"} <= names
    backbone(torch.randn(2, 3, 64, 64).contiguous(memory_format=torch.channels_last)).sum().backward()
    last: nn.Module = backbone.layer4[0].conv2
    assert last.weight.grad.stride() == last.weight.stride()
