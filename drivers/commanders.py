"""Who commands a robot: one at a time."""

from __future__ import annotations

from dataclasses import dataclass

from robot_learning.clock import Clock, seconds_to_ns

SILENCE_S = 1.0  # a commander that was silent for so long may be followed by another


@dataclass(frozen=True)
class Commander:
    """A source of targets.

    Attributes:
        name: the node whose it is; empty: not known yet.
        channel: by which way its targets come.
        id: of this very source on that channel.
    """

    name: str
    channel: str
    id: bytes = b""

    def rivals(self, other: Commander) -> bool:
        """Whether the two are not one and the same source; one source may use several channels."""
        if self.channel == other.channel:
            return self.id != other.id
        return bool(self.name and other.name) and self.name != other.name

    def __str__(self) -> str:
        return self.name or "an unknown node"


class Commanders:
    """Remembers who was heard lately."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._heard: dict[Commander, int] = {}

    def hear(self, commander: Commander) -> Commander | None:
        """A target came from `commander`; the rival that was heard within `SILENCE_S` before it, if any."""
        now = self._clock.now_ns()
        self._heard = {c: t for c, t in self._heard.items() if 0 <= now - t < seconds_to_ns(SILENCE_S)}
        rival = next((c for c in self._heard if c.rivals(commander)), None)
        self._heard[commander] = now
        return rival

    def newest(self) -> Commander | None:
        """Who was heard last, if that was within `SILENCE_S`."""
        now = self._clock.now_ns()
        recent = [(t, c) for c, t in self._heard.items() if 0 <= now - t < seconds_to_ns(SILENCE_S)]
        return max(recent, key=lambda pair: pair[0])[1] if recent else None

    def forget(self) -> None:
        """Time was set: nobody was heard."""
        self._heard.clear()
