"""Recording: bounded queues in front of a thread that encodes and writes, and one that syncs."""

from __future__ import annotations

import math
import threading
import time
from collections import deque
from typing import Any

import numpy as np

from robot_learning.clock import Clock, SystemClock
from robot_learning.contract import Contract, StreamSpec
from robot_learning.data import files
from robot_learning.data.sample import Sample
from robot_learning.data.store import Episode, Store
from robot_learning.data.streamwriter import check_sample
from robot_learning.data.writer import EpisodeWriter, check_ending
from robot_learning.errors import StoreError

FLUSH_S = 0.5  # half of what may be lost at most, for the process may be held up
POLL_S = 0.02
QUEUE_PICTURES_MIN = 8
QUEUE_SAMPLES_MIN = 256  # of small ones: they may come all at once where a middleware has kept them for a while
DISK_RESERVE_BYTES = 1_000_000_000
_IDLE = "no episode is being recorded; call start first."


class _Queue:
    """Samples of one stream between its source and the writer."""

    def __init__(self, spec: StreamSpec, queue_s: float) -> None:
        self.spec = spec
        least = QUEUE_SAMPLES_MIN if spec.codec == "raw" else QUEUE_PICTURES_MIN
        self.capacity = max(least, math.ceil(queue_s * spec.rate_hz))
        self.samples: deque[Sample] = deque()
        self.offered = self.dropped = self.peak = 0


