"""Writing one zarr array as a stream: encoded chunks are appended to a shard file, whose index comes last.

The sharding codec puts a shard's index at its end, so a shard can grow chunk by chunk with plain
appends; zarr itself would rewrite the whole shard for each one. Layout of a shard of n chunk slots
(zarr v3, codec `sharding_indexed`): the chunks, then n pairs (offset, length) of little-endian uint64,
2**64-1 twice for an empty slot, then the CRC-32C of those pairs.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from pathlib import Path

import google_crc32c
import numpy as np

from robot_learning.data import files
from robot_learning.data.format import CHUNKS_PER_SHARD, ArrayLayout, intact

EMPTY_SLOT = np.uint64(2**64 - 1)


class ArrayWriter:
    """Appends samples to the array in `directory`.

    Attributes:
        count: samples stored, those still in the tail of the last block included.
        bytes: size of the chunks written.
        sums: SHA-256 of each finished shard, by file name.
        unsynced: shards that changed; whoever syncs them takes them out.
    """

    def __init__(self, directory: Path, layout: ArrayLayout) -> None:
        self.directory = directory
        self.layout = layout
        self.count = self.bytes = 0
        self.sums: dict[str, str] = {}
        self._tail = np.empty((0, *layout.shape), layout.dtype)
        self._fd: int | None = None
        self._lengths: list[int] = []
        self._offset = 0
        self._hash = hashlib.sha256()
        self.unsynced: set[Path] = set()

    def append_encoded(self, chunk: bytes) -> None:
        """Append one encoded chunk of a layout with one sample per chunk; all of it or, on OSError, nothing."""
        self._append_chunk(chunk)
        self.count += 1

    def push(self, rows: np.ndarray) -> None:
        """Take (n, *shape) samples into memory; :meth:`drain` writes them. For layouts with blocks."""
        self._tail = np.concatenate([self._tail, rows]) if len(self._tail) else np.array(rows, self.layout.dtype)
        self.count += len(rows)

    def drain(self) -> None:
        """Write all whole blocks; on OSError what is not written stays in memory for the next call."""
        while len(self._tail) >= self.layout.chunk:
            self._append_chunk(self.layout.encode(self._tail[: self.layout.chunk]))
            self._tail = self._tail[self.layout.chunk :].copy()

    def finish(self) -> None:
        """Write the tail, padded to a block with zeros, and the last shard's index; close, but do not sync."""
        self.drain()
        if len(self._tail):
            block = np.zeros((self.layout.chunk, *self.layout.shape), self.layout.dtype)
            block[: len(self._tail)] = self._tail
            self._append_chunk(self.layout.encode(block))
            self._tail = self._tail[:0]
        if self._fd is not None and self._lengths:
            self._close_shard()

    def abandon(self) -> None:
        """Close the file as it is."""
        if self._fd is not None:
            files.close(self._fd)
            self._fd = None

    def restart(self) -> None:
        """Remove the shards that a dead writer left."""
        for path in self.directory.iterdir():
            files.remove(path)

    def resume(self, lengths: Sequence[int], visit: Callable[[bytes], None]) -> int:
        """Take up an array with one sample per chunk that a dead writer left.

        Args:
            lengths: of the chunks that the journal promises, in order.
            visit: called with each whole chunk.

        Returns:
            how many of them are whole on the disk; whatever lies behind them is cut off.
        """
        for length in lengths:
            if len(self._lengths) == CHUNKS_PER_SHARD:
                self._cut()
                self._close_shard()
            if self._fd is None:
                path = self.directory / self._name
                if not path.exists():
                    break
                self._fd = files.reopen(path)
            chunk = files.read(self._fd, length, self._offset)
            if len(chunk) != length or not intact(chunk):
                break
            visit(chunk)
            self._take(chunk)
            self.count += 1
        self._cut()
        kept = set(self.sums) | ({self._name} if self._fd is not None else set())
        for path in self.directory.iterdir():
            if path.name not in kept:
                files.remove(path)
        return self.count

    @property
    def _name(self) -> str:
        return self.layout.shard_name.format(len(self.sums))

    def _append_chunk(self, chunk: bytes) -> None:
        if len(self._lengths) == CHUNKS_PER_SHARD:
            self._close_shard()
        if self._fd is None:
            self._fd = files.create(self.directory / self._name)
        files.append(self._fd, chunk, self._offset)
        self._take(chunk)

    def _take(self, chunk: bytes) -> None:
        """Account for a chunk that is in the file."""
        self._hash.update(chunk)
        self._lengths.append(len(chunk))
        self._offset += len(chunk)
        self.bytes += len(chunk)
        self.unsynced.add(self.directory / self._name)

    def _cut(self) -> None:
        """Drop what a dead writer left behind the chunks taken; a file without any is closed."""
        if self._fd is None:
            return
        if self._lengths:
            files.truncate(self._fd, self._offset)
        else:
            self.abandon()

    def _close_shard(self) -> None:
        assert self._fd is not None
        index = np.full((CHUNKS_PER_SHARD, 2), EMPTY_SLOT, "<u8")
        lengths = np.array(self._lengths, "<u8")
        index[: len(lengths), 0] = np.cumsum(lengths) - lengths
        index[: len(lengths), 1] = lengths
        content = index.tobytes()
        footer = content + google_crc32c.value(content).to_bytes(4, "little")
        files.append(self._fd, footer, self._offset)
        self._hash.update(footer)
        self.sums[self._name] = self._hash.hexdigest()
        files.close(self._fd)
        self._fd, self._lengths, self._offset = None, [], 0
        self._hash = hashlib.sha256()
