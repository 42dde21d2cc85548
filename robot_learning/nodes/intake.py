"""From topics to samples: the one way in which recorder and policy read a rig."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from rclpy.qos import QoSCompatibility, qos_check_compatible

from robot_learning import decode
from robot_learning.contract import Contract, StreamSpec
from robot_learning.data.sample import Sample
from robot_learning.decode import BadMessage
from robot_learning.nodes.base import StationNode
from robot_learning.nodes.monitor import Monitor
from robot_learning.nodes.qos import profile
from robot_learning.rig_sections import TopicConfig

_FUTURE_NS = 50_000_000  # a stamp may be so far ahead of its reception, for two clocks are never quite alike


class Intake:
    """Subscribes to the topics of some streams; one message may feed several.

    A message that can't be used is refused by name: its stream's monitor says why, and `refused` is told. Stamps
    come from headers, receive stamps and counts from the middleware, so that a hole is seen even if this process
    was the one that was too slow.

    Args:
        deliver: called with the samples of each message.
        refused: called with stream and reason.
        restarted: called with a stream that another publisher has taken over; its count goes on.
    """

    def __init__(
        self,
        node: StationNode,
        contract: Contract,
        sources: dict[str, TopicConfig],
        streams: Iterable[str],
        deliver: Callable[[list[Sample]], None],
        refused: Callable[[str, str], None] = lambda stream, reason: None,
        restarted: Callable[[str], None] = lambda stream: None,
    ) -> None:
        self._node, self._deliver, self._refused, self._restarted = node, deliver, refused, restarted
        self._specs = {name: contract.stream(name) for name in streams}
        self.subscriptions: dict[str, Any] = {}  # stream to its subscription
        topics: dict[tuple[str, str], list[tuple[StreamSpec, TopicConfig]]] = {}
        for name, spec in self._specs.items():
            config = sources[name]
            topics.setdefault((config.topic, config.type), []).append((spec, config))
            node.monitors[name] = Monitor(name, spec.rate_hz)
        for (topic, type), readers in topics.items():
            kind = "image" if readers[0][1].field == "image" else "state"
            reliable = all(config.reliability == "reliable" for _, config in readers)
            qos = profile(kind, "reliable" if reliable else "best_effort")
            callback = self._reader(topic, readers)
            subscription = node.subscribe(topic, type, qos, callback)
            self.subscriptions |= {spec.name: subscription for spec, _ in readers}

    def missing(self) -> dict[str, str]:
        """Streams that can't come as things are, and why: nobody publishes them, or not as the rig says."""
        found = {s.topic_name: why for s in self.subscriptions.values() if (why := self._wrong(s))}
        return {name: found[s.topic_name] for name, s in self.subscriptions.items() if s.topic_name in found}

    def publishers(self) -> dict[str, list[str]]:
        """Stream to the full names of the nodes that publish it."""
        topics = {s.topic_name for s in self.subscriptions.values()}
        names = {t: [_name(p) for p in self._node.get_publishers_info_by_topic(t)] for t in topics}
        return {stream: names[s.topic_name] for stream, s in self.subscriptions.items()}

    def _wrong(self, subscription: Any) -> str:
        """Why nothing can come from a subscription's topic, or not unmixed; empty: nothing is wrong."""
        topic, wanted = subscription.topic_name, subscription.msg_type.__module__.split(".")[0]
        wanted = f"{wanted}/msg/{subscription.msg_type.__name__}"
        publishers = self._node.get_publishers_info_by_topic(topic)
        if not publishers:
            return f"nobody publishes {topic}"
        if len(publishers) > 1:
            return f"{len(publishers)} publish {topic}: {', '.join(map(_name, publishers))}"
        if publishers[0].topic_type != wanted:
            return f"{_name(publishers[0])} publishes {topic} as {publishers[0].topic_type}, the rig says {wanted}"
        compatibility, reason = qos_check_compatible(publishers[0].qos_profile, subscription.qos_profile)
        if compatibility == QoSCompatibility.ERROR:
            return f"{_name(publishers[0])} publishes {topic} with an incompatible quality of service ({reason})"
        return ""

    def _reader(self, topic: str, readers: list[tuple[StreamSpec, TopicConfig]]) -> Callable[[Any, Any], None]:
        count = _Count()

        def read(message: Any, info: Any) -> None:
            received = int(info["received_timestamp"]) or self._node.clock.now_ns()
            if self._node.clock.simulated:
                received = self._node.clock.now_ns()  # the middleware stamps with the system's time
            sequence, missing, restarted = count(info)
            samples = []
            for spec, config in readers:
                monitor = self._node.monitors[spec.name]
                if restarted:
                    self._restarted(spec.name)
                try:
                    stamp = decode.stamp_of(message)
                    if stamp > received + _FUTURE_NS:
                        raise BadMessage(f"it is stamped {(stamp - received) / 1e9:.3f} s in the future")
                    value = decode.value(message, spec, config)
                except BadMessage as error:
                    reason = f"{topic}: message refused: {error}"
                    monitor.refuse(reason)
                    self._refused(spec.name, reason)
                    continue
                monitor.saw(stamp, received, missing)
                samples.append(Sample(spec.name, stamp, received, sequence, value))
            if samples:
                self._deliver(samples)

        return read


class _Count:
    """The publisher's own count as one that never goes back, also where another publisher takes over."""

    def __init__(self) -> None:
        self._publisher: Any = None
        self._last, self._offset = -1, 0

    def __call__(self, info: Any) -> tuple[int, int, bool]:
        """Sequence number, how many are missing just before it, and whether another publisher has taken over."""
        publisher = info.get("publisher_gid")
        number = info.get("publication_sequence_number")
        if number is None:  # a middleware that does not count
            self._last += 1
            return self._last, 0, False
        publisher = bytes(publisher["data"]) if publisher else b""
        first, restarted = self._publisher is None, False
        if publisher != self._publisher or number + self._offset <= self._last:
            self._publisher, self._offset = publisher, self._last + 1 - number
            restarted = not first
        sequence = number + self._offset
        missing = max(0, sequence - self._last - 1)
        self._last = sequence
        return sequence, missing, restarted


def _name(publisher: Any) -> str:
    """A publisher's node with its namespace."""
    return f"{publisher.node_namespace.rstrip('/')}/{publisher.node_name}"
