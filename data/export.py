"""What every export begins with: a free place, and episodes that can go into one set."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from robot_learning.contract import Feature
from robot_learning.data.store import Episode, Store
from robot_learning.errors import StoreError, UserError


def episodes_to_export(
    store: Store, path: Path, episodes: Sequence[str] | None, layout: str
) -> tuple[list[Episode], list[Feature]]:
    """The episodes named, or all, and the observations that each of them has.

    Args:
        layout: what is to be written, for messages.

    Raises:
        UserError: there is something at `path`.
        StoreError: no episodes, one without action features, or one of another contract.
    """
    if path.exists():
        raise UserError(f"{path} exists; give another name or delete it first.")
    chosen = store.episodes() if episodes is None else [store.episode(i) for i in episodes]
    if not chosen:
        raise StoreError(f"{store.path} has no episodes to export.")
    first = chosen[0]
    if not first.contract.actions:
        raise StoreError(f"episode {first.id} has no action features; {layout} needs actions.")
    for episode in chosen[1:]:
        first.contract.require_match(episode.contract, f"episode {first.id}", f"episode {episode.id}")
    return chosen, [f for f in first.contract.observations if all(len(e.streams[f.stream]) for e in chosen)]
