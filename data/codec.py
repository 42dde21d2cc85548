"""A zarr v3 codec for JPEG frames: one inner chunk is one colour frame, `array[i]` is the decoded frame.

zarr finds it through the entry point `zarr.codecs` of the installed package, so that plain `zarr.open`
reads a store without importing this module.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import simplejpeg
from zarr.abc.codec import ArrayBytesCodec
from zarr.core.array_spec import ArraySpec
from zarr.core.buffer import Buffer, NDBuffer
from zarr.registry import register_codec

NAME = "robot_learning.jpeg"


def encode_jpeg(frame: np.ndarray, quality: int) -> bytes:
    """One (H, W, 3) uint8 RGB frame as a baseline JPEG file with 4:2:0 chroma."""
    frame = np.ascontiguousarray(frame)
    return simplejpeg.encode_jpeg(frame, quality=quality, colorspace="RGB", colorsubsampling="420")


def decode_jpeg(data: bytes | memoryview | np.ndarray) -> np.ndarray:
    """A JPEG file as (H, W, 3) uint8 RGB; raises ValueError where it is none."""
    return simplejpeg.decode_jpeg(data, colorspace="RGB")


@dataclass(frozen=True)
class Jpeg(ArrayBytesCodec):
    """Chunks of shape (1, H, W, 3) uint8 to JPEG files and back.

    Attributes:
        quality: libjpeg's scale; only the encoder uses it.
    """

    quality: int
    is_fixed_size = False

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> Jpeg:
        """From the codec's entry in `zarr.json`."""
        return cls(quality=int(data["configuration"]["quality"]))

    def to_dict(self) -> dict[str, Any]:
        """The codec's entry in `zarr.json`."""
        return {"name": NAME, "configuration": {"quality": self.quality}}

    def compute_encoded_size(self, input_byte_length: int, chunk_spec: ArraySpec) -> int:
        """Unknown before encoding; zarr never asks, because `is_fixed_size` is False."""
        raise ValueError("the size of a JPEG file is not known before it is encoded")

    def validate(self, *, shape: tuple[int, ...], dtype: Any, chunk_grid: Any) -> None:
        """Refuse arrays other than (N, H, W, 3) uint8 with one frame per chunk."""
        chunk = chunk_grid.chunk_shape
        if dtype.to_native_dtype() != np.uint8 or len(shape) != 4 or shape[3] != 3 or chunk != (1, *shape[1:]):
            raise ValueError(
                f"codec {NAME} takes uint8 (N, H, W, 3) in chunks of one whole frame; "
                f"got {dtype.to_native_dtype()} {shape} in chunks of {chunk}"
            )

    async def _decode_single(self, chunk_data: Buffer, chunk_spec: ArraySpec) -> NDBuffer:
        frame = decode_jpeg(chunk_data.as_numpy_array())
        return chunk_spec.prototype.nd_buffer.from_numpy_array(frame.reshape(chunk_spec.shape))

    async def _encode_single(self, chunk_data: NDBuffer, chunk_spec: ArraySpec) -> Buffer:
        frame = chunk_data.as_numpy_array().reshape(chunk_spec.shape[1:])
        return chunk_spec.prototype.buffer.from_bytes(encode_jpeg(frame, self.quality))


register_codec(NAME, Jpeg)
