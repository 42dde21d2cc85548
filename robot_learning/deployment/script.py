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

# What refusals say where a thing has been done already: data's and deployment's own words, tested together.
RECORDING, NOT_RECORDING, ACTING = "still being recorded", "no episode is being recorded", "the mode is policy"

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

    def repeat(self, ask: Callable[[], Answer], what: str, done: str = "") -> Script[None]:
        """Ask a service, and again where no answer comes. Go on once it has said yes.

        Args:
            done: what its refusal says where the thing has been done already: after a lost answer, that is a yes. Empty
                for what may be done twice.
        """
        answer, lost = yield from self._heard(ask, what)
        if not _is_yes(answer, lost, done):
            raise ScriptError(f"the station refused to {what}: {answer.message}")

    def insist(self, ask: Callable[[], Answer], what: str, done: str) -> Script[None]:
        """As :meth:`repeat`, but asks again for a while where it is refused: what has just started may not be ready."""
        end, lost = self._clock.now_ns() + seconds_to_ns(_PATIENCE_S), False
        while True:
            answer, lost_now = yield from self._heard(ask, what)
            lost = lost or lost_now
            if _is_yes(answer, lost, done):
                return
            if self._clock.now_ns() > end:
                raise ScriptError(f"the station refused to {what}: {answer.message}")
            yield from self.pause(_RETRY_S)

    def _heard(self, ask: Callable[[], Answer], what: str) -> Script[tuple[Answer, bool]]:
        """The first answer that comes, and whether it took more than one call.

        The answer to a service's first call gets lost where the server has not discovered its client yet.
        """
        end, answers = self._clock.now_ns() + seconds_to_ns(_PATIENCE_S), [ask()]
        again = self._clock.now_ns() + seconds_to_ns(_LOST_S)
        while not (come := [answer for answer in answers if answer.success is not None]):
            now = self._clock.now_ns()
            if now > end:
                raise ScriptError(
                    f"no answer came to the call to {what} for {_PATIENCE_S:.0f} s; see that the rig's nodes run."
                )
            if now > again:
                answers.append(ask())
                again = now + seconds_to_ns(_LOST_S)
            yield True
        return come[0], len(answers) > 1


def _is_yes(answer: Answer, lost: bool, done: str) -> bool:
    return bool(answer.success or (lost and done and done in answer.message))
