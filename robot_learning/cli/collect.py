"""`robot-learning collect`: demonstrations of a simulated task."""

from __future__ import annotations

from pathlib import Path

import tyro

from robot_learning.sim.collect import CollectConfig, Collected


def main(arguments: list[str]) -> int:
    """Collect, then say what there is now."""
    config = tyro.cli(CollectConfig, prog="robot-learning collect", args=arguments)
    from robot_learning.sim.collect import collect

    result = collect(config)
    print(summary(config, result))
    if result.interrupted:
        raise KeyboardInterrupt
    return 0


def summary(config: CollectConfig, result: Collected) -> str:
    """Episodes, successes with their rate, simulated and real time, size."""
    successes = sum(d.success for d in result.new)
    thrown_away = sum(d.id is None for d in result.new)
    lines = []
    if result.present:
        lines.append(f"{result.present} of {config.episodes} seeds were in the store already")
    if result.new:
        rate = 100 * successes / len(result.new)
        simulated = sum(d.seconds for d in result.new)
        lines.append(
            f"{len(result.new)} episodes, {successes} successes ({rate:.1f} %), {simulated:.0f} s simulated in "
            f"{result.seconds:.0f} s"
        )
    if thrown_away:
        lines.append(f"{thrown_away} failures thrown away")
    if result.interrupted:
        lines.append("stopped early; the same command goes on from here")
    return "\n".join([*lines, f"store: {config.store} ({_size_mb(config.store):.1f} MB)"])


def _size_mb(folder: Path) -> float:
    return sum(p.stat().st_size for p in folder.rglob("*") if p.is_file()) / 1e6
