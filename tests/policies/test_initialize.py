"""What `init: width` is for: values keep their size on the way through a narrow network."""

import pytest
import torch
from torch import nn

from robot_learning.policies.initialize import initialize


def made(init):
    torch.manual_seed(0)
    network = nn.Sequential(nn.Linear(100, 100), nn.Linear(100, 100))
    position = nn.Parameter(torch.empty(50, 100))
    initialize(network, init, [position], [network[1]])
    return network, position


def test_published_weights_are_drawn_alike_everywhere():
    network, position = made("gpt2")
    for weights in (network[0].weight, network[1].weight, position):
        assert weights.std().item() == pytest.approx(0.02, rel=0.05)
    assert not network[0].bias.any()


def test_by_width_maps_keep_the_size_of_values_and_the_last_ones_begin_small():
    network, position = made("width")
    x = torch.randn(200, 100)
    assert (x @ network[0].weight.T).std().item() == pytest.approx(1, rel=0.05)
    assert network[1].weight.std().item() == pytest.approx(0.02, rel=0.05)
    assert position.std().item() == pytest.approx(0.5, rel=0.05)
