"""What reads the context: the predictor of latents and the decoder of actions."""

from __future__ import annotations

import torch
from torch import Tensor, nn


class Queries(nn.Module):
    """Learned queries that attend to each other and to the context.

    Args:
        count: of queries; context_dim, dim, out_dim: width of a context token, inside, and of what comes out.
    """

    def __init__(
        self,
        count: int,
        context_dim: int,
        dim: int,
        out_dim: int,
        heads: int,
        ffn_dim: int,
        layers: int,
        dropout: float,
    ) -> None:
        super().__init__()
        self.context = nn.Linear(context_dim, dim) if context_dim != dim else nn.Identity()
        self.queries = nn.Parameter(0.02 * torch.randn(count, dim))
        layer = nn.TransformerDecoderLayer(dim, heads, ffn_dim, dropout, batch_first=True)
        self.layers = nn.TransformerDecoder(layer, layers)
        self.out = nn.Linear(dim, out_dim)

    def forward(self, context: Tensor) -> Tensor:
        """(B, S, context_dim) to (B, count, out_dim)."""
        return self.out(self.layers(self.queries.expand(len(context), -1, -1), self.context(context)))
