"""One self-contained HTML page of an episode or a store: frames, plots, timing, metadata."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from markupsafe import Markup

from robot_learning import page
from robot_learning.clock import NS_PER_S
from robot_learning.contract import StreamSpec, parse_unit
from robot_learning.data.edits import history
from robot_learning.data.images import resize
from robot_learning.data.store import Episode, Store, Stream
from robot_learning.data.validation import check
from robot_learning.errors import StoreError

FRAMES = 12  # of each camera, evenly spaced in time
FRAME_WIDTH_PX = 176
THUMBNAIL_WIDTH_PX = 96
THUMBNAILS = 300  # a page stays below about 2 MB
BINS = 500  # a longer curve is drawn as the lowest and highest value in each of so many bins
LEGEND_MAX = 10  # more curves than this are drawn without names
CURVES_MAX = 40
WIDTH_IN = 10.8  # of plots, so that they fill a card


def view(target: Store | Episode, out_html: str | Path) -> Path:
    """Write the page and return its path; UserError where it can't be written."""
    return view_episode(target, out_html) if isinstance(target, Episode) else view_store(target, out_html)


def view_episode(episode: Episode, out_html: str | Path) -> Path:
    """The page of one episode."""
    metadata, streams = episode.metadata, [s for s in episode.streams.values() if len(s)]
    cameras = [s for s in streams if s.spec.unit in ("rgb", "depth_mm")]
    outcome = metadata.get("outcome")
    problems = check(episode)
    blocks = [
        page.section(
            "Episode",
            page.headline(
                f"{episode.duration_s:.1f} s",
                {"success": "success", "failure": "failure"}.get(str(outcome), "not judged"),
                f"{sum(map(len, streams)):,} samples of {len(streams)} streams; ended by {_ended(episode)}",
                good=outcome == "success",
            ),
            page.facts(_facts(episode)),
        )
    ]
    if problems:
        rows = [(p.stream or "", "" if p.index is None else p.index, p.what) for p in problems]
        blocks.append(page.section("Problems", page.table(["stream", "sample", "what"], rows)))
    if cameras:
        blocks.append(page.section("Cameras", *(_shown(_sheet, s, episode.start_ns) for s in cameras)))
    if curves := [s for s in streams if s not in cameras]:
        blocks.append(page.section("Streams", *(_shown(_plot, s, episode.start_ns) for s in curves)))
    blocks.append(page.section("Timing, as measured", _timing(episode)))
    blocks.append(page.section("Metadata", *_metadata(episode)))
    return page.write(
        out_html, metadata.get("task") or episode.id, f"{episode.contract.rig}, episode {episode.id}", blocks
    )


def view_store(store: Store, out_html: str | Path) -> Path:
    """The page of a whole store: one row for each episode that is not deleted."""
    episodes = store.episodes()
    outcomes = Counter(str(e.metadata.get("outcome")) for e in episodes)
    hours = sum(e.duration_s for e in episodes) / 3600
    told = [f"{n} {'not judged' if o == 'None' else o}" for o, n in sorted(outcomes.items())]
    blocks = [
        page.section(
            "Store",
            page.headline(
                str(len(episodes)), "episodes", f"{hours:.2f} hours; {', '.join(told) or 'nothing recorded yet'}"
            ),
            page.facts(
                [
                    ("folder", store.path),
                    ("tasks", "; ".join(sorted({str(e.metadata.get("task")) for e in episodes})) or "none"),
                    ("robots", ", ".join(sorted({e.contract.robot for e in episodes})) or "none"),
                    ("deleted", len(store.episodes(include_deleted=True)) - len(episodes)),
                ]
            ),
        )
    ]
    if left := store.open_episodes():
        blocks[0] += page.note(
            f"{len(left)} more are being recorded, or were left by a recorder that died: "
            "'robot-learning data recover' seals those."
        )
    if episodes:
        blocks.append(page.section("Length", _lengths([e.duration_s for e in episodes])))
        columns = ["first and last frame", "episode", "task", "outcome", "length [s]", "lost samples", "gaps", "ended"]
        rows = [_row(e, picture=i < THUMBNAILS) for i, e in enumerate(episodes)]
        blocks.append(page.section("Episodes", page.table(columns, rows)))
    return page.write(out_html, f"Store {store.path.name}", f"{len(episodes)} episodes", blocks)


