"""Diffusion Policy's replay buffers (Chi et al., RSS 2023): zarr v2 directories of concatenated episodes.

data/<key>          (T, ...) steps of all episodes, one after the other
meta/episode_ends   (E,) where each ends
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import zarr

from robot_learning.data.importers import SourceEpisode, is_image, plain_contract, require_rate
from robot_learning.data.layouts import Mirror
from robot_learning.data.layouts import layout as layout_called
from robot_learning.errors import UserError


class ReplaySource:
    """A replay buffer as a :class:`robot_learning.data.importers.Source`; see `import_dataset` for the arguments."""

    def __init__(
        self,
        path: Path,
        layout: str | None,
        rate_hz: float | None,
        robot: str,
        task: str,
        mirrored: Mirror | None = None,
    ) -> None:
        self._path, self._mirrored = path, mirrored
        self.notes: list[str] = []
        self._arrays, self._ends = self._open()
        if layout is not None:
            chosen = layout_called(layout)
            self.contract, self._parts = chosen.contract, dict(chosen.parts)
            self.task = task or chosen.task
            if rate_hz is not None and rate_hz != self.contract.policy_rate_hz:
                raise UserError(
                    f"layout '{layout}' has {self.contract.policy_rate_hz:g} steps per second, "
                    f"--rate-hz says {rate_hz:g}; leave one of the two out."
                )
            for key in sorted(set(self._parts) - set(self._arrays)):
                if key not in chosen.optional:
                    raise UserError(f"{path} has no data/{key}, which layout '{layout}' needs; it has {self._keys()}.")
                del self._parts[key]
            for key in sorted(set(self._arrays) - set(self._parts)):
                self.notes.append(f"data/{key} is not part of layout '{layout}' and was left out.")
            return
        if "action" not in self._arrays:
            raise UserError(f"{path} has no data/action; it has {self._keys()}.")
        rate = require_rate(rate_hz, f"{path}, imported without --layout,")
        kinds = {}
        for key, array in self._arrays.items():
            shape, dtype = array.shape[1:], array.dtype.name
            if is_image(shape) and dtype != "uint8" and _integral(self._read(key, 0)):
                dtype = "uint8"
            kinds[key] = (shape, dtype)
        self.contract, names = plain_contract(path.stem, robot or path.stem, rate, kinds)
        self._parts = {key: (name,) for key, name in names.items()}
        self.task = task

    def __len__(self) -> int:
        """The source's episodes; with their mirror images, twice that."""
        return len(self._ends) * (1 if self._mirrored is None else 2)

    def episode(self, index: int) -> SourceEpisode:
        """Read one episode, its keys split into streams; those behind the source's own are mirror images."""
        if index >= len(self._ends) and self._mirrored is not None:
            original = index - len(self._ends)
            return SourceEpisode(self._mirrored(self._values(original)), {"mirror_image_of": original})
        return SourceEpisode(self._values(index))

    def _values(self, index: int) -> dict[str, np.ndarray]:
        values: dict[str, np.ndarray] = {}
        for key, streams in self._parts.items():
            rows = self._read(key, index)
            specs = [self.contract.stream(name) for name in streams]
            if len(specs) > 1:
                widths = [spec.shape[0] for spec in specs]
                if rows.ndim != 2 or rows.shape[1] != sum(widths):
                    raise UserError(
                        f"{self._path}: data/{key} should hold {', '.join(streams)}, ({sum(widths)},) per step; "
                        f"it has {rows.shape[1:]}."
                    )
                columns = np.split(rows, np.cumsum(widths)[:-1], axis=1)
            else:
                columns = [rows]
            for spec, column in zip(specs, columns, strict=True):
                values[spec.name] = self._exact(column, spec.shape, spec.dtype, key, index)
        return values

    def _exact(self, rows: np.ndarray, shape: tuple[int, ...], dtype: str, key: str, index: int) -> np.ndarray:
        """The rows in another dtype, if that loses nothing."""
        if rows.shape[1:] != shape:
            raise UserError(f"{self._path}: data/{key} has {rows.shape[1:]} per step, {shape} is wanted.")
        if dtype == "uint8" and rows.dtype != np.uint8 and not _integral(rows):
            raise UserError(
                f"{self._path}: data/{key} of episode {index} has values that are not whole numbers in 0..255; "
                "as images they could not be kept exactly."
            )
        out = rows.astype(dtype)
        if not np.array_equal(out.astype(rows.dtype), rows, equal_nan=np.issubdtype(rows.dtype, np.floating)):
            raise UserError(f"{self._path}: data/{key} of episode {index} loses digits as {dtype}.")
        return out

    def _read(self, key: str, index: int) -> np.ndarray:
        start = int(self._ends[index - 1]) if index else 0
        try:
            return np.asarray(self._arrays[key][start : int(self._ends[index])])
        except (OSError, ValueError, RuntimeError) as error:
            raise UserError(f"{self._path}: data/{key} of episode {index} can't be read: {error}.") from None

    def _open(self) -> tuple[dict[str, zarr.Array], np.ndarray]:
        path = self._path
        try:
            group = zarr.open_group(path, mode="r")
            arrays = dict(group["data"].arrays())  # type: ignore[union-attr]
            ends = np.asarray(group["meta/episode_ends"][:])  # type: ignore[index]
        except (OSError, KeyError, ValueError, RuntimeError, TypeError, AttributeError) as error:
            reason = str(error).strip("'\"") or type(error).__name__
            raise UserError(
                f"{path} is not a replay buffer: that is a zarr group with data/<key> and meta/episode_ends ({reason})."
            ) from None
        if not arrays:
            raise UserError(f"{path} has nothing under data/; a replay buffer has at least data/action.")
        lengths = {key: array.shape[0] for key, array in arrays.items() if array.ndim}
        if len(lengths) < len(arrays) or len(set(lengths.values())) > 1:
            told = ", ".join(f"{k} {array.shape[:1] or 'none'}" for k, array in sorted(arrays.items()))
            raise UserError(f"{path}: all keys under data/ have one length; got {told}.")
        length = next(iter(lengths.values()))
        if ends.ndim != 1 or ends.dtype.kind not in "iu" or not len(ends):
            raise UserError(
                f"{path}: meta/episode_ends holds one whole number per episode; got {ends.dtype} {ends.shape}."
            )
        ends = ends.astype(np.int64)
        steps = np.diff(ends, prepend=0)
        if (steps <= 0).any():
            at = int(np.argmax(steps <= 0))
            raise UserError(
                f"{path}: meta/episode_ends must increase from above 0; entry {at} is {ends[at]}"
                f"{f' after {ends[at - 1]}' if at else ''}."
            )
        if ends[-1] != length:
            raise UserError(
                f"{path}: meta/episode_ends ends at step {ends[-1]}, data/ has {length} steps; "
                f"{'steps are missing' if ends[-1] > length else 'the steps behind it belong to no episode'}."
            )
        for key, array in arrays.items():
            if missing := array.nchunks - array.nchunks_initialized:
                self.notes.append(
                    f"data/{key} has no file for {missing} of {array.nchunks} chunks: they read as {array.fill_value}, "
                    "which is right only if they were written so."
                )
        return arrays, ends

    def _keys(self) -> str:
        return ", ".join(sorted(self._arrays))


def _integral(values: np.ndarray) -> bool:
    return bool(values.size and values.min() >= 0 and values.max() <= 255 and (values == np.rint(values)).all())
