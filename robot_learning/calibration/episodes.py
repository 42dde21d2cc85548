"""Data for a calibration out of a recorded episode."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from robot_learning.calibration.bundle import View
from robot_learning.calibration.camera import CalibrationError
from robot_learning.calibration.detect import Detector, NoBoard
from robot_learning.calibration.latency import thumbnails
from robot_learning.calibration.poses import angle_deg, distance_mm
from robot_learning.clock import NS_PER_S
from robot_learning.data.store import Episode, Store, Stream
from robot_learning.errors import ContractMismatch, StoreError
from robot_learning.rig import Rig
from robot_learning.rotation import quaternion_to_matrix, rotation_distance
from robot_learning.topics import GRIPPER, action_names

REST_S = 0.3  # at rest for so long, before a picture counts
REST_MM, REST_DEG = 1.0, 0.15
APART_MM, APART_DEG = 10.0, 2.0  # nearer poses are one
STILLS_MAX = 60
FRAMES_MAX = 900


@dataclass(frozen=True)
class Still:
    """A picture that was taken while the tool was at rest.

    Attributes:
        name: what to call it in messages.
        tool: (4, 4) in the base frame.
        index: of the picture in its stream.
    """

    name: str
    tool: np.ndarray
    index: int


@dataclass(frozen=True)
class Found:
    """What an episode's pictures gave.

    Attributes:
        views: the poses at rest in which the board was found.
        unused: a sentence on each other one.
        pictures: of the views, (H, W, 3) uint8.
    """

    views: tuple[View, ...]
    unused: tuple[str, ...]
    pictures: tuple[np.ndarray, ...]


def open_episode(store: str | Path, id: str, rig: Rig) -> Episode:
    """An episode of a store, the newest where `id` is empty, that was recorded on such a rig.

    Raises:
        StoreError: no such store, or it is empty.
        ContractMismatch: it was recorded on another robot.
    """
    opened = Store.open(store)
    if not id and not opened.episodes():
        raise StoreError(f"the store {store} has no episodes; record one first: docs/hardware/calibration.md says how.")
    episode = opened.episode(id) if id else opened.episodes()[-1]
    ours = rig.contract()
    if episode.contract.robot != ours.robot:
        raise ContractMismatch(
            f"episode {episode.id} was recorded on a {episode.contract.robot}, the rig {rig.name} is a {ours.robot}."
        )
    return episode


def source_of(episode: Episode) -> str:
    """What a result says of its data."""
    return f"{episode.path.parent.parent.name}/{episode.id}"


def seconds(episode: Episode, stream: Stream) -> np.ndarray:
    """(N,) a stream's stamps since the episode's beginning [s]."""
    return (stream.stamp - episode.start_ns) / NS_PER_S


def values(episode: Episode, name: str) -> tuple[np.ndarray, np.ndarray]:
    """Stamps (N,) [s] and values (N, D) of a stream; CalibrationError where it is empty."""
    stream = stream_of(episode, name)
    return seconds(episode, stream), stream.read(range(len(stream))).astype(np.float64)


def stream_of(episode: Episode, name: str) -> Stream:
    """A stream with samples in it."""
    episode.contract.stream(name)
    stream = episode.streams[name]
    if len(stream) < 2:
        raise CalibrationError(f"episode {episode.id} holds {len(stream)} samples of '{name}'; record it again.")
    return stream


def tool_poses(episode: Episode) -> tuple[np.ndarray, np.ndarray]:
    """Stamps (N,) [s] and the measured tool (N, 4, 4) in the base frame."""
    times, positions = values(episode, "ee_position")
    stamps, orientations = values(episode, "ee_orientation")
    nearest = np.clip(np.searchsorted(stamps, times), 0, len(stamps) - 1)
    tools = np.tile(np.eye(4), (len(times), 1, 1))
    tools[:, :3, :3], tools[:, :3, 3] = quaternion_to_matrix(orientations[nearest]), positions
    return times, tools


def stills(stamps_s: np.ndarray, times_s: np.ndarray, tools: np.ndarray) -> list[Still]:
    """One picture of each pose in which the tool rested, poses that were there before left out.

    Args:
        stamps_s: (F,) of the pictures.
        times_s, tools: (N,) and (N, 4, 4) the measured tool.
    """
    # From rest to rest nothing may have moved in the window before the picture, nor just after it.
    rests: list[list[int]] = []
    for i, stamp in enumerate(stamps_s):
        inside = np.flatnonzero((times_s >= stamp - REST_S) & (times_s <= stamp + REST_S / 3))
        begun = len(inside) >= 3 and times_s[0] <= stamp - REST_S
        if begun and at_rest(tools[inside]):
            if rests and rests[-1][-1] == i - 1:
                rests[-1].append(i)
            else:
                rests.append([i])
    found: list[Still] = []
    for rest in rests:
        i = rest[len(rest) // 2]
        tool = tools[int(np.argmin(np.abs(times_s - stamps_s[i])))]
        if all(apart(tool, other.tool) for other in found):
            found.append(Still(f"the pose at {stamps_s[i]:.1f} s", tool, i))
    keep = np.unique(np.linspace(0, len(found) - 1, min(len(found), STILLS_MAX)).astype(int)) if found else []
    return [found[k] for k in keep]


def at_rest(tools: np.ndarray) -> bool:
    """Whether the tool (n, 4, 4) stayed where it was."""
    middle = tools[len(tools) // 2]
    shifts = 1e3 * np.linalg.norm(tools[:, :3, 3] - middle[:3, 3], axis=1)
    turns = np.degrees(rotation_distance(tools[:, :3, :3], middle[:3, :3]))
    return bool(shifts.max() <= REST_MM and turns.max() <= REST_DEG)


def apart(a: np.ndarray, b: np.ndarray) -> bool:
    """Whether two tool poses are two, for a calibration."""
    return distance_mm(a, b) > APART_MM or angle_deg(a, b) > APART_DEG


def board_views(episode: Episode, camera: str, detector: Detector) -> Found:
    """The board in an episode's pictures of poses at rest.

    Raises:
        CalibrationError: the tool never rested.
    """
    stream = stream_of(episode, camera)
    resting = stills(seconds(episode, stream), *tool_poses(episode))
    if not resting:
        raise CalibrationError(
            f"the tool never rested for {REST_S:g} s in episode {episode.id} ({episode.duration_s:.0f} s): move to a "
            "pose, hold it for a second, move on, and so through 15 poses or more."
        )
    views, unused, pictures = [], [], []
    for still in resting:
        picture = stream.read([still.index])[0]
        try:
            views.append(View(still.name, still.tool, detector(picture)))
        except NoBoard as why:
            unused.append(f"{still.name}: {why}")
        else:
            pictures.append(picture)
    if not views:
        raise CalibrationError(
            f"the board is in none of the {len(resting)} poses at rest of episode {episode.id}, e.g. {unused[0]}."
        )
    return Found(tuple(views), tuple(unused), tuple(pictures))


def commands_and_motion(
    episode: Episode, rig: Rig
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray, tuple[str, ...]]:
    """Gated commands and measured motion: times (N,) [s], values (N, D), times (M,) [s], values (M, D), names.

    Joints where the rig is commanded by joints, else the tool's x, y, z. What passed the gate counts, for that is what
    the robot was told; it has the command's own stamp.
    """
    sent, commands = values(episode, "action_gated")
    if rig.robot.command == "joint_target":
        times, motion = values(episode, "joint_position")
        return sent, commands[:, : motion.shape[1]], times, motion, rig.robot.joint_names
    times, motion = values(episode, "ee_position")
    return sent, commands[:, :3], times, motion, ("x", "y", "z")


def gripper_commands_and_motion(episode: Episode, rig: Rig) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Gated widths and the measured width: times (N,) [s], (N,) [m], times (M,) [s], (M,) [m]."""
    sent, commands = values(episode, "action_gated")
    times, width = values(episode, "gripper_width")
    return sent, commands[:, action_names(rig).index(GRIPPER)], times, width[:, 0]


def moving_pictures(episode: Episode, camera: str) -> tuple[np.ndarray, np.ndarray]:
    """Small pictures (N, h, w) and their stamps (N,) [s]; not more than 900, from the middle."""
    stream = stream_of(episode, camera)
    begin = max(0, (len(stream) - FRAMES_MAX) // 2)
    chosen = range(begin, min(len(stream), begin + FRAMES_MAX))
    small = np.concatenate([thumbnails(stream.read([i])) for i in chosen])
    return small, seconds(episode, stream)[begin : begin + len(small)]
