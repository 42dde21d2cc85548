"""Transformer layers in which positions are added to queries and keys, never to values (Carion et al., ECCV 2020)."""

from __future__ import annotations

from torch import Tensor, nn


class FeedForward(nn.Sequential):
    """Linear, ReLU, Linear."""

    def __init__(self, dim: int, ffn_dim: int, dropout: float) -> None:
        super().__init__(nn.Linear(dim, ffn_dim), nn.ReLU(), nn.Dropout(dropout), nn.Linear(ffn_dim, dim))


class Attention(nn.MultiheadAttention):
    """Without weights as a second output, which would cost the fused kernel."""

    def __init__(self, dim: int, heads: int, dropout: float) -> None:
        super().__init__(dim, heads, dropout, batch_first=True)

    def forward(self, query: Tensor, key: Tensor, value: Tensor, padding: Tensor | None = None) -> Tensor:  # type: ignore[override]
        """(B, L, d), twice (B, S, d) and (B, S) bool, True where there is nothing to see, to (B, L, d)."""
        return super().forward(query, key, value, key_padding_mask=padding, need_weights=False)[0]


class EncoderLayer(nn.Module):
    """Self-attention and feed-forward, each with dropout, residual and LayerNorm after it."""

    def __init__(self, dim: int, heads: int, ffn_dim: int, dropout: float) -> None:
        super().__init__()
        self.attend, self.feed = Attention(dim, heads, dropout), FeedForward(dim, ffn_dim, dropout)
        self.norms = nn.ModuleList([nn.LayerNorm(dim) for _ in range(2)])
        self.drop = nn.Dropout(dropout)

    def forward(self, x: Tensor, position: Tensor, padding: Tensor | None = None, first: int | None = None) -> Tensor:
        """(B, S, d) tokens, (S, d) positions and (B, S) bool, True for padding, to (B, S, d), or to `first` of S."""
        at = x + position
        x = self.norms[0](x[:, :first] + self.drop(self.attend(at[:, :first], at, x, padding)))
        return self.norms[1](x + self.drop(self.feed(x)))


class DecoderLayer(nn.Module):
    """As EncoderLayer, with attention to a memory between the two."""

    def __init__(self, dim: int, heads: int, ffn_dim: int, dropout: float) -> None:
        super().__init__()
        self.attend, self.look = Attention(dim, heads, dropout), Attention(dim, heads, dropout)
        self.feed = FeedForward(dim, ffn_dim, dropout)
        self.norms = nn.ModuleList([nn.LayerNorm(dim) for _ in range(3)])
        self.drop = nn.Dropout(dropout)

    def forward(self, x: Tensor, query: Tensor, memory: Tensor, position: Tensor) -> Tensor:
        """(B, L, d) with its (L, d) positions, (B, S, d) with its (S, d) positions, to (B, L, d)."""
        at = x + query
        x = self.norms[0](x + self.drop(self.attend(at, at, x)))
        x = self.norms[1](x + self.drop(self.look(x + query, memory + position, memory)))
        return self.norms[2](x + self.drop(self.feed(x)))
