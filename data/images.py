"""Images at training resolution: the same function for the training cache and for a live policy."""

from __future__ import annotations

import numpy as np
from PIL import Image

from robot_learning.contract import StreamSpec
from robot_learning.errors import UserError


def resize(frames: np.ndarray, size: tuple[int, int] | None) -> np.ndarray:
    """Frames (n, H, W, 3) uint8 or (n, H, W) uint16 to (n, h, w, ...), `size` = (h, w); None leaves them alone.

    Colour is averaged over each pixel's area, so that small things fade rather than flicker. Depth takes one sample
    per pixel: a mean over an edge is a distance where nothing is, and 0 means "no return".
    """
    if size is None or frames.shape[1:3] == tuple(size):
        return frames
    height, width = size
    if frames.ndim == 3:
        rows, columns = (
            ((np.arange(new) + 0.5) * old / new).astype(int)
            for new, old in zip(size, frames.shape[1:3], strict=True)
        )  # fmt: skip
        return frames[:, rows[:, None], columns]
    out = np.empty((len(frames), height, width, 3), np.uint8)
    for i, frame in enumerate(frames):
        out[i] = Image.fromarray(frame).resize((width, height), Image.Resampling.BOX)
    return out


def training_shape(spec: StreamSpec, size: tuple[int, int] | None) -> tuple[int, ...]:
    """The shape of a stream's samples after :func:`resize`; only colour and depth images change."""
    if size is not None and min(size) < 1:
        raise UserError(f"an image size is height and width in pixels, both positive; got {tuple(size)}.")
    image = spec.unit in ("rgb", "depth_mm")
    return (*size, *spec.shape[2:]) if size is not None and image else spec.shape
