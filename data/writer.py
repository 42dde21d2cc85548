"""Writing one episode: samples in, at least the flushed ones on the disk, a sealed episode out."""

from __future__ import annotations

import os
from collections.abc import Iterable
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import numpy as np

from robot_learning import __version__
from robot_learning.clock import Clock, SystemClock
from robot_learning.contract import Contract, StreamSpec
from robot_learning.data import files
from robot_learning.data.format import ATTRIBUTE, OUTCOMES, TIME, VERSION, dump, layout_of
from robot_learning.data.journal import Block, JournalWriter
from robot_learning.data.openfolder import OpenFolder
from robot_learning.data.quality import ClipMeter, StreamMeter
from robot_learning.data.sample import Sample
from robot_learning.data.sealing import publish
from robot_learning.data.shards import ArrayWriter
from robot_learning.errors import StoreError, unknown_name

if TYPE_CHECKING:
    from robot_learning.data.store import Episode, Store

BALLAST_BYTES = 4 * 1024 * 1024


class StreamWriter:
    """One stream of an open episode: its two arrays, its meter, and what came since the last flush."""

    def __init__(self, folder: OpenFolder, spec: StreamSpec) -> None:
        self.spec = spec
        self.layout = layout_of(spec)
        self.dtype = np.dtype(spec.dtype)
        path = folder.episode / spec.name
        for directory in (path, path / "data", path / "time"):
            os.makedirs(directory, exist_ok=True)
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

    def finish(self) -> None:
        """Write all that is left; both arrays are then complete on the disk."""
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


class EpisodeWriter:
    """Writes one episode into `open/<id>/` and seals it. For one thread; several writers need no lock.

    Samples are safe from the death of the process after :meth:`flush`; a sealed episode is whole.
    """

    def __init__(self, store: Store, contract: Contract, metadata: dict[str, Any], clock: Clock | None = None) -> None:
        """
        Args:
            metadata: task, operator, provenance...: JSON values; `absent_streams` names streams left empty.
            clock: names the episode's beginning in `recorded_ns`.
        """
        self.contract = contract
        self.metadata: dict[str, Any] = {
            "created": datetime.now(UTC).isoformat(timespec="milliseconds"),
            "recorded_ns": (clock or SystemClock()).now_ns(),
            "software": f"robot_learning {__version__}",
            **metadata,
        }
        self._store = store
        self.specs = {spec.name: spec for spec in contract.streams}
        header = {"version": VERSION, "contract": contract.to_json(), "metadata": self.metadata}
        try:
            content = dump(header)
        except (TypeError, ValueError) as error:
            raise StoreError(f"an episode's metadata must be JSON values: {error}.") from None
        with files.explained(store.path):
            self._folder = OpenFolder.create(store.path)
            files.write(self._folder.header, content)
            self._streams = [StreamWriter(self._folder, spec) for spec in contract.streams]
            files.reserve(self._folder.ballast, BALLAST_BYTES + sum(_tail_bytes(s) for s in self._streams))
            self._journal = JournalWriter(self._folder.journal)
            files.sync_directory(self._folder.path)
            files.sync_directory(self._folder.path.parent)
        self._by_name = {s.spec.name: s for s in self._streams}
        self._clips = ClipMeter()
        self._closed = False

    @property
    def id(self) -> str:
        """The episode's ULID."""
        return self._folder.id

    def append(self, samples: Iterable[Sample]) -> None:
        """Take samples; large ones are encoded and written at once, all are durable after :meth:`flush`.

        Raises:
            UnknownName, StoreError: a sample does not fit the contract; it and those behind it are not taken.
            DiskFullError: no space; the samples before are kept, and :meth:`seal` still works.
        """
        with files.explained(self._folder.path):
            for sample in samples:
                check_sample(self.specs, sample)
                self._by_name[sample.stream].append(sample)

    def flush(self) -> None:
        """Return once all samples so far are on the disk."""
        blocks = [b for i, s in enumerate(self._streams) if (b := s.pending(i))]
        if not blocks:
            return
        with files.explained(self._folder.path):
            for block in blocks:
                self._streams[block.stream].data.sync()
            self._journal.append(blocks)
            self._absorb(blocks)
            for block in blocks:
                self._streams[block.stream].drain()

    def _absorb(self, blocks: Iterable[Block]) -> None:
        for block in blocks:
            stream = self._streams[block.stream]
            stream.absorb(block)
            self._clips.update(stream.spec.name, block.times[:, 0], block.content)

    def seal(self, outcome: str | None, termination_reason: str, quality: dict[str, Any] | None = None) -> Episode:
        """Make the episode final, in one atomic step, and return it.

        Args:
            outcome: "success", "failure" or None where nobody judged it.
            termination_reason: why it ended, e.g. "operator", "max_steps", "disk_full".
            quality: more entries for the quality record.

        Raises:
            StoreError: the disk failed; the episode is left in `open/` for recovery.
        """
        if outcome not in OUTCOMES:
            raise StoreError(f"an outcome is 'success', 'failure' or None; got {outcome!r}.")
        if not termination_reason:
            raise StoreError("an episode needs a termination reason, such as 'operator'.")
        with files.explained(self._folder.path):
            files.remove(self._folder.ballast)
            try:
                self.flush()
            except files.DiskFullError:  # the journal no longer matters: everything is about to be sealed
                self._absorb([b for i, s in enumerate(self._streams) if (b := s.pending(i))])
            document = {
                "version": VERSION,
                "id": self.id,
                "contract": self.contract.to_json(),
                "metadata": {**self.metadata, "outcome": outcome, "termination_reason": termination_reason},
                "quality": {
                    "streams": {s.spec.name: s.meter.record() for s in self._streams},
                    "commands": self._clips.record(),
                    **(quality or {}),
                },
            }
            self._journal.close()
            publish(self._store.path, self._folder, self._streams, {ATTRIBUTE: document})
        self._closed = True
        return self._store.episode(self.id)

    def discard(self) -> None:
        """Throw the episode away."""
        if self._closed:
            return
        self._closed = True
        with files.explained(self._folder.path):
            self.abandon()
            self._folder.remove()

    def abandon(self) -> None:
        """Close all files as they are; what was flushed is left for recovery."""
        self._journal.close()
        for stream in self._streams:
            stream.abandon()


def _tail_bytes(stream: StreamWriter) -> int:
    """What sealing may still have to write for one stream: two blocks of values and of times, and metadata."""
    blocks = sum(2 * layout.chunk * layout.sample_bytes for layout in (stream.layout, TIME))
    return blocks + 64 * 1024
