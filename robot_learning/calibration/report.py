"""What a calibration leaves behind beside the rig file: calibration.json and a page with the residuals."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from markupsafe import Markup

from robot_learning import page
from robot_learning.calibration.actuator import Actuator
from robot_learning.calibration.board import cv2_module
from robot_learning.calibration.gripper import Gripper
from robot_learning.calibration.handeye import HandEye
from robot_learning.calibration.latency import Latency
from robot_learning.calibration.poses import turns
from robot_learning.calibration.results import text_of
from robot_learning.output import prepare_folder, write_json
from robot_learning.rig import Rig
from robot_learning.rig_parts.calibration import ActuatorDelay, CameraLatency, CameraPose, GripperDelay

Result = CameraPose | CameraLatency | ActuatorDelay | GripperDelay
_SHEET_WIDTH_PX = 240
_SHEET_COLUMNS = 4


def write(folder: str | Path, rig: Rig, title: str, record: Result, blocks: Sequence[Markup]) -> Path:
    """Write both and return the page's path; UserError where the folder can't be written."""
    folder = prepare_folder(folder)
    write_json(folder / "calibration.json", {"rig": rig.name, **record.model_dump(mode="json")})
    return page.write(folder / "calibration.html", title, f"{rig.name}, {record.source}, {record.date}", blocks)


def camera_blocks(
    found: HandEye, record: CameraPose, unused: Sequence[str], pictures: Sequence[np.ndarray]
) -> list[Markup]:
    """Of a camera's pose.

    Args:
        unused: why other pictures were not used.
        pictures: those of `found.views`, in order; may be empty.
    """
    head = page.headline(
        f"{record.error_mm:.2f} mm", "standard error of the camera's position",
        f"and {record.error_deg:.3f} degrees", good=True,
    )  # fmt: skip
    facts: list[tuple[str, Any]] = [
        ("result", text_of(record)),
        ("position [m]", ", ".join(f"{v:.5f}" for v in record.position_m)),
        ("quaternion w x y z", ", ".join(f"{v:.5f}" for v in record.quaternion_wxyz)),
        ("frame", "tool" if record.mount == "hand" else "base"),
        ("board", record.board.text()),
        ("squares, by the robot's motion", f"{record.scale:.4f} of the stated side, +- {found.scale_error:.4f}"),
        ("intrinsics", _lens(record)),
        ("poses", found.spread.text()),
    ]
    blocks = [
        page.section("Where the camera is", head, page.facts(facts)),
        page.section("Residuals", _residual_plot(found)),
        page.section("Spread of the poses", _spread_plot(found)),
    ]
    left = [*(f"left out: {text}" for text in record.rejected), *(f"not used: {text}" for text in unused)]
    if left:
        blocks.append(page.section("What was left out", *(page.paragraph(text) for text in left)))
    if pictures:
        blocks.append(page.section("Corners", page.picture(corner_sheet(found, pictures), "Green: found. Red: where "
                      "the result puts them; a line from one to the other, ten times as long.")))  # fmt: skip
    return blocks


def corner_sheet(found: HandEye, pictures: Sequence[np.ndarray]) -> np.ndarray:
    """The pictures, small, with their corners."""
    cv2 = cv2_module()
    tiles = []
    predicted = found.predicted_px()
    for view, at, picture in zip(found.views, predicted, pictures, strict=True):
        scale = _SHEET_WIDTH_PX / picture.shape[1]
        tile = cv2.resize(picture, (_SHEET_WIDTH_PX, round(picture.shape[0] * scale)), interpolation=cv2.INTER_AREA)
        for seen, put in zip(view.detection.pixels, at, strict=True):
            a = np.rint(seen * scale).astype(int)
            b = np.rint((seen + 10 * (put - seen)) * scale).astype(int)
            cv2.line(tile, a.tolist(), b.tolist(), (220, 40, 40), 1, cv2.LINE_AA)
            cv2.circle(tile, a.tolist(), 2, (40, 180, 80), 1, cv2.LINE_AA)
        tiles.append(tile)
    return page.contact_sheet(tiles, _SHEET_COLUMNS)


def latency_blocks(found: Latency, record: CameraLatency) -> list[Markup]:
    """Of a camera's latency."""
    from matplotlib.figure import Figure

    with page.plot_style():
        figure = Figure(figsize=(8, 3), layout="constrained")
        axes = figure.subplots()
        axes.plot(1e3 * found.curve[:, 0], 100 * found.curve[:, 1], color=page.BLUE)
        axes.axvline(1e3 * found.latency_s, color=page.ORANGE)
        axes.set(xlabel="delay that is tried [ms]", ylabel="left unexplained [%]")
        plot = page.plot(figure, "How much of the pictures' change the motion leaves unexplained, by delay.")
    head = page.headline(
        f"{1e3 * record.latency_s:.1f} ms", "from what a picture shows to its stamp",
        f"+- {1e3 * record.error_s:.1f} ms", good=True,
    )  # fmt: skip
    return [page.section("Latency", head, page.facts([("result", text_of(record))])), page.section("Fit", plot)]


