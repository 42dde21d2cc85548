"""Convolutions as matrix products: the same numbers and gradients as torch's own."""

import pytest
import torch
from torch import nn

from robot_learning.policies.diffusion import convolution
from robot_learning.policies.diffusion.convolution import TimeConvolution, TimeExpansion


@pytest.mark.parametrize(
    "layer",
    [
        TimeConvolution(3, 5, 5, padding=2),
        TimeConvolution(3, 5, 1),
        TimeConvolution(3, 3, 3, stride=2, padding=1),
        TimeConvolution(3, 5, 5, padding=2, bias=False),
        TimeExpansion(3, 5),
    ],
    ids=["kernel 5", "kernel 1", "stride 2", "no bias", "expansion"],
)
@pytest.mark.parametrize("length", [2, 8, 16])
def test_products_are_the_convolution_and_so_are_their_gradients(layer: nn.Module, length: int, monkeypatch):
    layer = layer.double()
    x = torch.randn(4, 3, length, dtype=torch.float64, generator=torch.Generator().manual_seed(0), requires_grad=True)
    inputs = [x, *layer.parameters()]
    plain = layer(x)
    weights = torch.randn(plain.shape, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    wanted = torch.autograd.grad((plain * weights).sum(), inputs)

    monkeypatch.setattr(convolution, "_as_products", lambda x: True)
    products = layer(x)
    torch.testing.assert_close(products, plain)
    for mine, theirs in zip(torch.autograd.grad((products * weights).sum(), inputs), wanted, strict=True):
        torch.testing.assert_close(mine, theirs)
