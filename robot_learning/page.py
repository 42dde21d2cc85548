"""Self-contained HTML pages: one file with its own style, plots, pictures and videos, no network.

    blocks = [page.headline("97 %", "success", "97 of 100"), page.section("Loss", page.plot(figure, "..."))]
    page.write(folder / "report.html", "panda/lift", "2026-11-23", blocks)

Blocks are markup made by the functions here; plain strings given to them are escaped.
Plots take their text colour from the page, so that they read in light and in dark.
"""

from __future__ import annotations

import base64
import io
import re
import tempfile
from collections.abc import Iterable, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import simplejpeg
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from robot_learning.output import write_text

BLUE, ORANGE, GREEN, GREY = "#3b82d6", "#df7a35", "#2a9d68", "#8a8f98"  # legible on light and dark paper
_INK = "#010203"  # stands for the page's text colour until the SVG is embedded


@cache
def _environment() -> Environment:
    folder = Path(__file__).resolve().parent
    return Environment(loader=FileSystemLoader(folder), autoescape=True, undefined=StrictUndefined)


def _block(name: str, *arguments: Any) -> Markup:
    return Markup(getattr(_environment().get_template("page_blocks.html").module, name)(*arguments))


def render(title: str, subtitle: str, blocks: Iterable[Markup]) -> str:
    """The whole page as text."""
    return _environment().get_template("page.html").render(title=title, subtitle=subtitle, blocks=list(blocks))


def write(path: str | Path, title: str, subtitle: str, blocks: Iterable[Markup]) -> Path:
    """Write the page atomically; UserError where the place can't be written."""
    return write_text(path, render(title, subtitle, blocks))


def section(title: str, *blocks: Markup) -> Markup:
    """A titled card."""
    return _block("section", title, blocks)


def details(title: str, *blocks: Markup) -> Markup:
    """Blocks behind a line that opens them."""
    return _block("details", title, blocks)


def row(*blocks: Markup) -> Markup:
    """Blocks side by side, as many as fit."""
    return _block("row", blocks)


def headline(value: str, label: str, detail: str, good: bool = False) -> Markup:
    """The one figure that the page is about."""
    return _block("headline", value, label, detail, good)


def paragraph(text: str) -> Markup:
    """Running text."""
    return _block("paragraph", text)


def note(text: str) -> Markup:
    """A remark that a reader should not miss."""
    return _block("note", text)


def facts(items: Iterable[tuple[str, Any]]) -> Markup:
    """Names and their values."""
    return _block("facts", list(items))


def table(columns: Sequence[str], rows: Iterable[Sequence[Any]]) -> Markup:
    """A table; cells may be markup, text or numbers."""
    return _block("table", columns, list(rows))


def badge(text: str, good: bool) -> Markup:
    """A short verdict, coloured."""
    return _block("badge", text, good)


def command(text: str) -> Markup:
    """A command to copy."""
    return _block("command", text)


def picture(image: np.ndarray, caption: str) -> Markup:
    """An (H, W, 3) uint8 image, embedded as JPEG."""
    return _block(
        "picture", _uri("image/jpeg", simplejpeg.encode_jpeg(np.ascontiguousarray(image), quality=88)), caption
    )


def video(frames: Sequence[np.ndarray], rate_hz: float, caption: str) -> Markup:
    """Frames (H, W, 3) uint8, embedded as H.264 where imageio-ffmpeg is installed, else as animated WebP."""
    return film(*encode_video(frames, rate_hz), caption)


def film(kind: str, data: bytes, caption: str) -> Markup:
    """An encoded video, (media type, bytes) as from :func:`encode_video`."""
    return _block("movie" if kind == "video/mp4" else "picture", _uri(kind, data), caption)


def plot(figure: Any, caption: str) -> Markup:
    """A Matplotlib figure, embedded as SVG; make it under :func:`plot_style`."""
    text = io.StringIO()
    figure.savefig(text, format="svg", transparent=True, metadata=dict.fromkeys(("Date", "Creator", "Format", "Type")))
    svg = text.getvalue()
    svg = re.sub(r"<metadata>.*?</metadata>", "", svg[svg.index("<svg") :], flags=re.DOTALL)
    svg = re.sub(r' xmlns(:xlink)?="[^"]*"', "", svg).replace("xlink:href", "href")  # inline, HTML needs neither
    svg = re.sub(r"font-family: [^;]*?sans-serif", "font-family: inherit", svg)
    return _block("plot", Markup(svg.replace(_INK, "currentColor")), caption)


def plot_style() -> Any:
    """Context manager: Matplotlib settings for a figure that will be embedded.

    >>> with plot_style():
    ...     figure = Figure(figsize=(7, 3), layout="constrained")
    """
    import matplotlib
    from cycler import cycler

    return matplotlib.rc_context(
        {
            "svg.fonttype": "none",  # text stays text: small, searchable, in the page's font
            "font.family": "sans-serif", "font.size": 10,
            "text.color": _INK, "axes.labelcolor": _INK, "axes.edgecolor": GREY,
            "xtick.color": _INK, "ytick.color": _INK,
            "axes.spines.top": False, "axes.spines.right": False,
            "axes.grid": True, "grid.color": GREY, "grid.alpha": 0.25, "grid.linewidth": 0.6,
            "axes.prop_cycle": cycler(color=[BLUE, ORANGE, GREEN, GREY]),
            "legend.frameon": False,
        }
    )  # fmt: skip


def encode_video(frames: Sequence[np.ndarray], rate_hz: float) -> tuple[str, bytes]:
    """(media type, bytes) of a short film of (H, W, 3) uint8 frames of one size."""
    try:
        import imageio_ffmpeg
    except ImportError:
        return "image/webp", _webp(frames, rate_hz)
    height, width = (2 * (n // 2) for n in frames[0].shape[:2])  # H.264 in yuv420p needs even sides
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "film.mp4")
        writer = imageio_ffmpeg.write_frames(
            str(path), (width, height), fps=rate_hz, codec="libx264", pix_fmt_out="yuv420p", macro_block_size=2,
            output_params=["-crf", "26", "-threads", "1", "-movflags", "+faststart"], ffmpeg_log_level="error",
        )  # fmt: skip
        writer.send(None)
        for frame in frames:
            writer.send(np.ascontiguousarray(frame[:height, :width]).tobytes())
        writer.close()
        return "video/mp4", path.read_bytes()


def _webp(frames: Sequence[np.ndarray], rate_hz: float) -> bytes:
    from PIL import Image  # comes with Matplotlib

    first, *rest = [Image.fromarray(frame) for frame in frames]
    data = io.BytesIO()
    first.save(data, "WEBP", save_all=True, append_images=rest, duration=round(1000 / rate_hz), loop=0, quality=70)
    return data.getvalue()


def contact_sheet(images: Sequence[np.ndarray], columns: int, gap: int = 2) -> np.ndarray:
    """Images (H, W, 3) uint8 of one size, laid out in rows; (rows*(H+gap)-gap, columns*(W+gap)-gap, 3) uint8."""
    height, width = images[0].shape[:2]
    rows = -(-len(images) // columns)
    sheet = np.full((rows * (height + gap) - gap, columns * (width + gap) - gap, 3), 128, np.uint8)
    for i, image in enumerate(images):
        y, x = (i // columns) * (height + gap), (i % columns) * (width + gap)
        sheet[y : y + height, x : x + width] = image
    return sheet


def _uri(kind: str, data: bytes) -> str:
    return f"data:{kind};base64,{base64.b64encode(data).decode()}"
