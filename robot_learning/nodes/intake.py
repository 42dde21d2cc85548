"""From topics to samples: the one way in which recorder and policy read a rig."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from rclpy.callback_groups import CallbackGroup
from rclpy.qos import QoSCompatibility, qos_check_compatible

from robot_learning import decode
from robot_learning.contract import Contract, StreamSpec
from robot_learning.data.sample import Sample
from robot_learning.decode import BadMessage
from robot_learning.nodes.base import StationNode
from robot_learning.nodes.monitor import Monitor
from robot_learning.nodes.qos import ADVICE, profile
from robot_learning.rig_parts.sections import TopicConfig

_INCOMPATIBLE = "incompatible quality of service"
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
        polled: read nothing until :meth:`poll` is called, every 10 ms, say. Waiting for each message costs rclpy more
            than the message; and the middleware stamps and counts what waits. :meth:`check` is to be called, too.
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
        polled: bool = False,
    ) -> None:
        self._node, self._deliver, self._refused, self._restarted = node, deliver, refused, restarted
        self._specs = {name: contract.stream(name) for name in streams}
        self.subscriptions: dict[str, Any] = {}  # stream to its subscription
        self._readers: list[tuple[Any, Callable[[Any, Any], None]]] = []
        group = _Polled() if polled else None
        topics: dict[tuple[str, str], list[tuple[StreamSpec, TopicConfig]]] = {}
        for name, spec in self._specs.items():
            config = sources[name]
            topics.setdefault((config.topic, config.type), []).append((spec, config))
            node.monitors[name] = Monitor(name, spec.rate_hz)
        for (topic, type), readers in topics.items():
            kind = "image" if readers[0][1].field == "image" else "state"
            reliable = all(config.reliability == "reliable" for _, config in readers)
            qos = profile(kind, "reliable" if reliable else "best_effort")
            read = self._reader(topic, readers)
            subscription = node.subscribe(topic, type, qos, read, group)
            self._readers.append((subscription, read))
            self.subscriptions |= {spec.name: subscription for spec, _ in readers}

    def poll(self) -> None:
        """Read all that has come, in order for each topic."""
        for subscription, read in self._readers:
            with subscription.handle:
                while (taken := subscription.handle.take_message(subscription.msg_type, False)) is not None:
                    read(*taken)

    def missing(self) -> dict[str, str]:
        """Streams that can't come as things are, and why: nobody publishes them, or not as the rig says."""
        found = {s.topic_name: why for s in self.subscriptions.values() if (why := self._wrong(s))}
        return {name: found[s.topic_name] for name, s in self.subscriptions.items() if s.topic_name in found}

    def check(self) -> None:
        """Tell incompatible publishers as faults of the node, until they are gone."""
        for subscription, _ in self._readers:
            key, why = f"qos {subscription.topic_name}", self._wrong(subscription)
            if _INCOMPATIBLE in why:
                self._node.fault(key, why)
            else:
                self._node.clear_fault(key)

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
        names = sorted({_name(p) for p in publishers})  # one that was killed is listed for a while beside its successor
        if not publishers:
            return f"nobody publishes {topic}"
        if len(names) > 1:
            return f"{len(names)} nodes publish {topic}: {', '.join(names)}"
        typed = [p for p in publishers if p.topic_type == wanted]
        if not typed:
            return f"{names[0]} publishes {topic} as {publishers[0].topic_type}, the rig says {wanted}"
        verdicts = [qos_check_compatible(p.qos_profile, subscription.qos_profile) for p in typed]
        if all(compatibility == QoSCompatibility.ERROR for compatibility, _ in verdicts):
            return f"{names[0]} publishes {topic} with an {_INCOMPATIBLE} ({verdicts[0][1]}): {ADVICE}"
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


class _Polled(CallbackGroup):
    """Subscriptions that the executor does not wait for, nor for their events: those wake it at each message, too."""

    def can_execute(self, entity: Any) -> bool:
        return False

    def beginning_execution(self, entity: Any) -> bool:
        return False

    def ending_execution(self, entity: Any) -> None:
        pass


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
