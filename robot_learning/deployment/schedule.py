"""When each action of a chunk is sent. Plain Python and numpy; the caller owns time.

A chunk predicted from the observation at time t is meant for t, t + step, t + 2 step, ... By the time it is there,
some of that has passed. So each action is sent at its own time, less the calibrated delay of the actuator; what is
too late is dropped, and a newer chunk replaces what an older one had for the same times (UMI's latency matching,
Chi et al., RSS 2024, section IV). Observations lie on one grid of steps, and with them all chunks.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np

from robot_learning.clock import seconds_to_ns
from robot_learning.rig_parts.sections import ExecutionConfig

_REMEMBERED = 64  # actions already sent that a next chunk may be asked to begin with


@dataclass(frozen=True)
class Action:
    """One action to send now.

    Attributes:
        values: (Da,) in the contract's units.
        due_ns: when it should have been sent [ns]: its own time, less the actuator's delay.
        chunk_id: of the newest chunk that it comes from.
        held: the last action once more, since no chunk reaches further.
    """

    values: np.ndarray
    due_ns: int
    chunk_id: int
    held: bool


class ChunkScheduler(Protocol):
    """Turns chunks, which come late and unevenly, into one action per step."""

    def add(self, chunk: np.ndarray, stamp_ns: int, now_ns: int, chunk_id: int = 0) -> int:
        """Take a chunk (n, Da) whose first action is meant for `stamp_ns`; returns how many of it came too late.

        One that is not newer than the newest so far changes nothing, and all of it counts as late. Where all
        actions of a newer one are too late and nothing else is scheduled, its last is due at the next step.
        """
        ...

    def due(self, now_ns: int) -> Action | None:
        """The newest action that is due and not sent yet; the last one again, each step, where chunks ran out.

        None: nothing is due yet, or :meth:`ran_dry`.
        """
        ...

    def ran_dry(self, now_ns: int) -> bool:
        """Whether the last action has been held for as long as it may be."""
        ...

    def remaining_s(self, now_ns: int) -> float:
        """For how long there are actions [s]; 0 where there are none."""
        ...

    def committed(self, stamp_ns: int, d_max: int) -> np.ndarray | None:
        """What is scheduled, or was sent, for `stamp_ns` and the steps after it: (d, Da), 1 <= d <= d_max.

        It ends at the first step for which there is nothing. None: nothing at `stamp_ns` itself.
        """
        ...

    def clear(self) -> None:
        """Forget everything: nothing is due until a chunk comes that was asked for after this."""
        ...


@dataclass
class Slot:
    """One step of the plan: what chunks, the oldest first, say of it."""

    due_ns: int
    values: list[np.ndarray]
    chunk_ids: list[int] = field(default_factory=list)


class TimestampScheduler:
    """Each action at its own time; a newer chunk replaces an older one's.

    Args:
        config: delay, margin, and how long the last action is held.
        step_ns: between two actions of a chunk [ns], `data.windows.step_ns(contract)`.

    Attributes:
        skipped: actions that were due but never sent, for a newer one was due, too: the caller came late.
    """

    def __init__(self, config: ExecutionConfig, step_ns: int) -> None:
        self._delay_ns = seconds_to_ns(config.actuator_delay_s)
        self._margin_ns = seconds_to_ns(config.margin_s)
        self._hold_ns = seconds_to_ns(config.hold_s)
        self._step_ns = step_ns
        self.skipped = 0
        self.clear()

    def clear(self) -> None:
        self._plan: deque[Slot] = deque()
        self._sent: deque[tuple[int, np.ndarray]] = deque(maxlen=_REMEMBERED)  # due, values
        self._newest_ns: int | None = None
        self._last: Action | None = None
        self._next_held_ns = 0

    def add(self, chunk: np.ndarray, stamp_ns: int, now_ns: int, chunk_id: int = 0) -> int:
        if self._newest_ns is not None and stamp_ns <= self._newest_ns:
            return len(chunk)
        self._newest_ns = stamp_ns
        due = stamp_ns - self._delay_ns + self._step_ns * np.arange(len(chunk), dtype=np.int64)
        late = int(np.searchsorted(due, now_ns + self._margin_ns))
        fresh = [
            Slot(int(t), [values], [chunk_id])
            for t, values in zip(due[late:], np.array(chunk[late:], dtype=np.float64), strict=True)
        ]
        if not fresh and not self._plan:
            steps_late = -(-(now_ns + self._margin_ns - int(due[-1])) // self._step_ns)
            next_ns = int(due[-1]) + steps_late * self._step_ns
            fresh = [Slot(next_ns, [np.array(chunk[-1], dtype=np.float64)], [chunk_id])]
        if fresh:
            self._merge(fresh)
        return late

    def due(self, now_ns: int) -> Action | None:
        slot = None
        while self._plan and self._plan[0].due_ns <= now_ns:
            self.skipped += slot is not None
            slot = self._plan.popleft()
            self._sent.append((slot.due_ns, self._combine(slot)))
        if slot is not None:
            self._last = Action(self._sent[-1][1], slot.due_ns, slot.chunk_ids[-1], held=False)
            self._next_held_ns = slot.due_ns + self._step_ns
            return None if self.ran_dry(now_ns) else self._last
        if self._plan or self._last is None or now_ns < self._next_held_ns or self.ran_dry(now_ns):
            return None
        steps = (now_ns - self._next_held_ns) // self._step_ns
        held = Action(self._last.values, self._next_held_ns + steps * self._step_ns, self._last.chunk_id, held=True)
        self._next_held_ns = held.due_ns + self._step_ns
        return held

    def ran_dry(self, now_ns: int) -> bool:
        if self._plan or self._last is None:
            return False
        return now_ns - self._last.due_ns > self._step_ns + self._hold_ns  # an action lasts a step, then it is held

    def remaining_s(self, now_ns: int) -> float:
        return max(0.0, (self._plan[-1].due_ns - now_ns) / 1e9) if self._plan else 0.0

    def committed(self, stamp_ns: int, d_max: int) -> np.ndarray | None:
        known = [*self._sent, *((slot.due_ns, self._combine(slot)) for slot in self._plan)]
        prefix: list[np.ndarray] = []
        wanted_ns = stamp_ns - self._delay_ns
        for due_ns, values in known:
            if len(prefix) == d_max or due_ns > wanted_ns + self._step_ns // 2:
                break
            if due_ns >= wanted_ns - self._step_ns // 2:
                prefix.append(values)
                wanted_ns += self._step_ns
        return np.array(prefix) if prefix else None

    def _merge(self, fresh: list[Slot]) -> None:
        """Put a new chunk's steps, in order, into the plan."""
        while self._plan and self._plan[-1].due_ns >= fresh[0].due_ns - self._step_ns // 2:
            self._plan.pop()
        self._plan.extend(fresh)

    def _combine(self, slot: Slot) -> np.ndarray:
        """The action of one step."""
        return slot.values[-1]
