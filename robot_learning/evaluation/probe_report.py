"""The probe's report: a table for the terminal, `probe.json`, `probe.html`, and the curve alone as `probe.svg`."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from robot_learning import page
from robot_learning.output import write_bytes, write_json
from robot_learning.provenance import provenance

SHOWN = 6  # steps ahead that a table shows
LOWEST = -0.5  # of R^2 in the curve
TEXT = ("text.color", "axes.labelcolor", "xtick.color", "ytick.color")

Table = tuple[Sequence[str], list[tuple[str, ...]]]


def write_report(output: Path, report: dict[str, Any]) -> dict[str, Any]:
    """Write the three files and return the content of the JSON one.

    Raises:
        UserError: the folder can't be written.
    """
    report = report | provenance()
    write_json(output / "probe.json", report)
    write_bytes(output / "probe.svg", _svg(report))
    with page.plot_style():
        plot = page.plot(_curves(report), "R^2 of the state so many steps later, on held-out windows.")
    page.write(
        output / "probe.html",
        f"What {report['policy']} knows of the future",
        f"Linear probe of {report['checkpoint']} on {report['time'][:10]}",
        [
            page.section("R^2 by steps ahead", plot, page.table(*table(report)), page.note(split_note(report))),
            page.section("R^2 by feature, mean over the steps", page.table(*by_feature(report, "r2"))),
            page.section("Error by feature [normalised, rms]", page.table(*by_feature(report, "rmse"))),
            page.section("Collapse", page.table(*collapse(report))),
            page.section("Made by", page.command(report["command"])),
        ],
    )
    return report


def steps_shown(count: int) -> list[int]:
    """Up to six steps ahead, from the first to the last, closer at first."""
    return sorted({round(count ** (i / (SHOWN - 1))) for i in range(SHOWN)})


def table(report: Mapping[str, Any]) -> Table:
    """R^2 of every input at some steps ahead, its mean over all of them, and the mean error."""
    steps = steps_shown(report["steps"])
    columns = ("state predicted from", *(f"R^2 at {h}" for h in steps), "R^2, mean", "error, mean")
    rows = [
        (name, *(_number(s["r2"][h - 1]) for h in steps), _number(s["r2_mean"]), _number(s["rmse_mean"]))
        for name, s in report["inputs"].items()
    ]
    return columns, rows


def by_feature(report: Mapping[str, Any], figure: str) -> Table:
    """`r2` or `rmse` of every input and feature, mean over the steps ahead."""
    features = list(next(iter(report["inputs"].values()))["features"])
    rows = [
        (name, *(_number(s["features"][f][f"{figure}_mean"]) for f in features)) for name, s in report["inputs"].items()
    ]
    return ("state predicted from", *features), rows


def collapse(report: Mapping[str, Any]) -> Table:
    """Spread and effective rank of the representations."""
    rows: list[tuple[str, ...]] = [
        (name, f"{c['spread']:.3g}", f"{c['effective_rank']:.1f} of {c['dim']}", "yes" if c["collapsed"] else "no")
        for name, c in report["collapse"].items()
    ]
    return ("representation", "spread", "effective rank", "collapsed"), rows


def split_note(report: Mapping[str, Any]) -> str:
    """Which episodes, and how many windows of them."""
    train, val = report["train"], report["val"]
    return (
        f"Split: {report['split']}. Fitted to {train['windows']} windows of {len(train['episodes'])} episodes, "
        f"judged on {val['windows']} windows of {len(val['episodes'])}. R^2: 1 is perfect, 0 as good as always saying "
        "the training windows' mean."
    )


def text(report: Mapping[str, Any]) -> str:
    """The tables as one reads them in a terminal."""
    parts = [split_note(report), _aligned(table(report)), "R^2 by feature, mean over the steps:"]
    parts += [_aligned(by_feature(report, "r2")), "Error by feature [normalised, rms]:"]
    parts += [_aligned(by_feature(report, "rmse")), _aligned(collapse(report))]
    return "\n\n".join(parts)


def _aligned(content: Table) -> str:
    rows = [tuple(content[0]), *content[1]]
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    lines = []
    for first, *rest in rows:
        cells = [first.ljust(widths[0]), *(cell.rjust(w) for cell, w in zip(rest, widths[1:], strict=True))]
        lines.append("  ".join(cells))
    return "\n".join(lines)


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.3f}"


def _svg(report: Mapping[str, Any]) -> bytes:
    """The curve for use by itself: grey text, legible on light and dark paper."""
    import matplotlib

    grey: dict[Any, Any] = dict.fromkeys(TEXT, page.GREY)
    with page.plot_style(), matplotlib.rc_context(grey):
        out = io.BytesIO()
        _curves(report).savefig(out, format="svg", transparent=True, metadata={"Date": None})
    return out.getvalue()


def _curves(report: Mapping[str, Any]) -> Any:
    """R^2 against steps ahead: representations as lines, untrained ones dashed in the same colour, the rest grey."""
    from matplotlib.figure import Figure

    colours = dict(zip(("context", "predictor"), (page.BLUE, page.ORANGE), strict=True))
    figure = Figure(figsize=(8, 3.6), layout="constrained")
    axes = figure.subplots()
    lowest = 0.0
    for name, found in report["inputs"].items():
        points = [(h, r2) for h, r2 in enumerate(found["r2"], 1) if r2 is not None]
        kind = name.split()[-1]
        style = "--" if name.startswith("untrained") else "-" if kind in colours else ":"
        colour = colours.get(kind, page.GREEN if name == "observation" else page.GREY)
        if points:
            axes.plot(*zip(*points, strict=True), style, color=colour, label=name, linewidth=1.6)
            lowest = min(lowest, *(r2 for _, r2 in points))
    axes.set(xlabel=f"steps ahead, at {report['rate_hz']:g} Hz", ylabel="R²", ylim=(max(lowest, LOWEST) - 0.02, 1.02))
    figure.legend(loc="outside right upper")
    return figure


def headline(report: Mapping[str, Any]) -> str:
    """Whether the best representation says more than the input and than fresh weights, in one line."""
    means = {name: s["r2_mean"] for name, s in report["inputs"].items()}
    own = {n: means[n] for n in report["collapse"] if not n.startswith("untrained") and means[n] is not None}
    if not own:
        return "no step ahead is reached by both training and held-out windows"
    best = max(own, key=lambda n: own[n])
    beside = ", ".join(f"{n} {_number(m)}" for n, m in means.items() if n not in own)
    collapsed = [n for n, c in report["collapse"].items() if c["collapsed"] and n in own]
    end = f"; COLLAPSED: {', '.join(collapsed)}" if collapsed else ""
    return f"mean R^2 {own[best]:.3f} from {best}; {beside}{end}"
