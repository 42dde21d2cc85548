"""Things to do one after another without ever waiting: generators that go on at each tick."""

from __future__ import annotations

from collections.abc import Callable, Generator
from dataclasses import dataclass
from typing import TypeVar

from robot_learning.clock import Clock, seconds_to_ns
from robot_learning.errors import UserError

_PATIENCE_S = 30.0  # for an answer, or for something to come
_RETRY_S = 0.5
_LOST_S = 4.0  # an answer that has not come by then is lost

T = TypeVar("T")
Script = Generator[bool, None, T]  # goes on at each tick


class ScriptError(UserError):
    """A station does not do what the script needs."""


@dataclass
class Answer:
    """What a service said; `success` is None until it did."""

    success: bool | None = None
    message: str = ""

    def give(self, success: bool, message: str) -> None:
        """It has answered."""
        self.success, self.message = success, message


class Scripted:
    """What scripts have in common. Subclasses give `run`; :meth:`tick` goes on with it.

    Attributes:
        finished: whether it came to its end.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._script: Script[None] | None = None
        self.finished = False

    def run(self) -> Script[None]:
        """The script."""
        raise NotImplementedError

    def tick(self) -> None:
        """Go on.

        Raises:
            ScriptError: something did not come or was refused for good; the sentence says what.
        """
        if self._script is None:
            self._script = self.run()
        if next(self._script, None) is None:
            self.finished = True

    def until(self, condition: Callable[[], bool], complaint: Callable[[], str]) -> Script[None]:
        """Go on once `condition` holds."""
        end = self._clock.now_ns() + seconds_to_ns(_PATIENCE_S)
        while not condition():
            if self._clock.now_ns() > end:
                raise ScriptError(f"{complaint()} for {_PATIENCE_S:.0f} s; see that the rig's nodes are running.")
            yield True

    def pause(self, seconds: float) -> Script[None]:
        """Go on after `seconds` [s]."""
        end = self._clock.now_ns() + seconds_to_ns(seconds)
        while self._clock.now_ns() < end:
            yield True

    def answered(self, answer: Answer, what: str) -> Script[None]:
        """Go on once a service has said yes."""
        yield from self._said(answer, what)
        if not answer.success:
            raise ScriptError(f"the station refused to {what}: {answer.message}")

    def repeat(self, ask: Callable[[], Answer], what: str) -> Script[None]:
        """As :meth:`answered`, but asks again where no answer comes: for what may be done twice.

        The answer to a service's first call may get lost, where the server has not discovered its client yet.
        """
        end = self._clock.now_ns() + seconds_to_ns(_PATIENCE_S)
        while True:
            answer, lost = ask(), self._clock.now_ns() + seconds_to_ns(_LOST_S)
            while answer.success is None and self._clock.now_ns() < lost:
                yield True
            if answer.success is not None or self._clock.now_ns() > end:
                break
        yield from self.answered(answer, what)

    def insist(self, ask: Callable[[], Answer], what: str) -> Script[None]:
        """Ask again for a while: what has only just started may not be ready."""
        end = self._clock.now_ns() + seconds_to_ns(_PATIENCE_S)
        while True:
            answer = ask()
            yield from self._said(answer, what)
            if answer.success:
                return
            if self._clock.now_ns() > end:
                raise ScriptError(f"the station refused to {what}: {answer.message}")
            yield from self.pause(_RETRY_S)

    def _said(self, answer: Answer, what: str) -> Script[None]:
        yield from self.until(lambda: answer.success is not None, lambda: f"no answer came to the call to {what}")
