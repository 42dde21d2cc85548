"""One stream of an open episode."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from robot_learning.contract import StreamSpec
from robot_learning.data.format import TIME, layout_of
from robot_learning.data.journal import Block
from robot_learning.data.openfolder import OpenFolder
from robot_learning.data.quality import StreamMeter
from robot_learning.data.sample import Sample
from robot_learning.data.shards import ArrayWriter
from robot_learning.errors import StoreError, unknown_name


class StreamWriter:
    """One stream of an open episode: its two arrays, its meter, and what came since the last flush."""

    def __init__(self, folder: OpenFolder, spec: StreamSpec) -> None:
        self.spec = spec
        self.layout = layout_of(spec)
        self.dtype = np.dtype(spec.dtype)
        path = folder.episode / spec.name
        for directory in (path / "data", path / "time"):
            directory.mkdir(parents=True, exist_ok=True)
        self.data = ArrayWriter(path / "data", self.layout)
        self.time = ArrayWriter(path / "time", TIME)
        self.meter = StreamMeter(spec)
        self._times: list[tuple[int, int, int]] = []
        self._content: list[Any] = []

    def append(self, sample: Sample) -> None:
        """Take one sample; a large one is encoded and written at once."""
        if self.layout.chunk == 1:
            chunk = self.layout.encode(sample.data[None])
            self.data.append_encoded(chunk)
            self.meter.values(sample.data[None])
            self._content.append(len(chunk))
        else:
            self._content.append(sample.data)
        self._times.append((sample.stamp_ns, sample.received_ns, sample.sequence))

    @property
    def count(self) -> int:
        """Samples taken so far."""
        return self.time.count + len(self._times)

    def pending(self, index: int) -> Block | None:
        """What came since the last flush; the stream is the contract's `index`-th."""
        if not self._times:
            return None
        content = np.array(self._content, np.uint32 if self.layout.chunk == 1 else self.dtype)
        return Block(index, np.array(self._times, np.int64), content)

    def absorb(self, block: Block) -> None:
        """Count the block as recorded; in memory only, so that it can't fail."""
        self._times, self._content = [], []
        self.time.push(block.times)
        self.meter.times(block.times)
        if self.layout.chunk > 1:
            self.data.push(block.content)
            self.meter.values(block.content)

    def drain(self) -> None:
        """Write all whole blocks."""
        self.time.drain()
        self.data.drain()

    def resume(self, lengths: Sequence[int]) -> int:
        """Take up the large samples that a dead writer left; see :meth:`ArrayWriter.resume`."""
        self.time.restart()

        def meter(chunk: bytes) -> None:
            if self.meter.floating:
                self.meter.values(self.layout.decode(chunk))

        return self.data.resume(lengths, meter)

    def restart(self) -> None:
        """Remove what a dead writer left: the journal has all of it."""
        self.time.restart()
        self.data.restart()

    @property
    def tail_bytes(self) -> int:
        """What sealing may still have to write: two blocks of values and of times, indices, metadata."""
        return 64 * 1024 + sum(2 * layout.chunk * layout.sample_bytes for layout in (self.layout, TIME))

    def finish(self) -> None:
        """Write all that is left; both arrays are then complete, though not synced."""
        self.data.finish()
        self.time.finish()

    def abandon(self) -> None:
        """Close the files as they are."""
        self.data.abandon()
        self.time.abandon()


def check_sample(specs: dict[str, StreamSpec], sample: Sample) -> None:
    """Raise UnknownName or StoreError unless the sample fits its stream exactly."""
    spec = specs.get(sample.stream)
    if spec is None:
        raise unknown_name("stream", sample.stream, specs)
    data = sample.data
    if not isinstance(data, np.ndarray) or data.shape != spec.shape or data.dtype != spec.dtype:
        got = f"{data.dtype} {data.shape}" if isinstance(data, np.ndarray) else type(data).__name__
        raise StoreError(
            f"stream '{spec.name}' takes {spec.dtype} {spec.shape} as its contract says, got {got}; "
            "convert the sample, or correct the contract."
        )
