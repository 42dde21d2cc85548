"""ChArUco boards: their geometry, and a page to print at true scale."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from robot_learning.errors import ConfigError, unknown_name
from robot_learning.output import write_bytes
from robot_learning.rig_parts.calibration import BoardConfig

PAGES_MM = {"A4": (297.0, 210.0), "A3": (420.0, 297.0), "A2": (594.0, 420.0), "letter": (279.4, 215.9)}  # landscape
_RIM_MM = 8.0  # printers leave some; the text stands in it, too
_MM_PER_INCH = 25.4
_POINTS_PER_INCH = 72.0
_BITS_RIM = 1  # white-bordered markers: one module of black around the bits


def cv2_module() -> Any:
    """OpenCV with ArUco; ConfigError that says what to install where it is missing or too old."""
    try:
        import cv2
    except ImportError as error:
        raise ConfigError(f"calibration needs OpenCV ({error}); run: pip install 'opencv-python>=4.8'.") from None
    if not hasattr(cv2, "aruco") or not hasattr(cv2.aruco, "CharucoDetector"):
        raise ConfigError(
            f"OpenCV {cv2.__version__} has no ChArUco detector; run: pip install --upgrade 'opencv-python>=4.8'."
        )
    return cv2


def dictionaries() -> list[str]:
    """The names of OpenCV's marker dictionaries."""
    return sorted(name for name in dir(cv2_module().aruco) if name.startswith("DICT_") and "APRILTAG" not in name)


def cv2_board(board: BoardConfig) -> Any:
    """OpenCV's board, of the present pattern (OpenCV 4.6 and later; `legacy` ones differ where rows are even).

    Raises:
        UnknownName: no such dictionary.
        ConfigError: it has too few markers.
    """
    cv2 = cv2_module()
    names = dictionaries()
    if board.dictionary not in names:
        raise unknown_name("marker dictionary", board.dictionary, names)
    dictionary = cv2.aruco.getPredefinedDictionary(getattr(cv2.aruco, board.dictionary))
    needed, there = board.squares_x * board.squares_y // 2, len(dictionary.bytesList)
    if needed > there:
        raise ConfigError(
            f"a board of {board.squares_x} x {board.squares_y} squares needs {needed} markers, {board.dictionary} has "
            f"{there}; take a larger dictionary or fewer squares."
        )
    return cv2.aruco.CharucoBoard((board.squares_x, board.squares_y), board.square_m, board.marker_m, dictionary)


def corners(board: BoardConfig) -> np.ndarray:
    """The inner corners in the board's frame, (N, 3) [m], in the order of their ids.

    Origin at the outer corner of the first square, x across, y down, z into the board, as OpenCV has it.
    """
    return np.asarray(cv2_board(board).getChessboardCorners(), dtype=np.float64)


def picture(board: BoardConfig, pixels_per_square: int = 80, rim_squares: float = 0.0) -> np.ndarray:
    """The board as (H, W) uint8, with a white rim."""
    rim = round(rim_squares * pixels_per_square)
    size = (board.squares_x * pixels_per_square + 2 * rim, board.squares_y * pixels_per_square + 2 * rim)
    return np.asarray(cv2_board(board).generateImage(size, marginSize=rim, borderBits=1))


def write_page(board: BoardConfig, path: Path, page: str = "A4", dpi: int = 600) -> Path:
    """Write the board as PDF (vectors) or PNG at true scale, with its measures and a 100 mm rule printed on it.

    Raises:
        ConfigError: it does not fit the page, or the file's kind is unknown.
    """
    if page not in PAGES_MM:
        raise unknown_name("page", page, PAGES_MM)
    if path.suffix not in (".pdf", ".png"):
        raise ConfigError(f"a board is written as .pdf or .png; got '{path.name}'.")
    width, height = PAGES_MM[page]
    side = 1e3 * board.square_m
    across, down = board.squares_x * side, board.squares_y * side
    if across > width - 2 * _RIM_MM or down > height - 3 * _RIM_MM:
        raise ConfigError(
            f"a board of {across:g} x {down:g} mm does not fit {page} ({width:g} x {height:g} mm less "
            f"{2 * _RIM_MM:g} and {3 * _RIM_MM:g} mm); take a larger page ({', '.join(PAGES_MM)}) or smaller squares."
        )
    return write_bytes(path, _drawn(board, (width, height), path.suffix[1:], dpi))


def _drawn(board: BoardConfig, page_mm: tuple[float, float], kind: str, dpi: int) -> bytes:
    import io

    from matplotlib import rc_context
    from matplotlib.collections import PatchCollection
    from matplotlib.figure import Figure
    from matplotlib.patches import Rectangle

    width, height = page_mm
    side = 1e3 * board.square_m
    left, top = (width - board.squares_x * side) / 2, (height + board.squares_y * side + _RIM_MM) / 2
    with rc_context({"pdf.fonttype": 42, "path.snap": False}):
        figure = Figure(figsize=(width / _MM_PER_INCH, height / _MM_PER_INCH), dpi=dpi)
        axes = figure.add_axes((0, 0, 1, 1))
        axes.set(xlim=(0, width), ylim=(0, height))
        axes.axis("off")
        cells = [Rectangle((left + x, top - y - h), w, h) for x, y, w, h in _black(board)]
        axes.add_collection(PatchCollection(cells, facecolor="black", edgecolor="none", antialiased=False))
        rule = (width / 2 - 50, top - board.squares_y * side - _RIM_MM)
        axes.plot((rule[0], rule[0] + 100), (rule[1], rule[1]), color="black", linewidth=0.8)
        for end in (0, 50, 100):
            axes.plot((rule[0] + end,) * 2, (rule[1] - 1.5, rule[1] + 1.5), color="black", linewidth=0.8)
        axes.text(
            width / 2, rule[1] - 2.5,
            f"{board.text()}. Print at 100 %; the rule must be 100 mm, each square {side:g} mm: measure both.",
            ha="center", va="top", fontsize=8,
        )  # fmt: skip
        out = io.BytesIO()
        figure.savefig(out, format=kind, dpi=dpi, facecolor="white")
        return out.getvalue()


def _black(board: BoardConfig) -> list[tuple[float, float, float, float]]:
    """The black rectangles: x, y from the board's upper left, width, height [mm]."""
    side, marker = 1e3 * board.square_m, 1e3 * board.marker_m
    made = cv2_board(board)
    bits = made.getDictionary().markerSize
    module = marker / (bits + 2 * _BITS_RIM)
    found = [
        (x * side, y * side, side, side)
        for y in range(board.squares_y)
        for x in range(board.squares_x)
        if (x + y) % 2 == 0
    ]
    white = [(x, y) for y in range(board.squares_y) for x in range(board.squares_x) if (x + y) % 2]
    for (x, y), id in zip(white, np.asarray(made.getIds()).ravel(), strict=True):
        dots = made.getDictionary().generateImageMarker(int(id), bits + 2 * _BITS_RIM, borderBits=_BITS_RIM)
        corner = (x * side + (side - marker) / 2, y * side + (side - marker) / 2)
        found += _runs(np.asarray(dots) == 0, corner, module)
    return found


def _runs(dark: np.ndarray, corner: tuple[float, float], module: float) -> list[tuple[float, float, float, float]]:
    """Dark modules of a marker as rectangles, one for each run in a row."""
    found = []
    for row, line in enumerate(dark):
        edges = np.flatnonzero(np.diff(np.concatenate([[0], line.astype(int), [0]])))
        for begin, end in edges.reshape(-1, 2):
            found.append((corner[0] + begin * module, corner[1] + row * module, (end - begin) * module, module))
    return found
