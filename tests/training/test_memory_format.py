"""A resumed optimiser steps as it would have, whatever memory format its weights have."""

import torch

from robot_learning.training.optimization import Adam
from robot_learning.training.state import TrainingState


def make():
    torch.manual_seed(0)
    model = torch.nn.Conv2d(3, 4, 3).to(memory_format=torch.channels_last)
    optimizer = Adam(model.parameters(), lr=0.1, fused=True)
    return TrainingState(model, None, optimizer, torch.optim.lr_scheduler.ConstantLR(optimizer), None)


def step(state, seed):
    x = torch.randn(2, 3, 8, 8, generator=torch.Generator().manual_seed(seed))
    state.model(x.contiguous(memory_format=torch.channels_last)).square().sum().backward()
    state.optimizer.step()
    state.optimizer.zero_grad()
    state.progress.step += 1


def test_channels_last_weights_go_on_as_if_never_stopped(tmp_path):
    first = make()
    step(first, 1)
    first.save(tmp_path)
    step(first, 2)
    second = make()
    second.load(tmp_path)
    step(second, 2)
    for mine, expected in zip(second.model.parameters(), first.model.parameters(), strict=True):
        assert torch.equal(mine, expected)
