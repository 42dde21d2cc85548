"""Several features as one normalised vector, and back."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn

from robot_learning.contract import Contract
from robot_learning.policies.encode import Encoding
from robot_learning.policies.normalizer import Normalizer


class FeatureVector(nn.Module):
    """Encodes, normalises and concatenates the named features, always in the order given.

    Attributes:
        raw_dim: values before encoding, all features together.
        dim: values after it.
        is_bounded: whether every normalised training value lies in [-1, 1].
    """

    def __init__(self, contract: Contract, names: Sequence[str], normalizer: Normalizer) -> None:
        super().__init__()
        self.names = tuple(names)
        self.normalizer = normalizer
        self.encodings = {name: Encoding(name, contract.spec_of(name)) for name in names}
        self.raw_dim = sum(e.raw_dim for e in self.encodings.values())
        self.dim = sum(e.dim for e in self.encodings.values())
        self.is_bounded = all(normalizer.is_bounded(name) for name in names)

    def forward(self, raw: Mapping[str, Tensor]) -> Tensor:
        """Feature name to (..., *shape) raw, to (..., dim)."""
        return self.normalized(self.encoded(raw))

    def encoded(self, raw: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """The first half of `forward`: feature name to raw, to encoded."""
        return {n: self.encodings[n].encode(raw[n].to(self.normalizer.dtype)) for n in self.names}

    def normalized(self, encoded: Mapping[str, Tensor]) -> Tensor:
        """The second half of `forward`: feature name to encoded, to (..., dim)."""
        return torch.cat([self.normalizer.normalize(n, encoded[n]) for n in self.names], dim=-1)

    def split(self, raw: Tensor) -> dict[str, Tensor]:
        """(..., raw_dim) concatenated raw values to one tensor per feature."""
        pieces = raw.split([self.encodings[n].raw_dim for n in self.names], dim=-1)
        return dict(zip(self.names, pieces, strict=True))

    def inverse(self, normalized: Tensor) -> Tensor:
        """(..., dim) to (..., raw_dim) raw values."""
        return self.decoded(self.unnormalized(normalized))

    def unnormalized(self, normalized: Tensor) -> dict[str, Tensor]:
        """The first half of `inverse`: (..., dim) to feature name to encoded."""
        pieces = normalized.split([self.encodings[n].dim for n in self.names], dim=-1)
        return {n: self.normalizer.unnormalize(n, piece) for n, piece in zip(self.names, pieces, strict=True)}

    def decoded(self, encoded: Mapping[str, Tensor]) -> Tensor:
        """The second half of `inverse`: feature name to encoded, to (..., raw_dim)."""
        return torch.cat([self.encodings[n].decode(encoded[n]) for n in self.names], dim=-1)
