"""Which depth and infrared belong to which colour image."""

from __future__ import annotations

from typing import Any

_APART = 0.55  # periods between stamps of frames that belong together: the nearest is within half of one


class Pairing:
    """Makes one set of frames for each colour image out of framesets as a librealsense pipeline delivers them.

    A pipeline hands out the newest frame of each stream whenever any has come (always so for recordings, which it does
    not synchronise, and for devices whose colour and depth run apart): the same frame comes several times, and beside
    a colour image may lie the depth of the one before. So a set is passed on once all its stamps agree, or, where
    they never do because a frame was lost, as it is when the next colour image comes.

    Args:
        period_ms: between frames.
        others: getters of what belongs to the colour frame, each applied to a frameset.
    """

    def __init__(self, period_ms: float, others: list[Any]) -> None:
        self._apart_ms, self._others = _APART * period_ms, others
        self._waiting: tuple[Any, int] | None = None
        self._done: tuple[int, float] | None = None

    def offer(self, frameset: Any, arrived_ns: int) -> list[tuple[Any, int]]:
        """The sets that are to be passed on now, in order, each with when its colour image came."""
        key, passed = _key(frameset), []
        if key is None or key == self._done:
            return []
        if self._waiting is not None:
            if _key(self._waiting[0]) == key:
                arrived_ns = self._waiting[1]
            else:
                passed.append(self._waiting)
        self._waiting, self._done = (frameset, arrived_ns), None
        if all(self.belongs(frameset, other) for other in self._others):
            passed.append(self._waiting)
            self._waiting, self._done = None, key
        return passed

    def belongs(self, frameset: Any, other: Any) -> bool:
        """Whether another frame of a set was taken with its colour image; stamps of two clocks can't tell."""
        frame, colour = other(frameset), frameset.get_color_frame()
        if not frame:
            return False
        if frame.get_frame_timestamp_domain() != colour.get_frame_timestamp_domain():
            return True
        return bool(abs(frame.get_timestamp() - colour.get_timestamp()) <= self._apart_ms)

    def flush(self) -> list[tuple[Any, int]]:
        """The set that still waits, where no more will come."""
        waiting, self._waiting = self._waiting, None
        return [waiting] if waiting else []


def _key(frameset: Any) -> tuple[int, float] | None:
    """What tells one colour image from the next; None where there is none yet."""
    colour = frameset.get_color_frame()
    return (colour.get_frame_number(), colour.get_timestamp()) if colour else None
