"""The newest samples of each observed stream, in bounded memory, for a policy that runs now."""

from __future__ import annotations

import math
import threading
from collections import deque
from collections.abc import Iterable, Mapping, Sequence

import numpy as np

from robot_learning.clock import seconds_to_ns
from robot_learning.contract import Contract, StreamSpec
from robot_learning.data.alignment import StreamSource
from robot_learning.data.sample import Sample
from robot_learning.errors import ContractMismatch


class LiveStream:
    """Samples of one stream at one moment; a :class:`StreamSource` that later samples don't change."""

    def __init__(self, spec: StreamSpec, samples: Sequence[Sample]) -> None:
        self._spec, self._samples = spec, samples
        self.stamp = np.array([s.stamp_ns for s in samples], dtype=np.int64)
        self.received = np.array([s.received_ns for s in samples], dtype=np.int64)

    def __len__(self) -> int:
        return len(self._samples)

    def read(self, indices: Sequence[int] | np.ndarray) -> np.ndarray:
        """(n, *shape) values of the samples at `indices`."""
        out = np.empty((len(indices), *self._spec.shape), dtype=self._spec.dtype)
        for row, index in enumerate(indices):
            out[row] = self._samples[index].data
        return out


class LiveBuffer:
    """Keeps what :func:`robot_learning.data.windows.observe` needs; one thread may fill it while another reads.

    Args:
        contract: streams that no observation reads are not kept.
        seconds: how far back a window reaches, `(To - 1) / policy_rate_hz`; each stream's maximum age and period
            are added to it.

    Attributes:
        late: samples left out because they were stamped before their stream's last one, by stream.
    """

    def __init__(self, contract: Contract, seconds: float) -> None:
        self._specs = {f.stream: contract.stream(f.stream) for f in contract.observations}
        self._contract = contract
        self._keep_ns, self._rings = {}, {}
        for name, spec in self._specs.items():
            age = max(f.max_age_s for f in contract.observations if f.stream == name)
            keep_s = seconds + age + 2 / spec.rate_hz
            self._keep_ns[name] = seconds_to_ns(keep_s)
            # A stream faster than it says is kept to twice its nominal count, and no further.
            self._rings[name] = deque[Sample](maxlen=math.ceil(2 * keep_s * spec.rate_hz) + 2)
        self._first: dict[str, Sample] = {}
        self._lock = threading.Lock()
        self.late: dict[str, int] = {}

    def extend(self, samples: Iterable[Sample]) -> None:
        """Add samples; their arrays are kept, not copied, so they must not change afterwards.

        Raises:
            UnknownName: a stream that the contract does not have.
            ContractMismatch: a value of another shape than its stream's.
        """
        with self._lock:
            for sample in samples:
                spec = self._specs.get(sample.stream)
                if spec is None:
                    self._contract.stream(sample.stream)
                    continue
                if np.shape(sample.data) != spec.shape:
                    raise ContractMismatch(
                        f"a sample of stream '{sample.stream}' has shape {np.shape(sample.data)}, "
                        f"the contract says {spec.shape}."
                    )
                self._add(sample)

    def _add(self, sample: Sample) -> None:
        ring = self._rings[sample.stream]
        if ring and sample.stamp_ns < ring[-1].stamp_ns:
            self.late[sample.stream] = self.late.get(sample.stream, 0) + 1
            return
        # The first one of all stays: where an episode begins decides how its first windows are padded.
        self._first.setdefault(sample.stream, sample)
        ring.append(sample)
        oldest = sample.stamp_ns - self._keep_ns[sample.stream]
        while ring[0].stamp_ns < oldest:
            ring.popleft()

    @property
    def sources(self) -> Mapping[str, StreamSource]:
        """The streams as they are now; what comes later does not change them."""
        with self._lock:
            kept = {name: list(ring) for name, ring in self._rings.items()}
            first = dict(self._first)
        return {
            name: LiveStream(
                self._specs[name], samples if not samples or samples[0] is first[name] else [first[name], *samples]
            )
            for name, samples in kept.items()
        }

    def clear(self) -> None:
        """Forget everything: a new episode begins."""
        with self._lock:
            for ring in self._rings.values():
                ring.clear()
            self._first.clear()
            self.late.clear()
