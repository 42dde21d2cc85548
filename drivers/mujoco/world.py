"""Physics on a simulated clock, with events at their own rates."""

from __future__ import annotations

from collections.abc import Callable

import mujoco

from robot_learning.clock import NS_PER_S
from robot_learning.drivers.mujoco.scene import PHYSICS_STEP_NS

Event = Callable[[int], None]


class World:
    """One MuJoCo scene whose time moves only when told to; it is a `Clock`.

    An event that is due between two physics steps happens at the later one and is told that step's
    time: stamps are what was measured, not what was planned. At equal times, events run in the
    order in which they were added.

    Attributes:
        model, data: MuJoCo's own.
    """

    def __init__(self, xml: str) -> None:
        self.model = mujoco.MjModel.from_xml_string(xml)
        self.data = mujoco.MjData(self.model)
        self._now_ns = 0
        self._events: list[tuple[float, Event]] = []  # rate [Hz], what to do
        self._counts: list[int] = []

    def every(self, rate_hz: float, event: Event) -> None:
        """Call `event(now_ns)` at `rate_hz`, from the next `start` on."""
        self._events.append((rate_hz, event))
        self._counts.append(0)

    def now_ns(self) -> int:
        """The simulated time since `start` [ns]."""
        return self._now_ns

    def sleep_until(self, stamp_ns: int) -> None:
        """Let the physics run until `stamp_ns`."""
        self.advance_to(stamp_ns)

    def clear(self) -> None:
        """Put `data` back to what a new world has, so that equal starts give equal runs, bit for bit."""
        mujoco.mj_resetData(self.model, self.data)

    def start(self) -> None:
        """Time zero, with whatever state `data` was given; every event happens once now."""
        self._now_ns = 0
        self._counts = [1] * len(self._events)
        mujoco.mj_forward(self.model, self.data)
        for _, event in self._events:
            event(0)

    def next_ns(self) -> int:
        """When the next event is due [ns]."""
        return min(self._dues())

    def advance_to(self, stamp_ns: int) -> None:
        """Step the physics until the first step at or after `stamp_ns`, and run the events on the way."""
        end = _step_at(stamp_ns)
        while True:
            dues = self._dues()
            stop = min([end, *dues])
            steps = (stop - self._now_ns) // PHYSICS_STEP_NS
            if steps > 0:
                mujoco.mj_step(self.model, self.data, steps)
                self._now_ns = stop
            elif stop == end and end not in dues:
                return
            mujoco.mj_kinematics(self.model, self.data)  # poses of now; mj_step leaves those of one step ago
            for i, due in enumerate(dues):
                if due == stop:
                    self._counts[i] += 1
                    self._events[i][1](stop)

    def _dues(self) -> list[int]:
        """When each event is due next [ns]."""
        return [_step_at(round(n * NS_PER_S / rate)) for n, (rate, _) in zip(self._counts, self._events, strict=True)]


def _step_at(stamp_ns: int) -> int:
    """The time of the first physics step at or after `stamp_ns` [ns]."""
    return -(-stamp_ns // PHYSICS_STEP_NS) * PHYSICS_STEP_NS
