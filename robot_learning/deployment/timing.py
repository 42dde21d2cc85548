"""How long a chunk took, from what was observed to the first command that came of it."""

from __future__ import annotations

import math
from collections import deque
from dataclasses import asdict, dataclass, replace

from robot_learning.deployment.client import Reply

_DELAYS = 10  # replies whose largest delay is expected of the next one, as in real-time chunking


@dataclass(frozen=True)
class Question:
    """A chunk that is asked for.

    Attributes:
        stamp_ns: the instant of its observation, on the policy's grid [ns].
        asked_ns: when it was sent [ns].
        oldest_ns: see `Observation`.
        committed: actions that it was told will be executed anyway.
    """

    id: int
    stamp_ns: int
    asked_ns: int
    oldest_ns: int
    committed: int


@dataclass(frozen=True)
class ChunkTiming:
    """One chunk; all times in milliseconds.

    Attributes:
        observation_age_ms: of the stalest observed stream's newest sample when inference began.
        queue_ms, inference_ms, server_ms: in the server: until inference began, its length, from arrival to answer.
        round_trip_ms: from asking to having the answer.
        late_actions: actions of the chunk that came too late to be sent.
        committed_actions: actions that the chunk was asked to begin with.
        remaining_ms: for how long the older chunk would have lasted.
        observation_to_command_ms: from the stamp of that sample to the chunk's first command; NaN where a newer
            chunk replaced it before.
    """

    chunk_id: int
    stamp_ns: int
    observation_age_ms: float
    queue_ms: float
    inference_ms: float
    server_ms: float
    round_trip_ms: float
    late_actions: int
    committed_actions: int
    remaining_ms: float
    observation_to_command_ms: float = math.nan

    def to_json(self) -> dict[str, float]:
        """Field to value, rounded to a microsecond."""
        return {k: round(v, 3) for k, v in asdict(self).items()}


class Timekeeper:
    """Follows chunks from question to command, and knows what delay to expect."""

    def __init__(self) -> None:
        self._delays_ns: deque[int] = deque(maxlen=_DELAYS)
        self._untold: tuple[Question, ChunkTiming] | None = None

    @property
    def expected_delay_ns(self) -> int:
        """From an observation's instant to having its chunk: the longest of the last few [ns]; 0: not known yet."""
        return max(self._delays_ns, default=0)

    def answered(
        self, question: Question, reply: Reply, now_ns: int, late: int, remaining_s: float
    ) -> ChunkTiming | None:
        """A chunk has come. Returns the one before it, if nothing of that was ever sent."""
        replaced = self._untold
        self._delays_ns.append(now_ns - question.stamp_ns)
        round_trip = (now_ns - question.asked_ns) / 1e6
        queue, inference, server = (reply.timing.get(k, 0.0) for k in ("queue_ms", "inference_ms", "total_ms"))
        there_ms = max(0.0, round_trip - server) / 2  # the way there, taken to be as long as the way back
        timing = ChunkTiming(
            chunk_id=reply.id,
            stamp_ns=reply.stamp_ns,
            observation_age_ms=(question.asked_ns - question.oldest_ns) / 1e6 + there_ms + queue,
            queue_ms=queue,
            inference_ms=inference,
            server_ms=server,
            round_trip_ms=round_trip,
            late_actions=late,
            committed_actions=question.committed,
            remaining_ms=1000 * remaining_s,
        )
        self._untold = question, timing
        return replaced[1] if replaced else None

    def sent(self, chunk_id: int, now_ns: int) -> ChunkTiming | None:
        """An action of a chunk was sent. Returns the chunk's timing at its first one."""
        if self._untold is None or self._untold[1].chunk_id != chunk_id:
            return None
        question, timing = self._untold
        self._untold = None
        return replace(timing, observation_to_command_ms=(now_ns - question.oldest_ns) / 1e6)

    def clear(self) -> None:
        """Forget what is under way; what delays there were stays known."""
        self._untold = None
