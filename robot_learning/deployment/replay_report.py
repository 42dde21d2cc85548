"""What a replay leaves behind: replay.json and a page."""

from __future__ import annotations

from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
from markupsafe import Markup

from robot_learning import page
from robot_learning.deployment.recorded import Recorded
from robot_learning.deployment.replay import Comparison, Distance, Replay
from robot_learning.output import prepare_folder, write_json
from robot_learning.rig import Rig


def report(rig: Rig, recorded: Recorded, replay: Replay, speed: float) -> dict[str, Any]:
    """The figures, JSON-ready."""
    figures: dict[str, Any] = {
        "rig": rig.name,
        "episode": recorded.id,
        "task": recorded.task,
        "speed": speed,
        "ended": replay.ended,
        "targets": {"recorded": len(recorded.actions.times_s), "sent": replay.sent},
        "recorded_s": recorded.duration_s,
        "trips": replay.broken,
        "time": datetime.now(UTC).isoformat(timespec="seconds"),
    }
    if replay.compared:
        c = replay.comparison()
        figures["samples"] = len(c.times_s)
        for name in ("position_m", "rotation_rad", "joint_rad"):
            figures[name] = asdict(Distance.of(getattr(c, name)))
    return figures


def write(folder: str | Path, figures: dict[str, Any], comparison: Comparison | None) -> Path:
    """Write both and return the page's path; UserError where the folder can't be written."""
    folder = prepare_folder(folder)
    write_json(folder / "replay.json", figures)
    title = f"Replay of {figures['episode']}"
    blocks = [page.section("Distance to the recorded motion", _headline(figures), _facts(figures))]
    if comparison is not None:
        blocks.append(page.section("Motion", _path_plot(comparison), _distance_plot(comparison)))
    return page.write(folder / "replay.html", title, f"{figures['rig']}, {figures['time']}", blocks)


def _headline(figures: dict[str, Any]) -> Markup:
    if "position_m" not in figures:
        return page.headline("none", "nothing was replayed", figures["ended"])
    position = figures["position_m"]
    return page.headline(
        f"{1e3 * position['mean']:.1f} mm", "of the tool, mean", f"at most {1e3 * position['max']:.1f} mm",
        good=figures["ended"] == "done",
    )  # fmt: skip


def _facts(figures: dict[str, Any]) -> Markup:
    facts = [
        ("ended", page.badge(figures["ended"], figures["ended"] == "done")),
        ("task", figures["task"]),
        ("speed", f"{figures['speed']:g} of the recorded one, {figures['recorded_s']:.1f} s"),
        ("targets", f"{figures['targets']['recorded']} recorded, {figures['targets']['sent']} sent"),
        ("gate", ", ".join(f"{name}: {n}" for name, n in figures["trips"].items()) or "no rule was broken"),
    ]
    for name, label in (("rotation_rad", "turn of the tool"), ("joint_rad", "farthest joint")):
        if name in figures:
            facts.append((label, f"mean {figures[name]['mean']:.4f} rad, at most {figures[name]['max']:.4f} rad"))
    return page.facts(facts)


def _path_plot(c: Comparison) -> Markup:
    from matplotlib.figure import Figure

    with page.plot_style():
        figure = Figure(figsize=(8, 4.2), layout="constrained")
        panels = figure.subplots(3, 1, sharex=True)
        for axes, i in zip(panels, range(3), strict=True):
            axes.plot(c.times_s, c.recorded[:, i], color=page.GREY, label="recorded")
            axes.plot(c.times_s, c.replayed[:, i], color=page.BLUE, label="replayed")
            axes.set_ylabel(f"{'xyz'[i]} [m]")
        panels[0].legend()
        panels[-1].set_xlabel("recorded time [s]")
        return page.plot(figure, "The tool's position in the base frame.")


def _distance_plot(c: Comparison) -> Markup:
    from matplotlib.figure import Figure

    with page.plot_style():
        figure = Figure(figsize=(8, 3.2), layout="constrained")
        top, bottom = figure.subplots(2, 1, sharex=True)
        top.plot(c.times_s, 1e3 * c.position_m, color=page.BLUE)
        top.set_ylabel("tool [mm]")
        bottom.plot(c.times_s, np.asarray(c.rotation_rad), color=page.ORANGE, label="turn of the tool")
        bottom.plot(c.times_s, np.asarray(c.joint_rad), color=page.GREEN, label="farthest joint")
        bottom.set_ylabel("[rad]")
        bottom.set_xlabel("recorded time [s]")
        bottom.legend()
        return page.plot(figure, "Distance between both motions.")
