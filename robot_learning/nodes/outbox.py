"""From a device's thread to the executor's: a bounded queue that wakes the executor."""

from __future__ import annotations

import contextlib
from collections import deque
from collections.abc import Callable
from typing import Generic, TypeVar

from rclpy.node import Node

Item = TypeVar("Item")


class Outbox(Generic[Item]):
    """Threads put items in; the executor publishes them.

    Args:
        publish: called for each item, in the executor's thread.
        depth: of the queue; beyond it the oldest are dropped.

    Attributes:
        dropped: how many were.
    """

    def __init__(self, node: Node, publish: Callable[[Item], None], depth: int) -> None:
        self._publish, self._depth = publish, depth
        self._items: deque[Item] = deque()
        self.dropped = 0
        self._guard = node.create_guard_condition(self._drain)

    def put(self, item: Item) -> None:
        """From any thread; never waits."""
        if len(self._items) >= self._depth:
            with contextlib.suppress(IndexError):
                self._items.popleft()
                self.dropped += 1
        self._items.append(item)
        with contextlib.suppress(Exception):  # ROS may be gone already
            self._guard.trigger()

    def _drain(self) -> None:
        for _ in range(len(self._items)):  # those that came meanwhile have woken the executor again
            self._publish(self._items.popleft())