def _ended(episode: Episode) -> str:
    return str(episode.metadata.get("termination_reason") or "nothing known")


def _facts(episode: Episode) -> list[tuple[str, Any]]:
    metadata = episode.metadata
    provenance = metadata.get("provenance") or {}
    facts = [
        ("task", metadata.get("task") or "not named"),
        ("operator", metadata.get("operator") or "not named"),
        ("created", metadata.get("created", "unknown")),
        ("robot", f"{episode.contract.robot}, policies at {episode.contract.policy_rate_hz:g} Hz"),
        ("digest", episode.digest),
    ]
    return facts + [(k, v) for k, v in provenance.items() if isinstance(v, str | int | float) and len(str(v)) < 200]


def _shown(draw: Callable[[Stream, int], Markup], stream: Stream, start_ns: int) -> Markup:
    """The stream, or why it can't be shown: a page is most wanted where something is damaged."""
    try:
        return draw(stream, start_ns)
    except StoreError as error:
        return page.note(str(error))


def _sheet(stream: Stream, start_ns: int) -> Markup:
    """Frames of one camera."""
    at = np.unique(np.linspace(0, len(stream) - 1, min(FRAMES, len(stream))).astype(int))
    frames = _shrink(_colour(stream.read(at), stream.spec), FRAME_WIDTH_PX)
    seconds = (stream.stamp[at] - start_ns) / NS_PER_S
    height, width = stream.spec.shape[:2]
    return page.picture(
        page.contact_sheet(list(frames), columns=6),
        f"{stream.spec.name}, {width}x{height} pixels, {len(stream)} frames; "
        f"shown at {', '.join(f'{s:.1f}' for s in seconds)} s",
    )


def _colour(frames: np.ndarray, spec: StreamSpec) -> np.ndarray:
    """Depth as grey, near is bright, nothing returned is black."""
    if spec.unit == "rgb":
        return frames
    seen = frames[frames > 0]
    low, high = np.percentile(seen, [1, 99]) if len(seen) else (0, 1)
    grey = np.clip(255 - 215 * (frames - float(low)) / max(float(high - low), 1.0), 40, 255)
    return np.repeat(np.where(frames > 0, grey, 0).astype(np.uint8)[..., None], 3, axis=-1)


def _shrink(frames: np.ndarray, width: int) -> np.ndarray:
    height, old = frames.shape[1:3]
    return frames if old <= width else resize(frames, (max(1, round(height * width / old)), width))


def _plot(stream: Stream, start_ns: int) -> Markup:
    """All values of a stream over time, one pair of axes for each unit."""
    from matplotlib import colormaps
    from matplotlib.figure import Figure

    spec = stream.spec
    values = stream.read(np.arange(len(stream))).reshape(len(stream), -1).astype(float)
    seconds = (stream.stamp - start_ns) / NS_PER_S
    parts = parse_unit(spec.unit, spec.shape)
    widths = [n for _, n in parts] if len(parts) > 1 else [values.shape[1]]
    with page.plot_style():
        figure = Figure(figsize=(WIDTH_IN, 1.9 * len(parts) + 0.4), layout="constrained")
        axes = figure.subplots(len(parts), 1, sharex=True, squeeze=False)[:, 0]
        first = 0
        for axis, (unit, _), count in zip(axes, parts, widths, strict=True):
            shown = min(count, CURVES_MAX)
            names = _component_names(unit, count) if 1 < count <= LEGEND_MAX else [None] * shown
            for k in range(shown):
                colour = colormaps["tab10"](k % 10) if count <= LEGEND_MAX else page.BLUE
                x, y = envelope(seconds, values[:, first + k])
                alpha = 1.0 if count <= LEGEND_MAX else 0.4
                axis.plot(x, y, color=colour, alpha=alpha, linewidth=1.1, label=names[k])
            axis.set_ylabel({"1": "", "angle_rad": "rad", "quaternion_wxyz": "", "rotation_6d": "6-D"}.get(unit, unit))
            axis.margins(x=0)
            if names[0]:
                axis.legend(loc="center left", bbox_to_anchor=(1, 0.5), fontsize=8)
            first += count
        axes[0].set_title(spec.name, loc="left", fontweight="bold", fontsize=10)
        axes[-1].set_xlabel("s")
        frame = f", frame {spec.frame}" if spec.frame else ""
        caption = f"{spec.shape}, {spec.unit}{frame}; {len(stream)} samples"
        if max(widths) > CURVES_MAX:
            caption += f"; the first {CURVES_MAX} of {max(widths)} values are drawn"
        return page.plot(figure, caption)