def actuator_blocks(found: Actuator, record: ActuatorDelay) -> list[Markup]:
    """Of the joints' delay."""
    from matplotlib.figure import Figure

    with page.plot_style():
        figure = Figure(figsize=(8, 3.4), layout="constrained")
        axes = figure.subplots()
        t = found.times_s
        axes.plot(t, found.commanded, color=page.GREY, label="commanded")
        axes.plot(t, found.measured, color=page.BLUE, label="measured")
        axes.plot(t, found.modelled, color=page.ORANGE, linestyle="--", label="delay and lag")
        axes.set(xlabel="time [s]", ylabel="[rad] or [m]")
        axes.legend(ncols=3)
        plot = page.plot(figure, "The joint or axis that moved most.")
    head = page.headline(
        f"{1e3 * record.total_s:.1f} ms", "from a command to a slow motion",
        f"{1e3 * record.delay_s:.1f} ms of delay, {1e3 * record.lag_s:.1f} ms of lag", good=True,
    )  # fmt: skip
    rows = [(name, f"{1e3 * d:.1f}", f"{1e3 * lag:.1f}") for name, (d, lag) in record.joints.items()]
    table = page.table(("joint or axis", "delay [ms]", "lag [ms]"), rows)
    return [page.section("Delay", head, page.facts([("result", text_of(record))]), table), page.section("Fit", plot)]


def gripper_blocks(found: Gripper, record: GripperDelay) -> list[Markup]:
    """Of the gripper's delay."""
    delays = [d for d in (record.close_delay_s, record.open_delay_s) if d is not None]
    head = page.headline(
        f"{1e3 * max(delays):.0f} ms", "from a command to the fingers' motion",
        f"+- {1e3 * record.spread_s:.0f} ms over {record.motions} motions", good=True,
    )  # fmt: skip
    rows = [
        (
            f"{m.at_s:.2f}", "opens" if m.speed_m_s > 0 else "closes", f"{1e3 * m.delay_s:.1f}",
            f"{1e3 * abs(m.speed_m_s):.0f}",
        )
        for m in found.motions
    ]  # fmt: skip
    table = page.table(("commanded at [s]", "", "delay [ms]", "speed [mm/s]"), rows)
    return [page.section("Delay", head, page.facts([("result", text_of(record))])), page.section("Motions", table)]


def _lens(record: CameraPose) -> str:
    c = record.intrinsics
    distortion = ", ".join(f"{v:.4f}" for v in c.distortion)
    return f"{c.source}: fx {c.fx:.2f}, fy {c.fy:.2f}, cx {c.cx:.2f}, cy {c.cy:.2f} px; k1 k2 p1 p2 k3: {distortion}"


def _residual_plot(found: HandEye) -> Markup:
    from matplotlib.figure import Figure

    series = (
        ("[px]", found.view_px, page.BLUE),
        ("[mm]", found.view_mm, page.ORANGE),
        ("[degrees]", found.view_deg, page.GREEN),
        ("left out [mm]", found.left_out_mm, page.GREY),
    )
    with page.plot_style():
        figure = Figure(figsize=(8, 5), layout="constrained")
        for axes, (label, values, colour) in zip(figure.subplots(len(series), 1, sharex=True), series, strict=True):
            axes.bar(np.arange(1, len(values) + 1), values, color=colour)
            axes.set_ylabel(label)
        figure.axes[-1].set_xlabel("pose")
        return page.plot(
            figure,
            "Of each pose: the reprojection of its corners; how far the board, as this picture alone sees it, is from "
            "where the result puts it; how far the result moves without this pose.",
        )


def _spread_plot(found: HandEye) -> Markup:
    from matplotlib.figure import Figure

    tools = np.stack([v.tool for v in found.views])
    away = np.degrees(turns(tools[:, :3, :3]))
    with page.plot_style():
        figure = Figure(figsize=(8, 3.4), layout="constrained")
        left, right = figure.subplots(1, 2)
        left.scatter(away[:, 0], away[:, 1], c=away[:, 2], cmap="viridis", s=22)
        left.set(xlabel="turned about x [degrees]", ylabel="about y [degrees]", aspect="equal")
        right.scatter(100 * tools[:, 0, 3], 100 * tools[:, 1, 3], c=100 * tools[:, 2, 3], cmap="viridis", s=22)
        right.set(xlabel="x [cm]", ylabel="y [cm]", aspect="equal")
        return page.plot(
            figure, "The tool: how it was turned from its mean, and where it was; colour is the third axis."
        )
