"""The journal of an open episode: what makes its tail recoverable.

One record per flush, appended to `open/<id>/journal`. Little-endian throughout:

    record   b"RLJ1", uint64 payload bytes, uint32 CRC-32C of the payload, payload
    payload  one block per stream with new samples
    block    uint16 stream (position in the contract), uint32 n, then
             int64 (n, 3) stamp, received, sequence, then
             uint32 (n,) chunk lengths, where a chunk holds one sample (the chunks are in the shards), or
             (n, *shape) values, where samples are stored in blocks (a block may not have been written yet)

A record counts only if it is whole and its checksum is right; reading stops at the first that is not.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import google_crc32c
import numpy as np

from robot_learning.data import files
from robot_learning.data.format import ArrayLayout

MAGIC = b"RLJ1"
_RECORD = struct.Struct("<4sQI")
_BLOCK = struct.Struct("<HI")


@dataclass(frozen=True)
class Block:
    """New samples of one stream.

    Attributes:
        stream: position in the contract.
        times: (n, 3) int64.
        content: (n,) uint32 chunk lengths or (n, *shape) values.
    """

    stream: int
    times: np.ndarray
    content: np.ndarray


class JournalWriter:
    """Appends records; a failed append leaves the journal as it was."""

    def __init__(self, path: Path) -> None:
        self._fd = files.create(path)
        self._offset = 0

    def append(self, blocks: Sequence[Block]) -> None:
        """Write one record; it survives the death of this process, and that of the machine once it is synced."""
        parts = []
        for block in blocks:
            parts += [_BLOCK.pack(block.stream, len(block.times)), block.times.astype("<i8").tobytes()]
            parts.append(block.content.astype(block.content.dtype.newbyteorder("<"), copy=False).tobytes())
        payload = b"".join(parts)
        record = _RECORD.pack(MAGIC, len(payload), google_crc32c.value(payload)) + payload
        files.append(self._fd, record, self._offset)
        self._offset += len(record)

    def close(self) -> None:
        """Close the file; twice does no harm."""
        if self._fd >= 0:
            files.close(self._fd)
            self._fd = -1


def read_journal(path: Path, layouts: Sequence[ArrayLayout]) -> Iterator[list[Block]]:
    """The whole records of a journal, up to the first that is cut or damaged."""
    if not path.exists():
        return
    with path.open("rb") as file:
        while len(head := file.read(_RECORD.size)) == _RECORD.size:
            magic, size, crc = _RECORD.unpack(head)
            if magic != MAGIC or size > path.stat().st_size:
                return
            payload = file.read(size)
            if len(payload) < size or google_crc32c.value(payload) != crc:
                return
            yield list(_blocks(payload, layouts))


def _blocks(payload: bytes, layouts: Sequence[ArrayLayout]) -> Iterator[Block]:
    position = 0

    def take(dtype: np.dtype, shape: tuple[int, ...]) -> np.ndarray:
        nonlocal position
        count = int(np.prod(shape, dtype=np.int64))
        array = np.frombuffer(payload, dtype.newbyteorder("<"), count, position).reshape(shape)
        position += array.nbytes
        return array.astype(dtype)

    while position < len(payload):
        stream, n = _BLOCK.unpack_from(payload, position)
        position += _BLOCK.size
        layout = layouts[stream]
        times = take(np.dtype(np.int64), (n, 3))
        if layout.chunk == 1:
            yield Block(stream, times, take(np.dtype(np.uint32), (n,)))
        else:
            yield Block(stream, times, take(np.dtype(layout.dtype), (n, *layout.shape)))
