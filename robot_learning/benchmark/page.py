"""The page of a suite's results."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from markupsafe import Markup

from robot_learning import page
from robot_learning.benchmark.published import beside
from robot_learning.benchmark.summary import ALL_TASKS, Row, pair, rows
from robot_learning.evaluation.report import privileged_note

COLOURS = (page.BLUE, page.ORANGE, page.GREEN, page.GREY, "#9a5fc4", "#c9a227", "#d0506b", "#4aa7a7")


def write_page(output: Path, results: Mapping[str, Any]) -> Path:
    """Write `report.html` from the content of `results.json`; films are read from the cells' folders."""
    cells = results["cells"]
    table = rows(cells)
    body = [
        *_failures(results),
        page.section("Success", *_headline(table), *([_table(table)] if table else []), *_notes(cells)),
        *([page.section("Success with its 95 % interval", _bars(table))] if table else []),
        *_pairs(results),
        *_beside(results["suite"]),
        *([page.section("Training", _curves(cells))] if cells else []),
        *([page.section("Rollouts", _films(output, cells))] if cells else []),
        _made_by(results),
    ]
    unfinished = f", {len(results['missing'])} cells not run" if results["missing"] else ""
    subtitle = f"{results['about']}; {len(cells)} cells{unfinished}; {results['time'][:10]}"
    return page.write(output / "report.html", f"Benchmark {results['suite']}", subtitle, body)


def _failures(results: Mapping[str, Any]) -> list[Markup]:
    failed = [(name, error) for name, error in results["failed"].items()]
    return [page.section("Failed", page.table(("cell", "error"), failed))] if failed else []


def _headline(table: Sequence[Row]) -> list[Markup]:
    if not table:
        return [page.paragraph("No cell is done yet.")]
    whole = [row for row in table if row.task == ALL_TASKS] or table
    best = max(whole, key=lambda row: (row.success.estimate, row.score.estimate))
    where = "" if best.task == ALL_TASKS else f" on {best.task}"
    detail = f"the best of this table, looked up after the fact; {best.successes} of {best.episodes} episodes"
    return [page.headline(f"{100 * best.success.estimate:.0f} %", f"{best.preset}{where}", detail)]


def _table(table: Sequence[Row]) -> Markup:
    columns = ("task", "policy", "success", "of", "score", "steps", "training [min]", "inference [ms]", "seeds")
    return page.table(
        columns,
        [
            (
                f"{row.task} ({row.level})" if row.level else row.task,
                row.preset,
                row.success.percent(),
                row.episodes,
                f"{row.score.estimate:.3f} [{row.score.low:.3f}, {row.score.high:.3f}]",
                f"{row.steps:.0f}",
                f"{row.minutes:.1f}",
                f"{row.inference_ms:.1f}",
                len(row.seeds),
            )
            for row in table
        ],
    )


def _notes(cells: Sequence[Mapping[str, Any]]) -> list[Markup]:
    if not cells:
        return []
    text = (
        "Intervals: 95 %, Wilson for success, bootstrap for the score (the mean of each episode's best), over the "
        "evaluation's episodes; they say nothing of how much one training differs from the next. Each figure is of a "
        "run's last checkpoint."
    )
    privileged = sorted({name for cell in cells for name in cell["privileged"]})
    return [page.note(text), *([page.note(privileged_note(privileged))] if privileged else [])]


def _bars(table: Sequence[Row]) -> Markup:
    from matplotlib.figure import Figure

    tasks = list(dict.fromkeys(row.task for row in table))
    presets = list(dict.fromkeys(row.preset for row in table))
    height = 0.8 / len(presets)
    with page.plot_style():
        figure = Figure(figsize=(8, 0.9 + 0.3 * len(presets) * len(tasks)), layout="constrained")
        axes = figure.subplots()
        for number, preset in enumerate(presets):
            mine = [row for row in table if row.preset == preset]
            places = [tasks.index(row.task) + (number - (len(presets) - 1) / 2) * height for row in mine]
            rates = [100 * row.success.estimate for row in mine]
            errors = [
                [100 * (row.success.estimate - row.success.low) for row in mine],
                [100 * (row.success.high - row.success.estimate) for row in mine],
            ]
            colour = COLOURS[number % len(COLOURS)]
            axes.barh(places, rates, 0.9 * height, xerr=errors, color=colour, ecolor=page.GREY, label=preset)
        axes.set_yticks(range(len(tasks)), tasks)
        axes.invert_yaxis()
        axes.set_xlim(0, 100)
        axes.set_xlabel("success [%]")
        figure.legend(loc="outside upper center", ncols=2)
        return page.plot(figure, "Success on unseen seeds with Wilson's 95 % interval.")


