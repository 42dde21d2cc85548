"""The evaluation's report: `report.json` for programs, `report.html` for people."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from markupsafe import Markup

from robot_learning import page
from robot_learning.evaluation.evaluate import EvaluateConfig, Result
from robot_learning.evaluation.rollout import FILM_EVERY, Episode
from robot_learning.evaluation.statistics import Paired
from robot_learning.output import write_bytes, write_json
from robot_learning.provenance import provenance
from robot_learning.sim.seeds import TRAINING_SEEDS_END

FORMAT = 1


def write_report(
    config: EvaluateConfig,
    first: Result,
    second: Result | None,
    paired: Paired | None,
    films: Sequence[Episode],
) -> dict[str, Any]:
    """Write both files into `config.output` and return the content of the JSON one.

    Raises:
        UserError: the folder can't be written.
    """
    report = {
        "format": FORMAT,
        "env": config.env,
        "partial": len(first.episodes) < config.episodes,
        "requested_episodes": config.episodes,
        "first_seed": config.first_seed,
        "batch": config.batch,
        **summary(first),
    }
    if second and paired:
        report["against"] = summary(second)
        report["paired"] = asdict(paired)
    report |= provenance()
    report["videos"] = _save_videos(config.output, films, report["policy_rate_hz"])
    report["per_episode"] = [e.to_json() for e in first.episodes]
    write_json(config.output / "report.json", report)
    page.write(
        config.output / "report.html",
        f"{config.env}: {report['policy']}",
        f"Evaluation of {report['checkpoint']} on {report['time'][:10]}",
        [
            *([page.note(_partial(report))] if report["partial"] else []),
            page.section("Success", headline(report), page.note(seeds_note(config.first_seed)), setting(report)),
            *([comparison(report)] if paired else []),
            *([page.section("Rollouts", rollouts(config.output, report))] if films else []),
            episodes(first.episodes),
            made_by(report),
        ],
    )
    return report


def summary(result: Result) -> dict[str, Any]:
    """The JSON form of what one checkpoint did."""
    success, score = result.success, result.score
    record = result.subject.record
    view, contract = record["view"], record["contract"]
    privileged = {f["name"] for f in contract["features"] if f["privileged"]}
    return {
        "success_rate": success.estimate,
        "successes": sum(e.success for e in result.episodes),
        "episodes": len(result.episodes),
        "interval": [success.low, success.high],
        "score_mean": score.estimate,
        "score_interval": [score.low, score.high],
        "inference_ms": sum(e.inference_ms for e in result.episodes) / len(result.episodes),
        "seconds": result.seconds,
        "checkpoint": str(result.subject.checkpoint),
        "name": result.name or str(result.subject.checkpoint),
        "policy": record["policy"],
        "sampling": result.subject.sampling.used(record["config"]),
        "sampling_changed": result.subject.sampling.changes(),
        "goals": result.subject.goals,
        "snapshot": record["snapshot"],
        "observations": view["observations"],
        "privileged": [name for name in view["observations"] if name in privileged],
        "policy_rate_hz": contract["policy_rate_hz"],
        "task": result.subject.task,
    }


def headline(report: dict[str, Any]) -> Markup:
    """Success with its interval, large."""
    low, high = (100 * x for x in report["interval"])
    first, last = report["per_episode"][0]["seed"], report["per_episode"][-1]["seed"]
    return page.headline(
        f"{100 * report['success_rate']:.0f} %",
        f"{report['successes']} of {report['episodes']} episodes succeeded",
        f"95 % interval {low:.1f} to {high:.1f} % (Wilson), seeds {first} to {last}",
        good=report["success_rate"] >= 0.9,
    )


def seeds_note(first_seed: int) -> str:
    """Whether the policy can have seen these seeds."""
    if first_seed >= TRAINING_SEEDS_END:
        return (
            f"Unseen seeds: demonstrations are collected on seeds from 0 up, these begin at {first_seed}. "
            "Initial states, and so what the policy meets, are new to it."
        )
    return f"Seeds below {TRAINING_SEEDS_END} may be those of the training demonstrations: this is no test of skill."


def privileged_note(names: Sequence[str]) -> str:
    """What a policy from state owes to the simulator."""
    return (
        f"This policy reads {', '.join(names)} from the simulator's true state, not from cameras. "
        "No real robot has that: the figure tells that the stack works, not that a camera policy would."
    )


def setting(report: dict[str, Any]) -> Markup:
    """What was evaluated and how."""
    low, high = report["score_interval"]
    facts = page.facts(
        [
            ("task", f"{report['task']} ({report['env']})"),
            ("policy", f"{report['policy']} at {report['policy_rate_hz']:g} Hz"),
            ("sees", ", ".join(report["observations"])),
            *_sampling(report),
            *([("goals", f"ends of the recordings in {report['goals']}")] if report["goals"] else []),
            ("trained on", f"snapshot {report['snapshot'][:16]}"),
            ("score", f"{report['score_mean']:.3f} [{low:.3f}, {high:.3f}], mean of each episode's best (bootstrap)"),
            ("inference", f"{report['inference_ms']:.1f} ms per chunk and episode, {report['batch']} at a time"),
            ("time taken", f"{report['seconds']:.0f} s"),
        ]
    )
    privileged = report["privileged"]
    return facts + page.note(privileged_note(privileged)) if privileged else facts


def _sampling(report: dict[str, Any]) -> list[tuple[str, str]]:
    used, changed = report["sampling"], report["sampling_changed"]
    words = [f"{name} {value}{', changed for this' if name in changed else ''}" for name, value in used.items()]
    return [("samples by", "; ".join(words))] if used else []


def comparison(report: dict[str, Any]) -> Markup:
    """The paired comparison of two checkpoints."""
    paired, other = report["paired"], report["against"]
    difference, score = paired["success_difference"], paired["score_difference"]
    p = paired["success_p"]
    rows = [
        (s["name"], f"{s['successes']} of {s['episodes']}", f"{s['score_mean']:.3f}", s["snapshot"][:16])
        for s in (report, other)
    ]
    verdict = "differ" if p < 0.05 else "can't be told apart by these seeds"
    return page.section(
        "On the same seeds",
        page.table(("what", "successes", "mean score", "data"), rows),
        page.facts(
            [
                ("only the first succeeded", f"{paired['only_first']} of {paired['seeds']} seeds"),
                ("only the second succeeded", f"{paired['only_second']} of {paired['seeds']} seeds"),
                ("McNemar's exact test", f"p = {p:.3g}: their success rates {verdict}"),
                ("difference in success", _signed(difference, 100, " %-points")),
                ("difference in score", _signed(score, 1, "")),
            ]
        ),
    )


def rollouts(folder: Path, report: dict[str, Any]) -> Markup:
    """The videos of a report in `folder`, failures first."""
    return page.row(*(page.film(v["type"], (folder / v["file"]).read_bytes(), v["caption"]) for v in report["videos"]))


def episodes(done: Sequence[Episode]) -> Markup:
    """How long successes took, and every episode."""
    rows = [
        (
            e.seed,
            page.badge("success", True) if e.success else page.badge(e.ended, False),
            f"{e.score:.3f}",
            e.steps,
            f"{e.inference_ms:.1f}",
            ", ".join(f"{name} {count}" for name, count in sorted(e.gate_trips.items())) or "none",
        )
        for e in done
    ]
    columns = ("seed", "end", "score", "steps", "inference [ms]", "gate")
    return page.section("Episodes", _steps_plot(done), page.details("Every episode", page.table(columns, rows)))


def made_by(report: dict[str, Any]) -> Markup:
    """The command, machine and versions behind the page."""
    machine = report["machine"]
    return page.section(
        "Made by",
        page.command(report["command"]),
        page.facts(
            [
                ("machine", f"{machine['processor']}, {machine['cores']} cores, {machine['memory_gb']} GB"),
                ("system", machine["system"]),
                ("versions", ", ".join(f"{k} {v}" for k, v in report["versions"].items())),
                ("finished", report["time"]),
            ]
        ),
    )


def _steps_plot(done: Sequence[Episode]) -> Markup:
    from matplotlib.figure import Figure

    with page.plot_style():
        figure = Figure(figsize=(8, 2.4), layout="constrained")
        axes = figure.subplots()
        by_outcome = [[e.steps for e in done if e.success], [e.steps for e in done if not e.success]]
        axes.hist(by_outcome, bins=30, stacked=True, label=["success", "failure"], color=[page.BLUE, page.ORANGE])
        axes.set_xlabel("steps")
        axes.set_ylabel("episodes")
        axes.legend()
        return page.plot(figure, "Length of the episodes, by how they ended.")


def _partial(report: dict[str, Any]) -> str:
    return (
        f"Partial: stopped after {report['episodes']} of {report['requested_episodes']} episodes. Short episodes, "
        "often successes, end first: don't quote this figure."
    )


def _signed(interval: dict[str, float], scale: float, unit: str) -> str:
    estimate, low, high = (scale * interval[k] for k in ("estimate", "low", "high"))
    return f"{estimate:+.3g}{unit} [{low:+.3g}, {high:+.3g}], first minus second"


def _save_videos(folder: Path, films: Sequence[Episode], policy_rate_hz: float) -> list[dict[str, str]]:
    """Write each film beside the report; what was written where."""
    videos = []
    for e in films:
        kind, data = page.encode_video(e.frames, policy_rate_hz / FILM_EVERY)
        path = folder / f"seed_{e.seed}.{kind.removeprefix('video/').removeprefix('image/')}"
        write_bytes(path, data)
        videos.append({"file": path.name, "type": kind, "caption": f"seed {e.seed}: {e.ended}, {e.steps} steps"})
    return videos
