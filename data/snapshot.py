"""Snapshots: which exact data a policy saw."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass

from robot_learning.data.store import Episode, Store


@dataclass(frozen=True)
class Snapshot:
    """Episodes with their digests, which cover all their bytes and edits.

    Attributes:
        episodes: (id, digest), sorted by id; deleted episodes are not among them.
    """

    episodes: tuple[tuple[str, str], ...]

    @property
    def hash(self) -> str:
        """SHA-256, hex, of one line `<id> <digest>` per episode."""
        return hashlib.sha256("".join(f"{id} {digest}\n" for id, digest in self.episodes).encode()).hexdigest()


def snapshot(store: Store) -> Snapshot:
    """The present state of a whole store."""
    return snapshot_of(store.episodes())


def snapshot_of(episodes: Iterable[Episode]) -> Snapshot:
    """The present state of some episodes."""
    return Snapshot(tuple(sorted((episode.id, episode.digest) for episode in episodes)))
