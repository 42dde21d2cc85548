"""A device's clock as ours, and its frame numbers as one count that never goes back."""

from __future__ import annotations

from collections import deque

from robot_learning.clock import NS_PER_S

_WINDOW_NS = 10 * NS_PER_S  # clocks drift apart by up to 1e-4: 1 ms within it
_RESTART_NS = NS_PER_S
_NS_PER_MS = 1_000_000
_WRAP_NS = 2**32 * 1_000  # a counter of microseconds in 32 bits, as RealSense devices have it: 71.6 minutes


class Rising:
    """Stamps that rise: one that is a little earlier than the last becomes the next instant after it.

    One that is much earlier passes: then our own clock was set back, and so will all that follow be.
    """

    def __init__(self) -> None:
        self._last_ns = 0

    def __call__(self, stamp_ns: int) -> int:
        if self._last_ns - _RESTART_NS < stamp_ns <= self._last_ns:
            stamp_ns = self._last_ns + 1
        self._last_ns = stamp_ns
        return stamp_ns


class DeviceTime:
    """Maps stamps of a device's own clock to ours.

    A frame can arrive late but never early, so of the differences between arrival and device stamp in the last
    10 s the smallest tells the clocks' offset best. What is left is the shortest transport delay, which is constant:
    the latency calibration measures it. Intervals between stamps are the device's own.
    """

    def __init__(self) -> None:
        self._rising = Rising()
        self.restart()

    def restart(self) -> None:
        """The device's clock began anew; stamps still do not go back."""
        self._last_ns: int | None = None
        self._turned_ns = 0
        self._offsets: deque[tuple[int, int]] = deque()  # arrival, offset; offsets rise from first to last

    def map(self, device_ms: float, arrived_ns: int) -> int:
        """When a frame was exposed, in our time [ns].

        Args:
            device_ms: its stamp [ms] by the device's clock.
            arrived_ns: when it came, by ours.
        """
        device_ns = round(device_ms * _NS_PER_MS) + self._turned_ns
        if self._last_ns is not None and device_ns < self._last_ns:
            if self._last_ns - device_ns > _WRAP_NS // 2:
                self._turned_ns += _WRAP_NS
                device_ns += _WRAP_NS
            else:
                self.restart()
                device_ns = round(device_ms * _NS_PER_MS)
        self._last_ns = device_ns
        offset = arrived_ns - device_ns
        if self._offsets and offset - self._offsets[0][1] > _RESTART_NS:
            self._offsets.clear()  # the device stood still, or somebody set our clock
        while self._offsets and self._offsets[-1][1] >= offset:
            self._offsets.pop()
        self._offsets.append((arrived_ns, offset))
        while self._offsets[0][0] < arrived_ns - _WINDOW_NS:
            self._offsets.popleft()
        # The first frames may all be late, and a better offset then moves stamps back.
        return self._rising(device_ns + self._offsets[0][1])


class FrameCount:
    """A device's frame numbers as one rising count.

    Attributes:
        frames: how many came.
        missing: how many did not, by the holes in their numbers.
    """

    def __init__(self) -> None:
        self.frames = self.missing = 0
        self._last, self._offset = -1, 0
        self._begun = False

    def restart(self) -> None:
        """The device counts anew: after a connection, say. What it lost meanwhile it does not tell."""
        self._begun = False

    def see(self, number: int) -> int:
        """The count of a frame; a number that goes back is a device that counts anew."""
        if not self._begun or number + self._offset <= self._last:
            # The very first keeps its number.
            self._offset = self._last + 1 - number if self.frames else 0
            self._begun = True
        else:
            self.missing += number + self._offset - self._last - 1
        self._last = number + self._offset
        self.frames += 1
        return self._last
