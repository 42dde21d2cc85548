"""What a page in a browser says, checked; who of several pages commands; and until when it counts. No sockets."""

from __future__ import annotations

import json
import threading
from collections import OrderedDict
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from pydantic import Field, ValidationError, field_validator

from robot_learning.clock import seconds_to_ns
from robot_learning.contract import Frozen
from robot_learning.drivers.teleop.hands import Reading
from robot_learning.rig_parts.teleop_inputs import WEB, WORDS

_NS_PER_MS = 1_000_000
_RELEASE_S = 2.0  # a page that was silent for so long no longer commands
_WORDS_MAX = 32  # that wait to be read
_PAGES = 64  # whose last number is remembered


class BadSaying(ValueError):
    """What a page said can't be used."""


class Saying(Frozen):
    """One message of a page.

    Attributes:
        page: who says it: 32 hexadecimal digits that the page drew.
        number: counts up, so that a message that comes twice does nothing twice.
        echo: the time that the newest answer told [ms], None in the first message: no message is younger than what it
            answers, so its age is known without comparing clocks.
        axes: by name, each in [-1, 1].
        touched: whether a stick or slider is.
        words: what was pressed since the last message.
        leaves: whether the page goes away.
    """

    page: str = Field(pattern="^[0-9a-f]{32}$", strict=True)
    number: int = Field(ge=0, lt=2**53, strict=True)
    echo: int | None = Field(default=None, ge=0, lt=2**53, strict=True)
    axes: dict[str, float] = Field(default={}, max_length=len(WEB.axes))
    touched: bool = Field(default=False, strict=True)
    words: tuple[str, ...] = Field(default=(), max_length=8)
    leaves: bool = Field(default=False, strict=True)

    @field_validator("axes")
    @classmethod
    def _check_axes(cls, axes: dict[str, float]) -> dict[str, float]:
        for name, value in axes.items():
            if name not in WEB.axes or not -1 <= value <= 1:
                raise ValueError(f"axes are {', '.join(WEB.axes)}, each from -1 to 1")
        return axes

    @field_validator("words")
    @classmethod
    def _check_words(cls, words: tuple[str, ...]) -> tuple[str, ...]:
        if not set(words) <= set(WORDS):
            raise ValueError(f"words are {', '.join(WORDS)}")
        return words


def parse(data: bytes) -> Saying:
    """A message's content; BadSaying tells what is wrong with it, without repeating it."""
    try:
        content = json.loads(data)
    except (ValueError, RecursionError):
        raise BadSaying("this is not JSON.") from None
    try:
        return Saying.model_validate(content)
    except ValidationError as error:
        first = error.errors(include_input=False, include_url=False)[0]
        raise BadSaying(f"{'.'.join(map(str, first['loc'])) or 'the message'}: {first['msg'].lower()}.") from None


@dataclass
class _Page:
    """The one that commands.

    Attributes:
        valid_ns: until when what it said last counts.
        heard_ns: when it was heard last.
    """

    name: str
    heard_ns: int
    valid_ns: int = 0
    axes: Mapping[str, float] | None = None
    touched: bool = False


class Link:
    """Between the pages and who reads the device. For several threads.

    One page commands: the first whose hands are off the sticks. It does so until it leaves or is silent for 2 s. What
    it said counts until `timeout_s` after the answer that it had then seen, so that neither a lost connection nor a
    network that holds messages back leaves the dead-man closed. A stop is heard from every page, however late.

    Args:
        clock: a steady one [ns].
    """

    def __init__(self, timeout_s: float, clock: Callable[[], int]) -> None:
        self._timeout_ns, self._clock = seconds_to_ns(timeout_s), clock
        self._lock = threading.Lock()
        self._commands: _Page | None = None
        self._numbers: OrderedDict[str, int] = OrderedDict()
        self._words: list[str] = []
        self._shown: dict[str, Any] = {}

    def hear(self, saying: Saying) -> dict[str, Any]:
        """Take a message in, and what to answer."""
        with self._lock:
            now = self._clock()
            if saying.number > self._numbers.get(saying.page, -1):
                self._note(saying)
                self._take(saying, now)
            commands = self._commands is not None and self._commands.name == saying.page
            taken = self._commands is not None and not commands
            return {"now": now // _NS_PER_MS, "commands_here": commands, "commands_elsewhere": taken, **self._shown}

    def read(self) -> Reading:
        """What the page that commands says now; at rest where none does, or where its word is too old."""
        with self._lock:
            page, words = self._commands, tuple(self._words)
            self._words.clear()
            if page is None or page.axes is None or self._clock() > page.valid_ns:
                return Reading(pressed=words)
            return Reading(page.axes if page.touched else {}, pressed=words, touched=page.touched)

    def show(self, told: Mapping[str, Any]) -> None:
        """What the answers tell from now on, beside what they told."""
        with self._lock:
            self._shown |= told

    # Inside: with the lock held

    def _note(self, saying: Saying) -> None:
        self._numbers[saying.page] = saying.number
        self._numbers.move_to_end(saying.page)
        if len(self._numbers) > _PAGES:
            self._numbers.popitem(last=False)

    def _take(self, saying: Saying, now: int) -> None:
        words = saying.words
        valid = 0 if saying.echo is None else saying.echo * _NS_PER_MS + self._timeout_ns
        in_time = now <= valid <= now + self._timeout_ns
        self._let_go(now)
        if self._commands is None and in_time and not saying.touched and not saying.leaves:
            self._commands = _Page(saying.page, now)
        page = self._commands
        if page is None or page.name != saying.page or not in_time:
            words = tuple(word for word in words if word == "stop")
        elif saying.leaves:
            self._commands = None
        else:
            page.heard_ns, page.valid_ns = now, valid
            page.axes, page.touched = saying.axes, saying.touched
        self._words = [*self._words, *words][-_WORDS_MAX:]

    def _let_go(self, now: int) -> None:
        if self._commands and now - self._commands.heard_ns > seconds_to_ns(_RELEASE_S):
            self._commands = None
