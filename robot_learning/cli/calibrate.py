"""`robot-learning calibrate`: where cameras are, and how late cameras, joints and gripper are."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import tyro
from tyro.conf import OmitArgPrefixes, Positional

from robot_learning.errors import ConfigError, UserError
from robot_learning.rig_parts.calibration import BoardConfig

if TYPE_CHECKING:
    from robot_learning.calibration.bundle import Mount
    from robot_learning.calibration.report import Result
    from robot_learning.data.store import Episode
    from robot_learning.rig import Rig
    from robot_learning.rig_parts.calibration import IntrinsicsConfig

_DEFAULT = BoardConfig()


def board(
    output: Positional[Path],
    squares: tuple[int, int] = (_DEFAULT.squares_x, _DEFAULT.squares_y),
    square_m: float = _DEFAULT.square_m,
    marker_m: float = _DEFAULT.marker_m,
    dictionary: str = _DEFAULT.dictionary,
    page: str = "A4",
) -> int:
    """Write a ChArUco board as a page to print at true scale.

    Args:
        output: the .pdf or .png to write.
        squares: across and down.
        square_m: side of a square.
        marker_m: side of the marker in it.
        dictionary: the markers' dictionary, as OpenCV names it.
        page: A4, A3, A2 or letter.
    """
    from robot_learning.calibration.board import write_page

    described = _board(squares, square_m, marker_m, dictionary)
    print(f"{write_page(described, output, page)}: {described.text()}")
    print(
        "Print it at 100 %, glue it on something flat and stiff, and measure a row of squares: give what you measure."
    )
    return 0


@dataclass(frozen=True)
class Pictures:
    """An episode with a board in a camera's pictures, and what to make of it.

    Attributes:
        rig: name of a rig in hardware_configs/, or the path of a rig file.
        camera: which of the rig's cameras.
        store: folder of the store.
        episode: id of the episode; empty: the newest.
        squares: of the board, across and down.
        square_m: side of a square, as measured on the print.
        marker_m: side of the marker in it.
        dictionary: the markers' dictionary.
        intrinsics_px: FX FY CX CY of the camera; without them they are found from the same pictures.
        distortion: K1 K2 P1 P2 K3, with intrinsics_px.
        output: folder of the report.
        dry_run: don't write the rig file.
    """

    rig: str
    camera: str
    store: Path
    episode: str = ""
    squares: tuple[int, int] = (_DEFAULT.squares_x, _DEFAULT.squares_y)
    square_m: float = _DEFAULT.square_m
    marker_m: float = _DEFAULT.marker_m
    dictionary: str = _DEFAULT.dictionary
    intrinsics_px: tuple[float, float, float, float] | None = None
    distortion: tuple[float, ...] = ()
    output: Path = Path("outputs/calibration")
    dry_run: bool = False


def hand_eye(pictures: OmitArgPrefixes[Pictures]) -> int:
    """Where a camera on the hand is, from an episode in which it looks at a board that stands still."""
    return _camera("hand", pictures)


def camera(pictures: OmitArgPrefixes[Pictures]) -> int:
    """Where a camera that stands still is, from an episode in which the hand holds a board before it."""
    return _camera("static", pictures)


def latency(
    rig: str,
    camera: str,
    store: Path,
    episode: str = "",
    output: Path = Path("outputs/calibration"),
    dry_run: bool = False,
) -> int:
    """How late a camera's stamps are, from an episode in which the robot moves to and fro.

    Args:
        rig: name of a rig in hardware_configs/, or the path of a rig file.
        camera: which of the rig's cameras.
        store: folder of the store.
        episode: id of the episode; empty: the newest.
        output: folder of the report.
        dry_run: don't write the rig file.
    """
    from robot_learning.calibration import episodes, report, results
    from robot_learning.calibration.latency import camera_latency
    from robot_learning.calibration.rigfile import about, require_camera

    loaded, recorded = _opened(rig, store, episode)
    require_camera(loaded, camera)
    small, stamps = episodes.moving_pictures(recorded, camera)
    times, joints = episodes.values(recorded, "joint_position")
    found = camera_latency(small, stamps, joints, times)
    record = results.camera_latency(found, about(episodes.source_of(recorded)))
    page = report.write(output, loaded, f"Latency of {camera}", record, report.latency_blocks(found, record))
    return _finish(rig, loaded, record, camera, page, dry_run)


def actuator(
    rig: str, store: Path, episode: str = "", output: Path = Path("outputs/calibration"), dry_run: bool = False
) -> int:
    """From a command to the arm's motion: delay and lag, from an episode with quick motions.

    Args:
        rig: name of a rig in hardware_configs/, or the path of a rig file.
        store: folder of the store.
        episode: id of the episode; empty: the newest.
        output: folder of the report.
        dry_run: don't write the rig file.
    """
    from robot_learning.calibration import episodes, report, results
    from robot_learning.calibration.actuator import actuator_delay
    from robot_learning.calibration.rigfile import about

    loaded, recorded = _opened(rig, store, episode)
    found = actuator_delay(*episodes.commands_and_motion(recorded, loaded))
    record = results.actuator_delay(found, about(episodes.source_of(recorded)))
    page = report.write(output, loaded, "Delay of the arm", record, report.actuator_blocks(found, record))
    return _finish(rig, loaded, record, "", page, dry_run)


def gripper(
    rig: str, store: Path, episode: str = "", output: Path = Path("outputs/calibration"), dry_run: bool = False
) -> int:
    """From a command to the fingers' motion, from an episode in which the gripper opens and closes some times.

    Args:
        rig: name of a rig in hardware_configs/, or the path of a rig file.
        store: folder of the store.
        episode: id of the episode; empty: the newest.
        output: folder of the report.
        dry_run: don't write the rig file.
    """
    from robot_learning.calibration import episodes, report, results
    from robot_learning.calibration.gripper import gripper_delay
    from robot_learning.calibration.rigfile import about

    loaded, recorded = _opened(rig, store, episode)
    found = gripper_delay(*episodes.gripper_commands_and_motion(recorded, loaded))
    record = results.gripper_delay(found, about(episodes.source_of(recorded)))
    page = report.write(output, loaded, "Delay of the gripper", record, report.gripper_blocks(found, record))
    return _finish(rig, loaded, record, "", page, dry_run)


def show(rig: Positional[str]) -> int:
    """What a rig file says of its calibration, and what is too old.

    Args:
        rig: name of a rig in hardware_configs/, or the path of a rig file.
    """
    from datetime import UTC, datetime

    from robot_learning.calibration.results import text_of
    from robot_learning.rig import load_rig

    loaded = load_rig(rig)
    if loaded.calibration is None:
        print(f"{loaded.name} has no calibration.")
        return 0
    now = datetime.now(UTC)
    for key, record in loaded.calibration.records().items():
        print(f"{key}: {text_of(record)}")  # type: ignore[arg-type]
        print(f"    {record.date}, {record.age_days(now):.0f} days ago, from {record.source}")
    print(f"policy.execution.actuator_delay_s: {loaded.policy.execution.actuator_delay_s:g}")
    for sentence in loaded.calibration.stale(now):
        print(f"warning: {sentence}")
    return 0


COMMANDS: dict[str, Callable[..., int]] = {
    "board": board,
    "hand-eye": hand_eye,
    "camera": camera,
    "latency": latency,
    "actuator": actuator,
    "gripper": gripper,
    "show": show,
}


def main(arguments: list[str]) -> int:
    """Run one of `COMMANDS`."""
    return tyro.extras.subcommand_cli_from_dict(
        COMMANDS,
        prog="robot-learning calibrate",
        description=(__doc__ or "").split(": ", 1)[1],
        args=arguments,
        config=(tyro.conf.FlagCreatePairsOff,),
    )


def _board(squares: tuple[int, int], square_m: float, marker_m: float, dictionary: str) -> BoardConfig:
    from pydantic import ValidationError

    from robot_learning.calibration.board import cv2_board

    try:
        made = BoardConfig(
            squares_x=squares[0], squares_y=squares[1], square_m=square_m, marker_m=marker_m, dictionary=dictionary
        )
    except ValidationError as error:
        raise ConfigError(
            "; ".join(str(e["msg"]).removeprefix("Value error, ") for e in error.errors()) + "."
        ) from None
    cv2_board(made)
    return made


def _opened(rig: str, store: Path, id: str) -> tuple[Rig, Episode]:
    from robot_learning.calibration.episodes import open_episode
    from robot_learning.rig import load_rig

    loaded = load_rig(rig)
    return loaded, open_episode(store, id, loaded)


def _camera(mount: Mount, of: Pictures) -> int:
    from robot_learning.calibration import report, results
    from robot_learning.calibration.detect import Detector
    from robot_learning.calibration.episodes import board_views, source_of
    from robot_learning.calibration.handeye import calibrate
    from robot_learning.calibration.rigfile import about, require_camera

    board = _board(of.squares, of.square_m, of.marker_m, of.dictionary)
    loaded, recorded = _opened(of.rig, of.store, of.episode)
    require_camera(loaded, of.camera)
    lens = _lens(loaded, of.camera, of.intrinsics_px, of.distortion)
    views = board_views(recorded, of.camera, Detector(board))
    for sentence in views.unused:
        print(f"not used: {sentence}")
    found = calibrate(views.views, mount, lens)
    for sentence in found.rejected:
        print(f"left out: {sentence}")
    record = results.camera_pose(found, board, about(source_of(recorded)))
    kept = {view.name for view in found.views}
    pictures = [p for view, p in zip(views.views, views.pictures, strict=True) if view.name in kept]
    blocks = report.camera_blocks(found, record, views.unused, pictures)
    page = report.write(of.output, loaded, f"Pose of {of.camera}", record, blocks)
    return _finish(of.rig, loaded, record, of.camera, page, of.dry_run)


def _lens(
    rig: Rig, camera: str, intrinsics_px: tuple[float, float, float, float] | None, distortion: tuple[float, ...]
) -> IntrinsicsConfig | None:
    import numpy as np

    from robot_learning.calibration.camera import of_matrix

    if intrinsics_px is None:
        if distortion:
            raise UserError("--distortion belongs to --intrinsics-px; give both or none.")
        return None
    fx, fy, cx, cy = intrinsics_px
    size = rig.cameras[camera]
    return of_matrix(np.array([[fx, 0, cx], [0, fy, cy], [0, 0, 1]]), size.width_px, size.height_px, distortion)


def _finish(rig: str, loaded: Rig, record: Result, camera: str, page: Path, dry_run: bool) -> int:
    from robot_learning.calibration.results import text_of
    from robot_learning.calibration.rigfile import updated, write_calibration

    print(text_of(record))
    print(f"report: {page}")
    if dry_run:
        print("the rig file was left as it is (--dry-run)")
        return 0
    path, copy = write_calibration(rig, updated(loaded, record, camera))
    print(f"written to {path}; what it was before: {copy.name}")
    return 0
