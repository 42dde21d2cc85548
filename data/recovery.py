"""Recovery: what a dead writer left in `open/` becomes sealed episodes, up to the last verified sample."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from robot_learning.contract import Contract
from robot_learning.data import files
from robot_learning.data.format import EPISODES, OPEN, contract_of, load, require_version
from robot_learning.data.journal import Block, read_journal
from robot_learning.data.openfolder import OpenFolder
from robot_learning.data.quality import ClipMeter
from robot_learning.data.sealing import seal
from robot_learning.data.store import Store
from robot_learning.data.streamwriter import StreamWriter
from robot_learning.errors import StoreError

TERMINATION_REASON = "recovered"


@dataclass(frozen=True)
class Recovery:
    """What became of one directory in `open/`.

    Attributes:
        episode: its id.
        action: "recovered" (sealed now), "finished" (had been sealed, rubbish removed), "removed" (nothing had
            been flushed), "busy" (its writer lives; untouched) or "kept" (not understood; untouched).
        samples: recovered, per stream.
        lost: samples that the journal promised and the disk did not have whole, per stream.
        detail: a sentence for people.
    """

    episode: str
    action: str
    detail: str
    samples: dict[str, int] = field(default_factory=dict)
    lost: dict[str, int] = field(default_factory=dict)


def recover(store: Store) -> list[Recovery]:
    """Recover every open episode whose writer is dead. May be repeated, interrupted, and run twice at once."""
    return [report for id in store.open_episodes() if (report := _recover(store, store.path / OPEN / id))]


def _recover(store: Store, path: Path) -> Recovery | None:
    id = path.name
    with files.explained(path):
        folder = OpenFolder.adopt(path)
        if folder is None:
            return Recovery(id, "busy", "is being recorded; left alone") if path.exists() else None
        if (store.path / EPISODES / id).exists():
            folder.remove()
            return Recovery(id, "finished", "was sealed already; its working files are removed")
        try:
            try:
                header = load(folder.header, f"open episode {id}")
                require_version(header, f"open episode {id}")
                contract = contract_of(header, f"open episode {id}")
            except StoreError as error:
                if folder.journal.exists():  # the header was on the disk before the journal was made: it is damaged
                    folder.release()
                    return Recovery(id, "kept", f"can't be recovered: {error}")
                folder.remove()
                return Recovery(id, "removed", "held nothing: its writer died while starting")
            return _rebuild(store, folder, contract, header["metadata"])
        except BaseException:
            folder.release()
            raise


def _rebuild(store: Store, folder: OpenFolder, contract: Contract, metadata: dict) -> Recovery:
    """Replay the journal over the shards that exist, then seal as any writer does."""
    files.remove(folder.ballast)
    streams = [StreamWriter(folder, spec) for spec in contract.streams]
    clips = ClipMeter()
    lost = dict.fromkeys((s.spec.name for s in streams), 0)
    lengths: list[list[np.ndarray]] = [[] for _ in streams]
    for block in _journal(folder, streams):
        lengths[block.stream].append(block.content)
    for stream, parts in zip(streams, lengths, strict=True):
        if stream.layout.chunk == 1:
            promised = np.concatenate(parts).tolist() if parts else []
            lost[stream.spec.name] = len(promised) - stream.resume(promised)
        else:
            stream.restart()
    for block in _journal(folder, streams):
        stream = streams[block.stream]
        if stream.layout.chunk == 1:
            left = stream.data.count - stream.time.count
            block = Block(block.stream, block.times[:left], block.content[:left])
        if len(block.times):
            stream.absorb(block)
            stream.drain()
            clips.update(stream.spec.name, block.times[:, 0], block.content)
    samples = {s.spec.name: s.time.count for s in streams}
    if not any(samples.values()):
        folder.remove()
        return Recovery(folder.id, "removed", "held nothing: its writer died before the first flush")
    quality = {"commands": clips.record(), "recovery": {"lost": lost}}
    metadata = {**metadata, "outcome": None, "termination_reason": TERMINATION_REASON}
    seal(store.path, folder, contract, metadata, streams, quality)
    return Recovery(folder.id, "recovered", f"sealed with {sum(samples.values())} samples", samples, lost)


def _journal(folder: OpenFolder, streams: list[StreamWriter]) -> Iterator[Block]:
    for record in read_journal(folder.journal, [s.layout for s in streams]):
        yield from record
