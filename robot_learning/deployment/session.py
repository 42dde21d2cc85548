"""Episodes as an operator makes them: started when all is there, ended by a person or a fault. No ROS in here."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from robot_learning.clock import NS_PER_S, Clock, seconds_to_ns
from robot_learning.contract import Contract
from robot_learning.data import files
from robot_learning.data.recorder import DISK_RESERVE_BYTES, Recorder
from robot_learning.data.sample import Sample
from robot_learning.data.store import Store
from robot_learning.errors import StoreError, UserError
from robot_learning.topics import COMMANDER, OPTIONAL, is_action, is_continuous

PERIODS = 3  # a slow stream may be silent for so many of its periods, whatever the allowed gap
FRESH_S = 1.0  # what a stream must have sent within, for an episode to start
OLD_S = 5.0  # a stamp so far behind its reception comes from another clock
STALL_S = 0.5  # longer than this between two looks, this process stood still, and no stream is to blame
EVENTS_MAX = 1000  # of an episode; a source that flaps must not fill the memory
REASONS_MAX = 16


class NotReady(UserError):
    """An episode that can't be started, or a command that makes no sense now."""


@dataclass(frozen=True)
class Ended:
    """How an episode ended.

    Attributes:
        id: of the sealed episode; empty where it was thrown away or could not be sealed.
        reason: its termination reason.
        text: a sentence for the operator.
    """

    id: str
    outcome: str | None
    reason: str
    text: str


@dataclass
class _Heard:
    """What is known of one stream.

    Attributes:
        at_ns: when a sample that can be used was last delivered; None: never.
        age_ns: from that sample's stamp to its reception.
        newest_ns: the latest stamp.
        behind: whether stamps went back behind it and have not caught up.
        refusal: why its last message was refused.
    """

    at_ns: int | None = None
    age_ns: int = 0
    newest_ns: int | None = None
    behind: bool = False
    refusal: str = ""