class Recorder:
    """Records episodes of one contract into a store, one at a time.

    Sources on any thread call :meth:`record`, which never waits for the disk. A full queue drops the
    new sample: that is counted, and the hole in the source's sequence stays in the record; nothing is
    repeated and nothing shifts. On a full disk the episode ends there and :meth:`stop` seals it.
    """

    def __init__(
        self,
        store: Store,
        contract: Contract,
        clock: Clock | None = None,
        queue_s: float = 2.0,
        disk_reserve_bytes: int = DISK_RESERVE_BYTES,
    ) -> None:
        """
        Args:
            queue_s: samples that may wait, per stream, as time at its nominal rate [s]; bounds the memory.
            disk_reserve_bytes: no episode starts with less free space.
        """
        self._store = store
        self._contract = contract
        self._clock = clock or SystemClock()
        self._queue_s = queue_s
        self._reserve = disk_reserve_bytes
        self._specs = {spec.name: spec for spec in contract.streams}
        self._writer: EpisodeWriter | None = None
        self._condition = threading.Condition()

    def __enter__(self) -> Recorder:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        """End an episode that is still being recorded: sealed, with the exception as its reason."""
        if self._writer is not None:
            self.stop(None, f"exception {kind.__name__}" if kind else "recorder closed")

    def start(self, task: str, operator: str = "", provenance: dict[str, Any] | None = None, **metadata: Any) -> str:
        """Begin an episode and return its id.

        Args:
            task: what is to be done, as one would tell a person.
            provenance: where it comes from: software, seed, policy checkpoint...
            metadata: more of it, e.g. `absent_streams`.

        Raises:
            StoreError: one is being recorded already, or the disk has less than the reserve left.
        """
        if self._writer is not None:
            raise StoreError(f"episode {self._writer.id} is still being recorded; stop or discard it first.")
        free = files.free_bytes(self._store.path)
        if free < self._reserve:
            raise files.DiskFullError(
                f"the disk of {self._store.path} has {free / 1e9:.2f} GB free, an episode starts with at least "
                f"{self._reserve / 1e9:.2f} GB; free some space or lower the reserve."
            )
        content = {"task": task, "operator": operator, "provenance": provenance or {}, **metadata}
        self._writer = EpisodeWriter(self._store, self._contract, content, self._clock)
        self._queues = {name: _Queue(spec, self._queue_s) for name, spec in self._specs.items()}
        self._reason = ""
        self._failure: BaseException | None = None
        self._stopping = False
        self._busy_s = 0.0
        self._thread = threading.Thread(target=self._work, name=f"record {self._writer.id}", daemon=True)
        self._sync_error: BaseException | None = None
        self._sync_thread = threading.Thread(target=self._sync, name=f"sync {self._writer.id}", daemon=True)
        self._thread.start()
        self._sync_thread.start()
        return self._writer.id

    def record(self, sample: Sample, owned: bool = False) -> bool:
        """Take one sample; never blocks on the disk. False: it was dropped, and counted.

        The data is copied, so that a driver may reuse its buffer.

        Args:
            owned: nobody will change the data: it is kept as it is.

        Raises:
            UnknownName, StoreError: it does not fit the contract, or no episode is being recorded.
        """
        return self._offer(sample, wait=False, owned=owned)

    def record_blocking(self, sample: Sample) -> bool:
        """As :meth:`record`, but waits for room: for simulations, whose clock waits too."""
        return self._offer(sample, wait=True)

    def _offer(self, sample: Sample, wait: bool, owned: bool = False) -> bool:
        if self._writer is None:
            raise StoreError(_IDLE)
        check_sample(self._specs, sample)
        if not owned:
            sample = sample._replace(data=np.array(sample.data))
        queue = self._queues[sample.stream]
        with self._condition:
            while wait and len(queue.samples) >= queue.capacity and not self._ended:
                self._condition.wait(POLL_S)
            queue.offered += 1
            if self._ended or len(queue.samples) >= queue.capacity:
                queue.dropped += 1
                return False
            queue.samples.append(sample)
            queue.peak = max(queue.peak, len(queue.samples))
        return True

    @property
    def _ended(self) -> bool:
        return self._stopping or bool(self._reason)

    def stop(
        self, outcome: str | None, termination_reason: str, quality: dict[str, Any] | None = None, **metadata: Any
    ) -> Episode:
        """End the episode, write what is queued, seal it.

        A reason that came first, such as "disk_full", is kept instead of `termination_reason`.

        Args:
            quality: more entries for the quality record.
            metadata: what was learnt while recording, beside what :meth:`start` was given; a recovery lacks it.

        Raises:
            StoreError: it could not be sealed; it is left in `open/`, and recovery gets what was flushed.
        """
        check_ending(outcome, termination_reason)
        writer = self._finish_thread()
        self._writer = None
        if self._failure is not None and not isinstance(self._failure, StoreError):
            writer.abandon()
            raise self._failure
        writer.metadata |= metadata
        record = {"recorder": self._account(), **(quality or {})}
        return writer.seal(outcome, self._reason or termination_reason, record)

    def discard(self) -> None:
        """Throw the episode away."""
        self._finish_thread().discard()
        self._writer = None

    def status(self) -> dict[str, Any]:
        """What goes on now: id, bytes written, per stream offered, dropped, queued; why it ended, if it did."""
        if self._writer is None:
            return {"recording": False}
        now = {"recording": not self._ended, "id": self._writer.id, "ended": self._reason}
        return {**now, "bytes": self._writer.bytes, **self._account()}

    def _account(self) -> dict[str, Any]:
        streams = {
            name: {"offered": q.offered, "dropped": q.dropped, "queue_peak": q.peak, "queue_capacity": q.capacity}
            for name, q in self._queues.items()
        }
        return {"streams": streams, "writer_busy_s": self._busy_s}

    def _finish_thread(self) -> EpisodeWriter:
        if self._writer is None:
            raise StoreError(_IDLE)
        with self._condition:
            self._stopping = True
            self._condition.notify_all()
        self._thread.join()
        self._sync_thread.join()
        return self._writer

    def _work(self) -> None:
        """The writer thread: drain the queues, flush, until stopped or the disk fails."""
        assert self._writer is not None
        flushed = time.monotonic()
        while True:
            with self._condition:
                if not self._stopping:
                    self._condition.wait(POLL_S)
                stopping = self._stopping
                batch = [s for queue in self._queues.values() for s in queue.samples]
                for queue in self._queues.values():
                    queue.samples.clear()
                self._condition.notify_all()
            try:
                if self._sync_error is not None:
                    raise self._sync_error
                self._writer.append(batch)
                if stopping or time.monotonic() - flushed >= FLUSH_S:
                    self._writer.flush()
                    flushed = time.monotonic()
            except BaseException as error:
                self._fail(error)
                return
            finally:
                self._busy_s = time.thread_time()
            if stopping:
                return

    def _sync(self) -> None:
        """The sync thread: a disk that is slow to confirm must not hold up the writer."""
        assert self._writer is not None
        while not self._stopping:
            try:
                self._writer.sync()
            except BaseException as error:
                self._sync_error = error
                return
            with self._condition:
                self._condition.wait_for(lambda: self._stopping, FLUSH_S)

    def _fail(self, error: BaseException) -> None:
        """End the episode; what was offered and is not in the writer counts as dropped."""
        assert self._writer is not None
        with self._condition:
            self._failure = error
            self._reason = "disk_full" if isinstance(error, files.DiskFullError) else "disk_error"
            for name, count in self._writer.counts.items():
                queue = self._queues[name]
                queue.samples.clear()
                queue.dropped = queue.offered - count
            self._condition.notify_all()
