"""The demo's page: what came out, what it was made from, and the commands that make it again."""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from markupsafe import Markup

from robot_learning import page
from robot_learning.data.store import Episode, Store
from robot_learning.evaluation import report as evaluation

SHEET_EPISODES, SHEET_MOMENTS = 6, 8


def write_demo_page(
    path: Path,
    report: Mapping[str, Any],
    store: Store,
    curve: Sequence[tuple[int, float]],
    evaluated: Path,
    commands: Mapping[str, Sequence[str]],
) -> Path:
    """Write the page.

    Args:
        report: the demo's `report.json`, with the evaluation's inside.
        curve: (step, training loss).
        evaluated: the evaluation's folder, where its videos are.
        commands: stage to the arguments of `robot-learning` that do it by hand.
    """
    episodes = store.episodes()
    result = report["evaluation"]
    return page.write(
        path,
        f"From demonstrations to a policy: {report['env']}",
        f"{len(episodes)} demonstrations, {result['episodes']} unseen seeds, "
        f"{report['seconds']['total'] / 60:.1f} minutes, {report['time'][:10]}",
        [
            page.section(
                "Success",
                evaluation.headline(result),
                page.note(evaluation.seeds_note(result["first_seed"])),
                evaluation.setting(result),
            ),
            *([evaluation.comparison(dict(result))] if "paired" in result else []),
            page.section("Rollouts of the trained policy", evaluation.rollouts(evaluated, result)),
            page.section("Demonstrations", contact_sheet(episodes), facts(episodes), quality(episodes)),
            page.section("Training", loss_plot(curve)),
            page.section("Time taken", times(report["seconds"], report["machine"])),
            page.section(
                "The same by hand",
                page.paragraph("Each stage of the demo is one of these commands; run them from the same folder."),
                page.command("\n".join(shlex.join(["robot-learning", *argv]) for argv in commands.values())),
            ),
            evaluation.made_by(dict(report)),
        ],
    )


def contact_sheet(episodes: Sequence[Episode]) -> Markup:
    """A few demonstrations, one a row, from their first picture to their last."""
    cameras = [spec.name for spec in episodes[0].contract.streams if spec.is_image]
    if not cameras:
        return page.paragraph("These demonstrations have no colour stream.")
    chosen = [episodes[i] for i in np.linspace(0, len(episodes) - 1, min(SHEET_EPISODES, len(episodes))).astype(int)]
    pictures: list[np.ndarray] = []
    for episode in chosen:
        stream = episode.streams[cameras[0]]
        pictures.extend(stream.read(np.linspace(0, len(stream) - 1, SHEET_MOMENTS).astype(int)))
    sheet = page.contact_sheet(pictures, SHEET_MOMENTS)
    caption = f"{len(chosen)} of {len(episodes)} demonstrations, one a row, from start to end; camera '{cameras[0]}'."
    return page.picture(sheet, caption)


def facts(episodes: Sequence[Episode]) -> Markup:
    """How many, how long, how they ended."""
    durations = [e.duration_s for e in episodes]
    ended = [e.metadata["outcome"] for e in episodes]
    return page.facts(
        [
            ("task", episodes[0].metadata["task"]),
            ("by", f"{episodes[0].metadata['operator']}: it reads the simulator's true state"),
            ("outcomes", ", ".join(f"{ended.count(o)} {o or 'not judged'}" for o in sorted(set(ended), key=str))),
            ("length", f"{np.mean(durations):.1f} s on average, {min(durations):.1f} to {max(durations):.1f} s"),
            ("checked", "every byte against its checksum, every stream against the contract: no problem found"),
            ("stored", f"{sum(f.stat().st_size for e in episodes for f in e.path.rglob('*')) / 1e6:.0f} MB"),
        ]
    )


def quality(episodes: Sequence[Episode]) -> Markup:
    """What was measured of each stream, over all episodes."""
    rows = []
    for spec in episodes[0].contract.streams:
        records = [e.quality["streams"][spec.name] for e in episodes]
        records = [r for r in records if r["samples"]]
        if not records:
            continue
        rows.append(
            (
                spec.name,
                " x ".join(map(str, spec.shape)),
                spec.unit,
                sum(r["samples"] for r in records),
                f"{np.mean([r['rate_hz'] for r in records]):.1f} of {spec.rate_hz:g}",
                sum(r["missing"] for r in records),
                sum(r["gaps"] for r in records),
                f"{1000 * max(r['longest_interval_s'] for r in records):.0f}",
                sum(r["not_finite"] for r in records),
            )
        )
    columns = ("stream", "shape", "unit", "samples", "rate [Hz]", "missing", "gaps", "longest gap [ms]", "not finite")
    return page.details("Data quality, measured per stream", page.table(columns, rows))


def loss_plot(curve: Sequence[tuple[int, float]]) -> Markup:
    """Training loss over steps, logarithmic."""
    from matplotlib.figure import Figure

    steps, losses = zip(*curve, strict=True) if curve else ((), ())
    with page.plot_style():
        figure = Figure(figsize=(8, 2.8), layout="constrained")
        axes = figure.subplots()
        axes.plot(steps, losses, color=page.BLUE, linewidth=1.4)
        axes.set_yscale("log")
        axes.set_xlabel("optimiser steps")
        axes.set_ylabel("loss")
        return page.plot(figure, "Training loss (noise prediction, mean squared error).")


def times(seconds: Mapping[str, float], machine: Mapping[str, Any]) -> Markup:
    """Wall-clock time of each stage."""
    rows = [(stage, f"{s:.0f} s", f"{100 * s / max(seconds['total'], 1e-9):.0f} %") for stage, s in seconds.items()]
    where = f"On {machine['processor']}, {machine['cores']} cores, no GPU used, wall-clock."
    return page.table(("stage", "time", "share"), rows) + page.paragraph(where)
