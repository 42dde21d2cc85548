"""From a device's thread to those of ROS: what is published at a rate, and word of what is not."""

from __future__ import annotations

import contextlib
import queue
import threading
from collections import deque
from collections.abc import Callable
from typing import Any, Generic, TypeVar

from robot_learning.nodes.base import StationNode

Item = TypeVar("Item")
_END: Any = object()


class Outbox(Generic[Item]):
    """Publishes items in a thread of its own, so that neither the device nor the executor waits for it.

    The executor could do it, too, but each time that it wakes costs it half a millisecond of CPU, 200 times a second.

    Args:
        publish: called for each item, in the outbox's thread.
        depth: of the queue; beyond it the oldest are dropped.

    Attributes:
        dropped: how many were.
    """

    def __init__(self, name: str, publish: Callable[[Item], None], depth: int) -> None:
        self._publish, self._depth = publish, depth
        self._items: queue.SimpleQueue[Item] = queue.SimpleQueue()
        self.dropped = 0
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)
        self._thread.start()

    def put(self, item: Item) -> None:
        """From any thread; never waits."""
        if self._items.qsize() >= self._depth:
            with contextlib.suppress(queue.Empty):
                self._items.get_nowait()
                self.dropped += 1
        self._items.put(item)

    def close(self) -> None:
        """Publish what is left, and end."""
        self._items.put(_END)
        self._thread.join()

    def _run(self) -> None:
        while (item := self._items.get()) is not _END:
            self._publish(item)


class Notices(Generic[Item]):
    """Word from other threads, heard in the executor's.

    Args:
        hear: called for each, in the executor's thread.
    """

    def __init__(self, node: StationNode, hear: Callable[[Item], None]) -> None:
        self._hear = hear
        self._items: deque[Item] = deque()
        self._guard = node.create_guard_condition(self._drain)

    def put(self, item: Item) -> None:
        """From any thread; never waits."""
        self._items.append(item)
        with contextlib.suppress(Exception):  # ROS may be gone already
            self._guard.trigger()

    def _drain(self) -> None:
        for _ in range(len(self._items)):  # those that came meanwhile have woken the executor again
            self._hear(self._items.popleft())
