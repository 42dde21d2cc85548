"""Raw units to network input, and back: a wrapped angle or a quaternion is no good as a number.

| unit              | network input                                  | back                           |
|-------------------|------------------------------------------------|--------------------------------|
| `angle_rad`       | cosine, sine                                   | atan2                          |
| `quaternion_wxyz` | `rotation_6d`, the same for q and -q           | Gram-Schmidt, scalar part >= 0 |
| `rotation_6d`     | itself                                         | Gram-Schmidt                   |
| any other         | itself                                         | itself                         |
"""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.nn.functional import normalize

from robot_learning import rotation
from robot_learning.contract import StreamSpec, parse_unit
from robot_learning.errors import ConfigError

RAW_SIZE = {"angle_rad": 1, "quaternion_wxyz": 4, "rotation_6d": 6}  # values of one thing
NETWORK_SIZE = {"angle_rad": 2, "quaternion_wxyz": 6, "rotation_6d": 6}


class Encoding:
    """How one feature's raw values become network input.

    Attributes:
        raw_dim: values of one raw sample, all axes flattened.
        dim: values of one encoded sample.
        encoded_parts: (unit, count) of each part of an encoded row; a quaternion's is `rotation_6d`.
        rotational: (dim,) bool; True where a value is a cosine, a sine or an entry of a rotation matrix,
            which lie in [-1, 1] by nature and are not to be rescaled.
    """

    def __init__(self, name: str, spec: StreamSpec) -> None:
        if spec.unit in ("rgb", "depth_mm"):
            raise ConfigError(f"feature '{name}' is an image ({spec.unit}); here only vectors are allowed.")
        self.parts = parse_unit(spec.unit, spec.shape)
        for unit, count in self.parts:
            if count % RAW_SIZE.get(unit, 1):
                raise ConfigError(
                    f"feature '{name}' has {count} values of unit {unit}; it takes a multiple of {RAW_SIZE[unit]}."
                )
        self.shape = spec.shape or (1,)
        self.rows = math.prod(self.shape[:-1])
        self.raw_dim = math.prod(self.shape)
        names = {"quaternion_wxyz": "rotation_6d"}
        self.encoded_parts = tuple((names.get(u, u), _encoded_count(u, n)) for u, n in self.parts)
        flags = [u in RAW_SIZE for u, n in self.encoded_parts for _ in range(n)]
        self.dim = self.rows * len(flags)
        self.rotational = torch.tensor(flags * self.rows)

    def encode(self, raw: Tensor) -> Tensor:
        """(..., *shape) or (..., raw_dim) raw to (..., dim)."""
        lead = raw.shape[: raw.ndim - _trailing(raw, self.shape, self.raw_dim)]
        rows = raw.reshape(*lead, self.rows, self.shape[-1])
        if all(unit not in RAW_SIZE for unit, _ in self.parts):
            return rows.flatten(-2)
        pieces = rows.split([n for _, n in self.parts], dim=-1)
        encoded = [_encode_part(unit, piece) for (unit, _), piece in zip(self.parts, pieces, strict=True)]
        return torch.cat(encoded, dim=-1).flatten(-2)

    def decode(self, encoded: Tensor) -> Tensor:
        """(..., dim) to (..., raw_dim); rotations are made proper ones."""
        rows = encoded.unflatten(-1, (self.rows, -1))
        pieces = rows.split([_encoded_count(u, n) for u, n in self.parts], dim=-1)
        raw = [_decode_part(unit, piece) for (unit, _), piece in zip(self.parts, pieces, strict=True)]
        return torch.cat(raw, dim=-1).flatten(-2)


def rotation_6d_axes(r: Tensor) -> Tensor:
    """(..., 6) to (..., 3, 3), the axes of the rotated frame one below the other: the rotation matrix, transposed."""
    x, y = _gram_schmidt(r)
    return torch.stack([x, y, torch.linalg.cross(x, y)], dim=-2)


def _gram_schmidt(r: Tensor) -> tuple[Tensor, Tensor]:
    """(..., 6) to the first two axes, (..., 3) each (Zhou et al., CVPR 2019, eq. 15)."""
    a, b = r.unflatten(-1, (2, 3)).unbind(-2)
    x = normalize(a, dim=-1)
    return x, normalize(b - (x * b).sum(-1, keepdim=True) * x, dim=-1)


def _trailing(raw: Tensor, shape: tuple[int, ...], raw_dim: int) -> int:
    """How many of the last axes of `raw` belong to one sample."""
    if tuple(raw.shape[raw.ndim - len(shape) :]) == shape:
        return len(shape)
    if raw.shape[-1:] == (raw_dim,):
        return 1
    raise ValueError(f"expected (..., {', '.join(map(str, shape))}), got {tuple(raw.shape)}")


def _encoded_count(unit: str, count: int) -> int:
    return count // RAW_SIZE[unit] * NETWORK_SIZE[unit] if unit in RAW_SIZE else count


def _encode_part(unit: str, x: Tensor) -> Tensor:
    if unit == "angle_rad":
        return torch.stack([x.cos(), x.sin()], dim=-1).flatten(-2)
    if unit == "quaternion_wxyz":
        w, x, y, z = normalize(x.unflatten(-1, (-1, 4)), dim=-1).unbind(-1)
        first = [1 - 2 * (y * y + z * z), 2 * (x * y + w * z), 2 * (x * z - w * y)]
        second = [2 * (x * y - w * z), 1 - 2 * (x * x + z * z), 2 * (y * z + w * x)]
        return torch.stack(first + second, dim=-1).flatten(-2)
    return x


def _decode_part(unit: str, z: Tensor) -> Tensor:
    if unit == "angle_rad":
        cosine, sine = z.unflatten(-1, (-1, 2)).unbind(-1)
        return torch.atan2(sine, cosine)
    if unit in ("rotation_6d", "quaternion_wxyz"):
        r = torch.cat(_gram_schmidt(z.unflatten(-1, (-1, 6))), dim=-1)
        if unit == "quaternion_wxyz":
            q = rotation.matrix_to_quaternion(rotation.rotation_6d_to_matrix(r.double().cpu().numpy()))
            r = torch.from_numpy(q).to(z)
        return r.flatten(-2)
    return z
