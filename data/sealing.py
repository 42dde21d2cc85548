"""Sealing: finish every array, write metadata and checksums, sync, and rename once."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from robot_learning.contract import Contract
from robot_learning.data import files
from robot_learning.data.format import ATTRIBUTE, EPISODES, SUMS, TIME, VERSION, dump, group_metadata
from robot_learning.data.openfolder import OpenFolder

if TYPE_CHECKING:
    from robot_learning.data.streamwriter import StreamWriter


def seal(
    store: Path,
    folder: OpenFolder,
    contract: Contract,
    metadata: dict[str, Any],
    streams: Sequence[StreamWriter],
    quality: dict[str, Any],
) -> None:
    """Turn `open/<id>/episode/` into `episodes/<id>/`.

    A death before the rename leaves the episode open, for recovery; one after it leaves a sealed
    episode and some rubbish in `open/<id>/`, which recovery takes away.

    Args:
        metadata: with `outcome` and `termination_reason`.
        quality: what to add to the streams' own records.
    """
    episode = {
        "version": VERSION,
        "id": folder.id,
        "contract": contract.to_json(),
        "metadata": metadata,
        "quality": {"streams": {s.spec.name: s.meter.record() for s in streams}, **quality},
    }
    sums: dict[str, str] = {}
    nodes: dict[str, dict[str, Any]] = {}

    def put(name: str, document: dict[str, Any]) -> None:
        content = dump(document)
        files.write(folder.episode / name, content, durable=False)
        sums[name] = hashlib.sha256(content).hexdigest()

    for stream in streams:
        stream.finish()
        name = stream.spec.name
        nodes[name] = group_metadata()
        nodes[f"{name}/data"] = stream.layout.metadata(stream.data.count)
        nodes[f"{name}/time"] = TIME.metadata(stream.time.count)
        for array, writer in (("data", stream.data), ("time", stream.time)):
            sums |= {f"{name}/{array}/{shard}": digest for shard, digest in writer.sums.items()}
    for node, document in nodes.items():
        put(f"{node}/zarr.json", document)
    consolidated = {"kind": "inline", "must_understand": False, "metadata": nodes}
    put("zarr.json", {**group_metadata({ATTRIBUTE: episode}), "consolidated_metadata": consolidated})
    lines = "".join(f"{digest}  {name}\n" for name, digest in sorted(sums.items()))
    files.write(folder.episode / SUMS, lines.encode(), durable=False)

    files.sync_all([folder.episode, *folder.episode.rglob("*")])
    files.rename(folder.episode, store / EPISODES / folder.id)
    files.sync_path(store / EPISODES)
    folder.remove()