def _component_names(unit: str, count: int) -> list[str]:
    if unit == "quaternion_wxyz":
        return list("wxyz")
    return list("xyz")[:count] if unit in ("m", "px", "m/s", "N") and count <= 3 else [str(k) for k in range(count)]


def envelope(x: np.ndarray, y: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """A curve with at most two points for each bin: its lowest and highest value there, so that no spike is lost."""
    size = -(-len(y) // BINS)
    if size <= 2:
        return x, y
    whole = len(y) // size * size
    blocks = y[:whole].reshape(-1, size)
    rows = np.arange(len(blocks)) * size
    finite = np.isfinite(blocks)
    low = rows + np.where(finite, blocks, np.inf).argmin(1)
    high = rows + np.where(finite, blocks, -np.inf).argmax(1)
    keep = np.sort(np.stack([low, high], axis=1), axis=1).ravel()
    keep = np.concatenate([keep, np.arange(whole, len(y))])
    return x[keep], y[keep]


def _timing(episode: Episode) -> Markup:
    columns = [
        "stream", "samples", "nominal [Hz]", "measured [Hz]", "lost", "gaps", "longest interval [ms]",
        "jitter [ms]", "latency [ms]", "worst latency [ms]", "not finite",
    ]  # fmt: skip
    rows = []
    for name, q in episode.quality["streams"].items():
        rate = episode.contract.stream(name).rate_hz
        if not q["samples"]:
            rows.append([name, 0, f"{rate:g}", *[""] * 8])
            continue
        rows.append(
            [
                name, q["samples"], f"{rate:g}", f"{q['rate_hz']:.2f}", _count(q["missing"]), _count(q["gaps"]),
                *(f"{1e3 * q[k]:.2f}" for k in ("longest_interval_s", "jitter_s", "latency_mean_s", "latency_max_s")),
                _count(q["not_finite"]),
            ]
        )  # fmt: skip
    return page.table(columns, rows)


def _count(number: int) -> Markup | int:
    return page.badge(str(number), good=False) if number else 0


def _metadata(episode: Episode) -> list[Markup]:
    rest = {k: v for k, v in episode.quality.items() if k != "streams"}
    blocks = [page.details("metadata", page.command(_json(episode.metadata)))]
    if rest:
        blocks.append(page.details("more of the quality record", page.command(_json(rest))))
    if edits := history(episode.path.parents[1], episode.id):
        blocks.append(page.details(f"{len(edits)} edits", page.command(_json(edits))))
    blocks.append(page.details("contract", page.command(_json(episode.contract.to_json()))))
    return blocks


def _json(content: Any) -> str:
    return json.dumps(content, indent=2, default=str)


def _lengths(seconds: Sequence[float]) -> Markup:
    from matplotlib.figure import Figure

    with page.plot_style():
        figure = Figure(figsize=(WIDTH_IN, 2), layout="constrained")
        axis = figure.subplots()
        axis.hist(seconds, bins=min(30, max(5, len(seconds) // 3)), color=page.BLUE)
        axis.set_xlabel("s")
        axis.set_ylabel("episodes")
        return page.plot(figure, f"from {min(seconds):.1f} to {max(seconds):.1f} s, median {np.median(seconds):.1f} s")


def _row(episode: Episode, picture: bool) -> list[Any]:
    metadata, quality = episode.metadata, episode.quality["streams"].values()
    outcome = metadata.get("outcome")
    return [
        _thumbnail(episode) if picture else "",
        episode.id,
        metadata.get("task", ""),
        page.badge(outcome, good=outcome == "success") if outcome else "",
        f"{episode.duration_s:.1f}",
        _count(sum(q["missing"] for q in quality)),
        _count(sum(q["gaps"] for q in quality)),
        _ended(episode),
    ]


def _thumbnail(episode: Episode) -> Markup | str:
    """The first and the last frame of the first camera."""
    for stream in episode.streams.values():
        if stream.spec.is_image and len(stream):
            try:
                frames = _shrink(stream.read([0, len(stream) - 1]), THUMBNAIL_WIDTH_PX)
            except StoreError:
                return page.badge("damaged", good=False)
            return page.picture(page.contact_sheet(list(frames), columns=2), "")
    return ""
