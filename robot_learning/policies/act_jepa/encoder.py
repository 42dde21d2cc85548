"""The encoder of ACT-JEPA, once for the present (context) and, by averaged weights, once for the future (target)."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from robot_learning.contract import Contract
from robot_learning.policies.act.observe import Cameras, require_features, state_vector
from robot_learning.policies.act.positions import sequence_positions
from robot_learning.policies.act_jepa.config import ActJepaConfig
from robot_learning.policies.normalizer import Normalizer
from robot_learning.policies.view import View


class Encoder(nn.Module):
    """A transformer over [task, state, images] or over [task, future].

    The data of a run is of one task, so there is one task embedding.
    """

    sequence: Tensor

    def __init__(self, config: ActJepaConfig, contract: Contract, view: View, normalizer: Normalizer) -> None:
        super().__init__()
        self.vector = state_vector(contract, view, normalizer)
        self.task = nn.Parameter(0.02 * torch.randn(1, 1, config.dim))
        self.state = nn.Linear(self.vector.dim, config.dim)
        self.cameras = Cameras(contract, view, config.dim, config.vision)
        layer = nn.TransformerEncoderLayer(config.dim, config.heads, config.ffn_dim, config.dropout, batch_first=True)
        self.layers = nn.TransformerEncoder(layer, config.encoder_layers, enable_nested_tensor=False)
        self.register_buffer("sequence", sequence_positions(config.future, config.dim), persistent=False)

    def forward(self, observation: Mapping[str, Tensor]) -> Tensor:
        """Feature name to (B, 1, *shape) raw, to the context (B, 2 + M, dim): task, state, places of the images."""
        require_features(observation, (*self.vector.names, *self.cameras.names))
        state = self.state(self.vector(observation))
        maps = self.cameras({n: observation[n][:, -1] for n in self.cameras.names})
        images = [torch.cat(maps, dim=1) + self.cameras.positions] if maps else []
        return self.layers(torch.cat([self.task.expand(len(state), -1, -1), state, *images], dim=1))

    def encode_future(self, future: Mapping[str, Tensor], real: Tensor, images: bool) -> Tensor:
        """Feature name to (B, F, *shape) raw and (B, F) bool, False for padding, to latents (B, F, dim).

        Each step is one token: the state, or the mean over all places of all cameras' images.
        """
        if images:
            frames = self.cameras({n: future[n].flatten(0, 1) for n in self.cameras.names})
            steps = torch.cat(frames, dim=1).mean(1).unflatten(0, real.shape)
        else:
            steps = self.state(self.vector(future))
        x = torch.cat([self.task.expand(len(steps), -1, -1), steps + self.sequence], dim=1)
        padding = torch.cat([torch.zeros_like(real[:, :1]), ~real], dim=1)
        return self.layers(x, src_key_padding_mask=padding)[:, 1:]