def _curves(cells: Sequence[Mapping[str, Any]]) -> Markup:
    """Losses over time, a plot for each policy: their losses are different things."""
    from matplotlib.figure import Figure

    presets = list(dict.fromkeys(cell["preset"] for cell in cells))
    tasks = list(dict.fromkeys(cell["task"] for cell in cells))
    columns = min(2, len(presets))
    lines = -(-len(presets) // columns)
    with page.plot_style():
        figure = Figure(figsize=(8, 2.6 * lines), layout="constrained")
        plots = figure.subplots(lines, columns, squeeze=False).ravel()
        for axes, preset in zip(plots, presets, strict=False):
            for cell in (c for c in cells if c["preset"] == preset):
                colour = COLOURS[tasks.index(cell["task"]) % len(COLOURS)]
                for kind, style in (("loss", "-"), ("val_loss", ":")):
                    points = [(p["seconds"] / 60, p[kind]) for p in cell["curve"] if p.get(kind, 0) > 0]
                    if points:
                        label = cell["task"] if kind == "loss" else None
                        axes.plot(*zip(*points, strict=True), style, color=colour, linewidth=1.2, label=label)
            axes.set(title=preset, yscale="log", xlabel="training [min]", ylabel="loss")
            if len(tasks) > 1:
                axes.legend(fontsize=7)
        for axes in plots[len(presets) :]:
            axes.set_visible(False)
        return page.plot(figure, "Loss of training (line) and of held-out demonstrations (dotted), each policy's own.")


def _pairs(results: Mapping[str, Any]) -> list[Markup]:
    lines = []
    for first, second in results["compare"]:
        if (paired := pair(results["cells"], first, second)) is not None:
            difference = paired.success_difference
            lines.append(
                (
                    f"{first} against {second}",
                    paired.seeds,
                    paired.only_first,
                    paired.only_second,
                    f"{100 * difference.estimate:+.1f} [{100 * difference.low:+.1f}, {100 * difference.high:+.1f}]",
                    f"{paired.success_p:.3g}",
                )
            )
    columns = ("policies", "seeds", "only the first", "only the second", "difference [%-points]", "McNemar's p")
    return [page.section("On the same seeds, all tasks together", page.table(columns, lines))] if lines else []


def _beside(suite: str) -> list[Markup]:
    lines = [
        (p.what, p.score or "", f"{100 * p.success:.1f} %" if p.success is not None else "", p.note, p.source)
        for p in beside(suite)
    ]
    columns = ("policy", "score", "success", "how", "source")
    if not lines:
        return []
    return [page.section("Published elsewhere, not run again here", page.table(columns, lines))]


def _films(output: Path, cells: Sequence[Mapping[str, Any]]) -> Markup:
    """A film of each cell, where it has one, and the way to its own report."""
    blocks = Markup("")
    for task in dict.fromkeys(cell["task"] for cell in cells):
        mine = [cell for cell in cells if cell["task"] == task]
        films = []
        for cell in mine:
            for video in cell["videos"][:1]:
                file = output / cell["folder"] / video["file"]
                if file.is_file():
                    caption = f"{cell['preset']}: {video['caption']}"
                    films.append(page.film(video["type"], file.read_bytes(), caption))
        link = Markup('<a href="{}">{}</a>')
        ways = [
            (link.format(f"{c['folder']}/evaluate/report.html", c["preset"]), c["seed"], c["training_seconds"] // 60)
            for c in mine
        ]
        reports = page.details(f"Reports of {task}", page.table(("policy", "training seed", "minutes"), ways))
        blocks += page.paragraph(task) + (page.row(*films) if films else Markup("")) + reports
    return blocks


def _made_by(results: Mapping[str, Any]) -> Markup:
    machine = results["machine"]
    first, last = results["evaluation_seeds"]
    return page.section(
        "Made by",
        page.command(results["command"]),
        page.facts(
            [
                ("machine", f"{machine['processor']}, {machine['cores']} cores, {machine['memory_gb']} GB"),
                ("GPU", results["gpu"] or "none"),
                ("commit", results["commit"] or "unknown"),
                ("versions", ", ".join(f"{k} {v}" for k, v in results["versions"].items())),
                ("training seeds", ", ".join(map(str, results["training_seeds"]))),
                ("evaluation seeds", f"{first} to {last}"),
                ("finished", results["time"]),
            ]
        ),
    )
