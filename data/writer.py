"""Writing one episode: samples in, at least the flushed ones on the disk, a sealed episode out."""

from __future__ import annotations

import threading
from collections.abc import Iterable
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from robot_learning import __version__
from robot_learning.clock import Clock, SystemClock
from robot_learning.contract import Contract
from robot_learning.data import files
from robot_learning.data.format import OUTCOMES, VERSION, dump
from robot_learning.data.journal import Block, JournalWriter
from robot_learning.data.openfolder import OpenFolder
from robot_learning.data.quality import ClipMeter
from robot_learning.data.sample import Sample
from robot_learning.data.sealing import seal
from robot_learning.data.streamwriter import StreamWriter, check_sample
from robot_learning.errors import StoreError

if TYPE_CHECKING:
    from robot_learning.data.store import Episode, Store

BALLAST_BYTES = 4 * 1024 * 1024


def check_ending(outcome: str | None, termination_reason: str) -> None:
    """Raise StoreError unless an episode may end so."""
    if outcome not in OUTCOMES:
        raise StoreError(f"an outcome is 'success', 'failure' or None; got {outcome!r}.")
    if not termination_reason:
        raise StoreError("an episode needs a termination reason, such as 'operator'.")


class EpisodeWriter:
    """Writes one episode into `open/<id>/` and seals it. For one thread; several writers need no lock.

    Samples survive the death of the process after :meth:`flush`, a power cut after :meth:`sync`.
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
            try:
                files.write(self._folder.header, content)
                self._streams = [StreamWriter(self._folder, spec) for spec in contract.streams]
                files.reserve(self._folder.ballast, BALLAST_BYTES + sum(s.tail_bytes for s in self._streams))
                self._journal = JournalWriter(self._folder.journal)
                files.sync_path(self._folder.path)
                files.sync_path(self._folder.path.parent)
            except OSError:
                self._folder.remove()
                raise
        self._by_name = {s.spec.name: s for s in self._streams}
        self._clips = ClipMeter()
        self._unsynced: set[Path] = set()
        self._lock = threading.Lock()

    @property
    def id(self) -> str:
        """The episode's ULID."""
        return self._folder.id

    @property
    def counts(self) -> dict[str, int]:
        """Samples taken so far, per stream."""
        return {s.spec.name: s.count for s in self._streams}

    @property
    def bytes(self) -> int:
        """Size of the values written so far, encoded."""
        return sum(s.data.bytes for s in self._streams)

    def append(self, samples: Iterable[Sample]) -> None:
        """Take samples; large ones are encoded and written at once, the others by :meth:`flush`.

        Raises:
            UnknownName, StoreError: a sample does not fit the contract; it and those behind it are not taken.
            DiskFullError: no space; the samples before are kept, and :meth:`seal` still works.
        """
        with files.explained(self._folder.path):
            for sample in samples:
                check_sample(self.specs, sample)
                self._by_name[sample.stream].append(sample)

    def flush(self) -> None:
        """Hand all samples so far to the operating system: they survive the death of this process."""
        blocks = [b for i, s in enumerate(self._streams) if (b := s.pending(i))]
        if not blocks:
            return
        with files.explained(self._folder.path):
            self._journal.append(blocks)
            self._absorb(blocks)
            for block in blocks:
                self._streams[block.stream].drain()
        with self._lock:
            self._unsynced.add(self._folder.journal)
            for stream in self._streams:
                self._unsynced |= stream.data.unsynced
                stream.data.unsynced = set()

    def sync(self) -> None:
        """Return once all that is flushed is on the disk: it survives a power cut.

        May run on another thread than the other methods, because a busy disk can take seconds.
        """
        with self._lock:
            paths, self._unsynced = self._unsynced, set()
        with files.explained(self._folder.path):
            files.sync_all(paths)

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
        check_ending(outcome, termination_reason)
        try:
            with files.explained(self._folder.path):
                files.remove(self._folder.ballast)
                try:
                    self.flush()
                except files.DiskFullError:  # the journal no longer matters: everything is about to be sealed
                    self._absorb([b for i, s in enumerate(self._streams) if (b := s.pending(i))])
                self._journal.close()
                metadata = {**self.metadata, "outcome": outcome, "termination_reason": termination_reason}
                record = {"commands": self._clips.record(), **(quality or {})}
                seal(self._store.path, self._folder, self.contract, metadata, self._streams, record)
        except BaseException:
            self.abandon()
            raise
        return self._store.episode(self.id)

    def discard(self) -> None:
        """Throw the episode away."""
        self.abandon()
        with files.explained(self._folder.path):
            self._folder.remove()

    def abandon(self) -> None:
        """Close all files as they are and let go of the episode; what was flushed is left for recovery."""
        self._journal.close()
        for stream in self._streams:
            stream.abandon()
        self._folder.release()
