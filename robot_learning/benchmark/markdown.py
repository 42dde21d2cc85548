"""A section of a Markdown document made from `results.json`, between markers that say which suite it is of."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from robot_learning.benchmark.published import beside
from robot_learning.benchmark.summary import Row, pair, rows
from robot_learning.errors import ConfigError, UserError
from robot_learning.output import write_text

_END = "<!-- /benchmark -->"


def _begin(suite: str) -> str:
    return f"<!-- benchmark:{suite} -->"


def section(results: Mapping[str, Any]) -> str:
    """The Markdown of one suite, markers included."""
    cells = results["cells"]
    parts = [
        f"### Benchmark `{results['suite']}`",
        f"{results['about'][0].upper()}{results['about'][1:]}.",
        f"```\n{results['command']}\n```",
        _rows(rows(cells)) if cells else "No cell is done.",
        _conditions(results),
    ]
    for first, second in results["compare"]:
        if (paired := pair(cells, first, second)) is not None:
            d = paired.success_difference
            parts.append(
                f"`{first}` against `{second}` on the same {paired.seeds} seeds: only the first succeeded on "
                f"{paired.only_first}, only the second on {paired.only_second}; difference {100 * d.estimate:+.1f} "
                f"points, interval {100 * d.low:+.1f} to {100 * d.high:+.1f}, McNemar's p = {paired.success_p:.3g}."
            )
    if results["failed"]:
        failed = [(f"`{name}`", error) for name, error in results["failed"].items()]
        parts.append("Failed:\n\n" + _table(("cell", "error"), failed))
    if results["missing"]:
        parts.append(f"Not run: {', '.join(f'`{name}`' for name in results['missing'])}.")
    if others := beside(results["suite"]):
        rates = [(p, "" if p.success is None else f"{100 * p.success:.1f} %") for p in others]
        lines = [(p.what, p.score or "", rate, p.note, p.source) for p, rate in rates]
        parts.append(
            "Published elsewhere, **not run again here**:\n\n"
            + _table(("policy", "score", "success", "how", "source"), lines)
        )
    return "\n\n".join([_begin(results["suite"]), *parts, _END])


def _rows(table: Sequence[Row]) -> str:
    tasks, levels = len({row.task for row in table}) > 1, any(row.level for row in table)
    columns = ["policy", "success", "interval", "score", "interval", "steps", "training", "demonstrations", "inference"]
    lines = []
    for row in table:
        name = f"{row.task} ({row.level})" if row.level else row.task
        line = [
            f"`{row.preset}`",
            f"{100 * row.success.estimate:.0f} % ({row.successes} of {row.episodes})",
            f"{100 * row.success.low:.1f} to {100 * row.success.high:.1f} %",
            f"{row.score.estimate:.3f}",
            f"{row.score.low:.3f} to {row.score.high:.3f}",
            f"{row.steps:,.0f}",
            f"{row.minutes:.1f} min",
            str(row.demonstrations),
            f"{row.inference_ms:.1f} ms",
        ]
        lines.append([name, *line] if tasks or levels else line)
    return _table(["task", *columns] if tasks or levels else columns, lines)


def _conditions(results: Mapping[str, Any]) -> str:
    cells, machine = results["cells"], results["machine"]
    first, last = results["evaluation_seeds"]
    told = {f"{c['machine']['processor']}, {c['machine']['cores']} cores, GPU: {c['gpu'] or 'none'}" for c in cells}
    machines = sorted(told) or [f"{machine['processor']}, {machine['cores']} cores, GPU: {results['gpu'] or 'none'}"]
    commits = sorted({c["commit"] or "unknown" for c in cells}) or [results["commit"] or "unknown"]
    seeds = sorted({c["seed"] for c in cells}) or results["training_seeds"]
    privileged = sorted({name for c in cells for name in c["privileged"]})
    owed = f" Policies read {', '.join(f'`{p}`' for p in privileged)} from the simulator." if privileged else ""
    return (
        f"Evaluation seeds {first} to {last}; training seeds {', '.join(map(str, seeds))}; the last checkpoint of each "
        f"run; intervals over evaluation episodes alone (Wilson, bootstrap).{owed} Machine: {'; '.join(machines)}. "
        f"torch {results['versions'].get('torch', 'unknown')}, commit {', '.join(commits)}, {results['time'][:10]}."
    )


def _table(columns: Sequence[str], lines: Sequence[Sequence[Any]]) -> str:
    text = [columns, ["---"] * len(columns), *lines]
    return "\n".join(f"| {' | '.join(str(cell).replace('|', '/') for cell in line)} |" for line in text)


def put(document: str, new: str) -> str:
    """`document` with the section of the same suite replaced by `new`, or `new` at its end where there is none.

    Raises:
        ConfigError: a marker has no end, or there are two of the suite.
    """
    begin = new.split("\n", 1)[0]
    if (count := document.count(begin)) > 1:
        raise ConfigError(f"the document has {count} sections that begin with {begin}; leave one.")
    if count == 0:
        return f"{document.rstrip()}\n\n{new}\n" if document.strip() else f"{new}\n"
    before, rest = document.split(begin)
    inside, end, after = rest.partition(_END)
    if not end or "<!-- benchmark:" in inside:
        raise ConfigError(f"the section that begins with {begin} has no {_END} at its end; mend it by hand.")
    return before + new + after


def write_sections(path: Path, every: Sequence[Mapping[str, Any]]) -> None:
    """Put each suite's section into the document at `path`, which is made where there is none."""
    try:
        document = path.read_text(encoding="utf-8") if path.exists() else ""
    except (OSError, ValueError) as error:
        raise UserError(f"can't read {path}: {error}.") from None
    for results in every:
        document = put(document, section(results))
    write_text(path, document)
