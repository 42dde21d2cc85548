"""Scaling of network inputs and outputs, per feature and dimension, kept with the weights.

| method     | normalised value                                                      |
|------------|-----------------------------------------------------------------------|
| `min_max`  | [min, max] to [-1, 1] (Diffusion Policy)                              |
| `z_score`  | zero mean, unit standard deviation (ACT)                              |
| `quantile` | [1 %, 99 %] to [-1, 1], clipped (OpenVLA)                             |
| `identity` | itself                                                                |

A dimension that is constant in the data is centred and not scaled: stretching sensor noise to
[-1, 1] would make it the loudest input. Rotations (see `encode`) are always left as they are.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from robot_learning.errors import ConfigError
from robot_learning.policies.config import Method

CONSTANT_RANGE = 1e-4  # below it a dimension counts as constant, as in Diffusion Policy


class Normalizer(nn.Module):
    """`normalized = scale * x + offset` for each dimension of each feature, and its inverse."""

    def __init__(self, methods: Mapping[str, Method], scale: Mapping[str, Any], offset: Mapping[str, Any]) -> None:
        super().__init__()
        self.methods = dict(methods)
        for name in methods:
            # Not in the state dict: the checkpoint's JSON holds them, where people can read them.
            for key, value in (("scale", scale[name]), ("offset", offset[name])):
                self.register_buffer(f"{name}_{key}", torch.as_tensor(value, dtype=torch.float32), persistent=False)

    @property
    def dtype(self) -> torch.dtype:
        """In which it computes: float32, unless the policy was changed, as by `policy.double()`."""
        return next(self.buffers()).dtype

    def normalize(self, name: str, x: Tensor) -> Tensor:
        """(..., D) encoded values of a feature to (..., D) normalised."""
        y = torch.addcmul(getattr(self, f"{name}_offset"), x, getattr(self, f"{name}_scale"))
        return y.clamp(-1.0, 1.0) if self.methods[name] == "quantile" else y

    def unnormalize(self, name: str, y: Tensor) -> Tensor:
        """(..., D) normalised values back to encoded ones."""
        return (y - getattr(self, f"{name}_offset")) / getattr(self, f"{name}_scale")

    def is_bounded(self, name: str) -> bool:
        """Whether all training values of this feature lie in [-1, 1], so that samples may be clipped there."""
        return self.methods[name] in ("min_max", "quantile")

    def to_json(self) -> dict[str, Any]:
        """Feature name to method, scale and offset; float32 values survive JSON exactly."""
        return {
            name: {
                "method": method,
                "scale": getattr(self, f"{name}_scale").tolist(),
                "offset": getattr(self, f"{name}_offset").tolist(),
            }
            for name, method in self.methods.items()
        }

    @staticmethod
    def from_json(content: Mapping[str, Any]) -> Normalizer:
        """The inverse of `to_json`."""
        columns = ({n: e[key] for n, e in content.items()} for key in ("method", "scale", "offset"))
        return Normalizer(*columns)

    @staticmethod
    def fit(
        values: Mapping[str, np.ndarray],
        rotational: Mapping[str, np.ndarray],
        methods: Mapping[str, Method],
        default: Method = "min_max",
    ) -> Normalizer:
        """Measure each feature's encoded values.

        Args:
            values: feature name to (N, D) encoded values of the training episodes.
            rotational: feature name to (D,) bool, the dimensions to leave as they are.
            methods: feature name to method; `default` where a feature is not named.

        Raises:
            ConfigError: a feature has no values, or one that is not finite.
        """
        chosen = {name: methods.get(name, default) for name in values}
        scale, offset = {}, {}
        for name, x in values.items():
            if not len(x) or not np.isfinite(x).all():
                what = "no values" if not len(x) else f"{int((~np.isfinite(x)).sum())} values that are not finite"
                raise ConfigError(f"feature '{name}' has {what} in the training episodes; check the store.")
            s, b = _affine(chosen[name], np.asarray(x, np.float64))
            scale[name] = np.where(rotational[name], 1.0, s)
            offset[name] = np.where(rotational[name], 0.0, b)
        return Normalizer(chosen, scale, offset)


def _affine(method: Method, x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Scale and offset (D,) of (N, D) values."""
    if method == "identity":
        return np.ones(x.shape[1]), np.zeros(x.shape[1])
    if method == "z_score":
        centre, half = x.mean(0), x.std(0)
    else:
        low, high = (x.min(0), x.max(0)) if method == "min_max" else np.quantile(x, (0.01, 0.99), axis=0)
        centre, half = (low + high) / 2, (high - low) / 2
    scale = 1 / np.where(half < CONSTANT_RANGE / 2, 1.0, half)
    return scale, -centre * scale
