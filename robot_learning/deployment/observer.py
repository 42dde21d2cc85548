"""What a policy sees now, from samples as they come, through the alignment that it was trained with."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

import numpy as np

from robot_learning.contract import Contract
from robot_learning.data.alignment import StreamSource
from robot_learning.data.images import resize
from robot_learning.data.live import LiveBuffer
from robot_learning.data.sample import Sample
from robot_learning.data.windows import StaleObservation, observe
from robot_learning.deployment.wire import ServerInfo
from robot_learning.errors import UserError


class Blind(UserError):
    """Features that a policy must see are missing or too old; it names each, its age, and why if that is known."""


@dataclass(frozen=True)
class Observation:
    """What a policy sees at one instant.

    Attributes:
        values: feature name to (To, *shape) of the stream's dtype, colour images at the policy's size.
        oldest_ns: the newest stamp of that stream whose newest stamp is the oldest [ns].
    """

    values: dict[str, np.ndarray]
    oldest_ns: int


class Observer:
    """Keeps the newest samples of the streams that a policy observes.

    Attributes:
        streams: their names.
    """

    def __init__(self, contract: Contract, info: ServerInfo) -> None:
        self._info = info
        seen = tuple(f for f in contract.features if f.name in info.observations)
        self._contract = contract.model_copy(update={"features": seen})
        self._buffer = LiveBuffer(self._contract, (info.To - 1) / contract.policy_rate_hz)
        self.streams = tuple(dict.fromkeys(f.stream for f in seen))
        self._refusals: dict[str, str] = {}

    def extend(self, samples: Iterable[Sample]) -> None:
        """Add samples; those of other streams are left alone."""
        for sample in samples:
            before = self._buffer.late.get(sample.stream, 0)
            self._buffer.extend([sample])
            if self._buffer.late.get(sample.stream, 0) > before:
                self._refusals[sample.stream] = "its stamps went back in time"
            else:
                self._refusals.pop(sample.stream, None)

    def refused(self, stream: str, reason: str) -> None:
        """A message of a stream could not be used: said, should the stream be missed."""
        self._refusals[stream] = reason

    def observe(self, stamp_ns: int) -> Observation:
        """What is seen at `stamp_ns`, of what was received by then.

        Raises:
            Blind: features are missing or too old.
        """
        sources = self._buffer.sources
        try:
            values = observe(self._contract, sources, stamp_ns, self._info.To, self._info.observations)
        except StaleObservation:
            raise Blind("; ".join(self._missing(sources, stamp_ns))) from None
        for name in values:
            if self._contract.spec_of(name).is_image:
                values[name] = resize(values[name], self._info.image_size)
        newest = [int(s.stamp[np.asarray(s.received) <= stamp_ns].max()) for s in sources.values()]
        return Observation(values, min(newest))

    def _missing(self, sources: Mapping[str, StreamSource], stamp_ns: int) -> Iterator[str]:
        """A sentence for each feature that is missing, with why, as far as is known."""
        for name in self._info.observations:
            try:
                observe(self._contract, sources, stamp_ns, self._info.To, [name])
            except StaleObservation as stale:
                refusal = self._refusals.get(self._contract.feature(name).stream)
                yield f"{stale} ({refusal})" if refusal else str(stale)

    def forget_disorder(self) -> None:
        """Where a stream's stamps went back, begin anew with it, for they may stay there; nothing else is lost."""
        if self._buffer.late:
            self.clear()

    def clear(self) -> None:
        """Forget everything: time was set."""
        self._buffer.clear()
        self._refusals.clear()
