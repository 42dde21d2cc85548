"""Edits: sidecar records that change how a sealed episode is read, never its bytes.

Each edit is one small JSON file, `edits/<episode id>/<number>.json`; later numbers win, and none is
ever changed, so that the history stays. Writing one is atomic, and two editors can't lose each other's.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from robot_learning.clock import NS_PER_S
from robot_learning.data import files
from robot_learning.data.format import EDITS, OUTCOMES, VERSION, dump, load, require_version
from robot_learning.errors import StoreError, unknown_name

if TYPE_CHECKING:
    from robot_learning.data.store import Store

KEYS = ("outcome", "task", "trim_ns", "deleted")


@dataclass(frozen=True)
class Edits:
    """All edits of one episode, taken together.

    Attributes:
        changes: `outcome` and `task` as edited; keys that no edit names are absent.
        trim_ns: first and last stamp to keep, or None.
        deleted: whether the episode is out of use.
    """

    changes: tuple[tuple[str, str | None], ...] = ()
    trim_ns: tuple[int, int] | None = None
    deleted: bool = False

    def canonical(self) -> bytes:
        """The same bytes for the same effect; empty where there is none. Deletion is not part of it."""
        if not self.changes and self.trim_ns is None:
            return b""
        content = {k: v for k, v in asdict(self).items() if k != "deleted"}
        return json.dumps(content, sort_keys=True).encode()


def read_edits(store: Path, episode: str) -> Edits:
    """The edits of an episode in the store at `store`."""
    effect: dict[str, Any] = {}
    for path in _records(store, episode):
        record = load(path, f"episode {episode}: edit {path.name}")
        require_version(record, f"episode {episode}: edit {path.name}")
        effect |= {k: v for k, v in record.items() if k in KEYS}
    trim = effect.get("trim_ns")
    changes = tuple((k, effect[k]) for k in ("outcome", "task") if k in effect)
    return Edits(changes, tuple(trim) if trim else None, bool(effect.get("deleted", False)))


def history(store: Path, episode: str) -> list[dict[str, Any]]:
    """All edit records of an episode, oldest first."""
    return [load(path, f"episode {episode}") for path in _records(store, episode)]


def edit(store: Store, episode: str, *, editor: str = "", note: str = "", **changes: Any) -> None:
    """Record one edit.

    Args:
        episode: its id.
        editor, note: who and why; kept in the history.
        changes: any of `outcome` ("success", "failure", None), `task` (text), `trim_ns` ((first, last) stamps
            to keep, or None for all), `deleted` (bool).
    """
    sealed = store.episode(episode)
    for key in changes:
        if key not in KEYS:
            raise unknown_name("edit", key, KEYS)
    if not changes:
        raise StoreError(f"nothing to edit in episode {episode}; give one of {', '.join(KEYS)}.")
    if "outcome" in changes and changes["outcome"] not in OUTCOMES:
        raise StoreError(f"an outcome is 'success', 'failure' or None; got {changes['outcome']!r}.")
    if changes.get("trim_ns") is not None:
        first, last = (int(t) for t in changes["trim_ns"])
        low, high = sealed.recorded_range_ns
        if not low <= first < last <= high:
            raise StoreError(
                f"a trim keeps a range inside an episode; {episode} has stamps from {low} to {high} ns, "
                f"{(high - low) / NS_PER_S:.3f} s, and the range {first} to {last} ns, "
                f"{(first - low) / NS_PER_S:.3f} to {(last - low) / NS_PER_S:.3f} s, is not inside."
            )
        changes["trim_ns"] = [first, last]
    record = {
        "version": VERSION,
        "edited": datetime.now(UTC).isoformat(timespec="milliseconds"),
        "editor": editor,
        "note": note,
        **changes,
    }
    with files.explained(store.path):
        _add(store.path / EDITS / episode, dump(record))


def _add(directory: Path, content: bytes) -> None:
    """Give the record the next free number; a link fails where another editor was quicker."""
    directory.mkdir(exist_ok=True)
    draft = files.write_draft(directory, content)
    while True:
        numbers = [int(path.stem) for path in directory.glob("*.json")]
        try:
            files.link(draft, directory / f"{max(numbers, default=0) + 1:06d}.json")
            break
        except FileExistsError:
            continue
    files.remove(draft)
    files.sync_path(directory)
    files.sync_path(directory.parent)


def _records(store: Path, episode: str) -> list[Path]:
    return sorted((store / EDITS / episode).glob("*.json"))