class Session:
    """Records one episode after another from whatever samples come in. For one thread; recording has its own.

    Streams that are measured all the time must be there for an episode to start, and one that falls silent ends it.
    Those of the commands come only while somebody commands, so they may be silent.

    Attributes:
        recording: whether an episode is open.
        id: its id, or that of the last one.
    """

    def __init__(
        self,
        store: Store,
        contract: Contract,
        clock: Clock,
        max_gap_s: float = 1.0,
        queue_s: float = 2.0,
        disk_reserve_bytes: int = DISK_RESERVE_BYTES,
    ) -> None:
        """
        Args:
            max_gap_s: a stream silent for longer, by this clock, ends the episode; 0: never.
            queue_s, disk_reserve_bytes: see :class:`Recorder`.
        """
        self._store, self._contract, self._clock = store, contract, clock
        self._max_gap_s = max_gap_s
        self._recorder = Recorder(store, contract, clock, queue_s, disk_reserve_bytes)
        self._heard = {spec.name: _Heard() for spec in contract.streams}
        self._bytes_per_s = 0.0
        self.recording = False
        self._blank()

    def _blank(self) -> None:
        self.id = ""
        self._begin_ns = 0
        self._counts: Counter[str] = Counter()
        self._refused: dict[str, Counter[str]] = {}
        self._events: list[dict[str, Any]] = []
        self._marks: list[int] = []
        self._interventions: list[list[int]] = []
        self._human = False
        self._looked_ns = self._clock.now_ns()

    # What the operator does

    def start(
        self,
        task: str,
        operator: str = "",
        provenance: dict[str, Any] | None = None,
        missing: Mapping[str, str] | None = None,
    ) -> str:
        """Begin an episode and return its id.

        Args:
            missing: streams that can't come, and why: nobody publishes them, say. Optional ones are listed in the
                episode's `absent_streams`; any other refuses the start.

        Raises:
            NotReady: the message names each stream that is missing, silent or unusable, and why.
            StoreError: the disk is too full, or can't be written.
        """
        if self.recording:
            raise NotReady(f"episode {self.id} is still being recorded; stop or discard it first.")
        if not task:
            raise NotReady("nobody has said what is to be done; set the parameter 'task' or publish it on ~/task.")
        wrong = self.not_ready(missing or {})
        if wrong:
            by_reason: dict[str, list[str]] = {}
            for name, why in wrong.items():
                by_reason.setdefault(why, []).append(name)
            told = "; ".join(f"{', '.join(names)}: {why}" for why, names in by_reason.items())
            raise NotReady(f"recording can't start, {len(wrong)} of {len(self._heard)} streams fail: {told}.")
        absent = [name for name in OPTIONAL if name in (missing or {})]
        begin = self._clock.now_ns()
        id = self._recorder.start(task, operator, provenance, absent_streams=absent)
        self._blank()
        self.id, self.recording, self._begin_ns = id, True, begin
        now = self._clock.now_ns()
        for heard in self._heard.values():
            heard.at_ns, heard.behind = now, False  # making the files may have taken a while
        return id

    def not_ready(self, missing: Mapping[str, str]) -> dict[str, str]:
        """Streams that forbid a start now, and why; `missing` as in :meth:`start`."""
        wrong = {name: why for name, why in missing.items() if name not in OPTIONAL}
        for spec in self._contract.streams:
            if spec.name not in missing and is_continuous(spec.name):
                why = self._unusable(self._heard[spec.name], spec.rate_hz)
                if why:
                    wrong[spec.name] = why
        return wrong

    def _unusable(self, heard: _Heard, rate_hz: float) -> str:
        if heard.at_ns is None:
            return heard.refusal or "nothing has come yet"
        silent_s = (self._clock.now_ns() - heard.at_ns) / NS_PER_S
        if silent_s > max(FRESH_S, PERIODS / rate_hz):
            return heard.refusal or f"silent for {silent_s:.1f} s"
        if heard.age_ns > seconds_to_ns(OLD_S):
            return f"its stamps are {heard.age_ns / NS_PER_S:.1f} s old: set its clock by this machine's"
        return ""

    def end(self, outcome: str | None, reason: str) -> Ended:
        """End the episode and seal it; one without any sample is thrown away.

        A full disk's own reason comes before the one given, and leaves no outcome.

        Raises:
            NotReady: none is being recorded.
        """
        self._require_recording()
        status = self._recorder.status()
        if status["ended"]:
            outcome, reason = None, status["ended"]
        if not self._counts:
            return self.discard("held no sample and ")
        self._measure_rate(status)
        seconds = (self._clock.now_ns() - self._begin_ns) / NS_PER_S
        known = {spec.name for spec in self._contract.streams}
        self.recording = False
        try:
            self._recorder.stop(
                outcome,
                reason,
                {"intake": {"refused": {name: dict(reasons) for name, reasons in self._refused.items()}}},
                absent_streams=[name for name in OPTIONAL if name in known and not self._counts[name]],
                interventions=self._interventions,
                events=self._events,
                marks=self._marks,
            )
        except StoreError as error:
            return Ended("", None, reason, f"episode {self.id} could not be sealed ({reason}): {error}")
        told = f"episode {self.id} is sealed: {seconds:.1f} s, {outcome or 'not judged'}, {reason}"
        if not any(is_action(name) for name in self._counts):
            told += "; nobody commanded, so there is nothing to learn from in it"
        return Ended(self.id, outcome, reason, told)

    def discard(self, why: str = "") -> Ended:
        """Throw the episode away; NotReady where there is none."""
        self._require_recording()
        self.recording = False
        self._recorder.discard()
        return Ended("", None, "discarded", f"episode {self.id} {why}is thrown away")

    def mark(self) -> int:
        """Remember this instant in the episode's metadata and return it [ns]; NotReady where there is none."""
        self._require_recording()
        self._marks.append(self._clock.now_ns())
        return self._marks[-1]

    def _require_recording(self) -> None:
        if not self.recording:
            raise NotReady("no episode is being recorded; start one first.")

    # What comes in

    def extend(self, samples: Iterable[Sample]) -> None:
        """Take samples, whose arrays must not change afterwards. Never waits for the disk."""
        now = self._clock.now_ns()
        for sample in samples:
            self._listen(self._heard[sample.stream], sample, now)
            if self.recording and sample.received_ns >= self._begin_ns:
                self._counts[sample.stream] += 1
                self._recorder.record(sample, owned=True)
                if sample.stream == COMMANDER:
                    self._see_commander(sample.stamp_ns, bool(sample.data[0] > 0.5))

    def _listen(self, heard: _Heard, sample: Sample, now_ns: int) -> None:
        """Alignment leaves out what is stamped before its predecessor: it is recorded, yet ends no silence."""
        newest, heard.refusal = heard.newest_ns, ""
        if self.recording and newest is not None and sample.stamp_ns < newest:
            if not heard.behind:
                heard.behind = True
                self.event(sample.stream, f"its stamps went back by {(newest - sample.stamp_ns) / NS_PER_S:.3f} s")
            return
        heard.at_ns, heard.age_ns = now_ns, sample.received_ns - sample.stamp_ns
        heard.newest_ns, heard.behind = sample.stamp_ns, False

    def _see_commander(self, stamp_ns: int, human: bool) -> None:
        """An intervention lasts from a person's first command to the first that is not theirs."""
        if human and not self._human:
            self._interventions.append([stamp_ns, stamp_ns])
        elif self._human:
            self._interventions[-1][1] = stamp_ns
        self._human = human

    def refuse(self, stream: str, reason: str) -> None:
        """A message of this stream could not be used."""
        self._heard[stream].refusal = reason
        if self.recording:
            reasons = self._refused.setdefault(stream, Counter())
            reasons[reason if reason in reasons or len(reasons) < REASONS_MAX else "for other reasons"] += 1

    def event(self, stream: str, what: str) -> None:
        """Something to be remembered of a stream, such as another publisher; in the episode's metadata."""
        if self.recording and len(self._events) < EVENTS_MAX:
            self._events.append({"at_ns": self._clock.now_ns(), "stream": stream, "what": what})

    # What time brings

    def look(self) -> Ended | None:
        """To be called a few times a second: ends an episode whose disk is full or whose stream is silent."""
        if not self.recording:
            return None
        if self._recorder.status()["ended"]:
            return self.end(None, "disk")
        silent = sorted(self._silent(self._clock.now_ns()))
        if not silent:
            return None
        if refusal := self._heard[silent[0]].refusal:
            self.event(silent[0], refusal)
        return self.end(None, f"silent: {', '.join(silent)}")

    def _silent(self, now: int) -> Iterable[str]:
        stood_ns, self._looked_ns = now - self._looked_ns - seconds_to_ns(STALL_S), now
        if stood_ns > 0:
            for heard in self._heard.values():
                heard.at_ns = None if heard.at_ns is None else heard.at_ns + stood_ns
        for spec in self._contract.streams:
            at = self._heard[spec.name].at_ns
            gap_s = max(self._max_gap_s, PERIODS / spec.rate_hz)
            if self._max_gap_s and is_continuous(spec.name) and at is not None and now - at > seconds_to_ns(gap_s):
                yield spec.name

    def time_jumped(self) -> Ended | None:
        """Time was set: stamps before and after can't be compared, so an episode ends here."""
        ended = self.end(None, "clock_reset") if self.recording else None
        self._heard = {name: _Heard() for name in self._heard}
        return ended

    # What is told

    def status(self) -> dict[str, Any]:
        """What goes on now, as flat values: `state` (idle or recording), elapsed, queues, drops, disk.

        `disk_left_s` is how long recording may go on as it did so far; absent until something was recorded.
        """
        told: dict[str, Any] = {"state": "recording" if self.recording else "idle", "episode": self.id}
        free = files.free_bytes(self._store.path)
        if self.recording:
            status = self._recorder.status()
            self._measure_rate(status)
            streams = status["streams"].values()
            told |= {
                "elapsed_s": round((self._clock.now_ns() - self._begin_ns) / NS_PER_S, 1),
                "samples": sum(s["offered"] for s in streams),
                "dropped": sum(s["dropped"] for s in streams),
                "refused": sum(sum(reasons.values()) for reasons in self._refused.values()),
                "queue_peak": round(max(s["queue_peak"] / s["queue_capacity"] for s in streams), 3),
                "marks": len(self._marks),
                "interventions": len(self._interventions),
            }
        told["disk_free_gb"] = round(free / 1e9, 2)
        if self._bytes_per_s:
            told["disk_left_s"] = round(free / self._bytes_per_s)
        return told

    def _measure_rate(self, status: Mapping[str, Any]) -> None:
        elapsed_s = (self._clock.now_ns() - self._begin_ns) / NS_PER_S
        if elapsed_s > 1 and status["bytes"]:
            self._bytes_per_s = status["bytes"] / elapsed_s
