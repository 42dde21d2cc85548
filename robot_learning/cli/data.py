"""`robot-learning data`: look at, check, recover, import, export and edit a store."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import tyro
from tyro.conf import Positional

from robot_learning.clock import seconds_to_ns
from robot_learning.errors import StoreError, UserError

if TYPE_CHECKING:
    from robot_learning.contract import Contract
    from robot_learning.data.store import Episode
    from robot_learning.rig_parts.sections import TopicConfig

PROBLEMS_FOUND = 1


def info(store: Positional[Path], episode: str | None = None) -> int:
    """What is in a store, or in one episode.

    Args:
        store: the store's directory.
        episode: an episode's id; its streams are shown.
    """
    from robot_learning.data.store import Store

    opened = Store.open(store)
    if episode is not None:
        _print_episode(opened.episode(episode))
        return 0
    episodes = opened.episodes(include_deleted=True)
    print(f"{'episode':<28}{'seconds':>8}  {'outcome':<9}{'ended by':<14}task")
    unreadable = 0
    for e in episodes:
        try:
            meta, deleted = e.metadata, " (deleted)" if e.edits.deleted else ""
            reason = str(meta["termination_reason"])
            print(f"{e.id:<28}{e.duration_s:>8.1f}  {meta['outcome'] or '-':<9}{reason:<14}{meta['task']}{deleted}")
        except (StoreError, KeyError) as error:
            unreadable += 1
            print(f"{e.id:<28}{'-':>8}  can't be read: {error}")
    kept = [e for e in episodes if not e.edits.deleted]
    unsealed = opened.open_episodes()
    print(f"{len(kept)} episodes, {len(episodes) - len(kept)} deleted, {len(unsealed)} open, {unreadable} unreadable")
    return 0


def check(store: Positional[Path], episode: str | None = None) -> int:
    """Check every byte against its checksum and every stream against its contract; exit 1 where something is wrong.

    Args:
        store: the store's directory.
        episode: only this one.
    """
    from robot_learning.data.store import Store
    from robot_learning.data.validation import check as check_target

    opened = Store.open(store)
    problems = check_target(opened.episode(episode) if episode else opened)
    for problem in problems:
        print(problem)
    count = 1 if episode else len(opened.episodes())
    print(f"{count} episode{'s' * (count != 1)} checked, {len(problems)} problem{'s' * (len(problems) != 1)} found")
    return PROBLEMS_FOUND if problems else 0


def recover(store: Positional[Path]) -> int:
    """Seal what writers that died have left behind, up to the last sample that is whole. May be repeated.

    Args:
        store: the store's directory.
    """
    from robot_learning.data.recovery import recover as recover_store
    from robot_learning.data.store import Store

    reports = recover_store(Store.open(store))
    for report in reports:
        print(f"{report.episode}: {report.detail}")
        for stream, lost in report.lost.items():
            if lost:
                print(f"  stream '{stream}': the last {lost} samples were damaged and are left out")
    print(f"{sum(r.action == 'recovered' for r in reports)} episodes recovered")
    return PROBLEMS_FOUND if any(r.action == "kept" for r in reports) else 0


def import_(
    source: Positional[Path],
    store: Positional[Path],
    layout: str | None = None,
    rate_hz: float | None = None,
    robot: str = "",
    task: str = "",
    outcome: Literal["success", "failure"] | None = None,
    rig: str | None = None,
    namespace: str | None = None,
    mirror: bool = False,
) -> int:
    """Import rosbag2 bags, LeRobot datasets, Diffusion Policy's replay zarr or robomimic's HDF5; all is read back.

    Args:
        source: a bag (folder, .mcap or .db3) or a folder of bags; the LeRobot folder (v3.0 or v2.1); the zarr
            directory; the .hdf5 file.
        store: the store's directory; made where there is none.
        layout: a known meaning of the source's keys, e.g. pusht; else a plain contract is made from the keys.
        rate_hz: steps per second, where neither layout nor source say it.
        robot: where the source does not say it.
        task: what is done, where the source does not say it.
        outcome: where that is known of all its episodes.
        rig: for bags: the rig, by name or file, whose topics they hold.
        namespace: for bags: of the rig's topics, where the bag holds several rigs.
        mirror: add each episode's mirror image, where --layout knows its task's symmetry: pusht.
    """
    from robot_learning.data.bags import import_bags, is_bag
    from robot_learning.data.importers import import_dataset
    from robot_learning.data.store import Store

    if is_bag(source) or rig is not None:
        if rig is None:
            raise UserError(f"{source} is a bag: its topics are read as a rig says; give --rig.")
        if mirror:
            raise UserError("--mirror is for replay buffers whose --layout knows its task's symmetry, not for bags.")
        contract, sources = _station(rig)
        report = import_bags(source, Store.open_or_create(store), contract, sources, task, outcome, namespace)
    else:
        report = import_dataset(source, store, layout, rate_hz, robot, task, outcome, mirror=mirror)
    for note in report.notes:
        print(note)
    print(f"{len(report.written)} episodes imported, {report.skipped} were there already, {report.samples} samples")
    return 0


def export(
    store: Positional[Path],
    output: Positional[Path],
    to: Literal["robomimic", "bag", "lerobot"] = "robomimic",
    episode: str | None = None,
    rig: str | None = None,
    namespace: str | None = None,
    images: Literal["video", "image"] = "video",
) -> int:
    """Write the store's episodes as one robomimic HDF5 file, one LeRobot v3.0 dataset, or as one MCAP bag each.

    Args:
        store: the store's directory.
        output: the .hdf5 file to make, the folder of the dataset, or the folder of the bags.
        to: the format.
        episode: only this one.
        rig: for bags: the rig, by name or file, that names the topics; default: the one that recorded.
        namespace: for bags: of the topics; default: the rig's name.
        images: for lerobot: cameras as H.264 videos, or as PNG images, which lose nothing.
    """
    from robot_learning.data.bagexport import export_bags
    from robot_learning.data.exporters import export_robomimic
    from robot_learning.data.store import Store

    opened, chosen = Store.open(store), [episode] if episode else None
    if to == "robomimic":
        count = export_robomimic(opened, output, chosen)
    elif to == "lerobot":
        from robot_learning.data.lerobot_export import export_lerobot

        report = export_lerobot(opened, output, chosen, images)
        for note in report.notes:
            print(note)
        count = report.episodes
    else:
        recorded = opened.episode(episode) if episode else next(iter(opened.episodes()), None)
        if recorded is None:
            raise StoreError(f"{store} has no episodes to export.")
        count = export_bags(opened, output, _station(rig or recorded.contract.rig)[1], namespace, chosen)
    print(f"{count} episodes exported to {output}")
    return 0


def edit(
    store: Positional[Path],
    episode: Positional[str],
    outcome: Literal["keep", "success", "failure", "unjudged"] = "keep",
    task: str | None = None,
    trim_s: tuple[float, float] | None = None,
    untrim: bool = False,
    delete: bool = False,
    undelete: bool = False,
    editor: str = "",
    note: str = "",
) -> int:
    """Change how an episode is read: small records beside it; its own bytes never change.

    Args:
        store: the store's directory.
        episode: the episode's id.
        outcome: the new outcome.
        task: the new task text.
        trim_s: keep from this to this second, counted from the episode's recorded beginning.
        untrim: keep all of it again.
        delete: take it out of use; nothing is erased.
        undelete: take it into use again.
        editor: who edits, for the history.
        note: why, for the history.
    """
    from robot_learning.data.edits import edit as edit_episode
    from robot_learning.data.store import Store

    if delete and undelete:
        raise UserError("--delete and --undelete contradict each other; give one.")
    if trim_s and untrim:
        raise UserError("--trim-s and --untrim contradict each other; give one.")
    opened = Store.open(store)
    changes: dict[str, object] = {}
    if outcome != "keep":
        changes["outcome"] = None if outcome == "unjudged" else outcome
    if task is not None:
        changes["task"] = task
    if trim_s is not None:
        begin = opened.episode(episode).recorded_range_ns[0]
        changes["trim_ns"] = tuple(begin + seconds_to_ns(t) for t in trim_s)
    if untrim:
        changes["trim_ns"] = None
    if delete or undelete:
        changes["deleted"] = delete
    edit_episode(opened, episode, editor=editor, note=note, **changes)
    print(f"episode {episode}: {', '.join(changes)} edited")
    return 0


def snapshot(store: Positional[Path]) -> int:
    """Print each episode's digest and the hash of them all, which checkpoints carry.

    Args:
        store: the store's directory.
    """
    from robot_learning.data.snapshot import snapshot as take
    from robot_learning.data.store import Store

    taken = take(Store.open(store))
    for id, digest in taken.episodes:
        print(f"{id} {digest}")
    print(f"snapshot {taken.hash}")
    return 0


def view(store: Positional[Path], output: Path, episode: str | None = None) -> int:
    """Make one HTML page of a store or an episode: pictures, curves, quality.

    Args:
        store: the store's directory.
        output: the .html file to make.
        episode: only this one.
    """
    from robot_learning.data.store import Store
    from robot_learning.data.view import view as make_page

    opened = Store.open(store)
    make_page(opened.episode(episode) if episode else opened, output)
    print(f"page: {output}")
    return 0


COMMANDS: dict[str, Callable[..., int]] = {
    "info": info,
    "check": check,
    "recover": recover,
    "import": import_,
    "export": export,
    "edit": edit,
    "snapshot": snapshot,
    "view": view,
}


def main(arguments: list[str]) -> int:
    """Run one of `COMMANDS`."""
    return tyro.extras.subcommand_cli_from_dict(
        COMMANDS,
        prog="robot-learning data",
        description=__doc__.split(": ", 1)[1],
        args=arguments,
        config=(tyro.conf.FlagCreatePairsOff,),
    )


def _station(rig: str) -> tuple[Contract, dict[str, TopicConfig]]:
    """A rig's contract and topics."""
    from robot_learning.rig import load_rig
    from robot_learning.sim.station import object_streams, station_contract
    from robot_learning.topics import topics

    loaded = load_rig(rig)
    return station_contract(loaded), topics(loaded, object_streams(loaded))


def _print_episode(episode: Episode) -> None:
    for key, value in episode.metadata.items():
        print(f"{key:<20}{value}")
    print(f"{'duration_s':<20}{episode.duration_s:.3f}")
    print(f"{'digest':<20}{episode.digest}")
    print(f"\n{'stream':<22}{'samples':>8}{'rate Hz':>9}{'missing':>8}{'gaps':>6}{'jitter ms':>10}{'not finite':>11}")
    for name, r in episode.quality["streams"].items():
        print(
            f"{name:<22}{r['samples']:>8}{r['rate_hz']:>9.1f}{r['missing']:>8}{r['gaps']:>6}"
            f"{1e3 * r['jitter_s']:>10.2f}{r['not_finite']:>11}"
        )
    commands = episode.quality["commands"]
    if commands["compared"]:
        print(f"{commands['clipped']} of {commands['compared']} commands were changed by the gate")
