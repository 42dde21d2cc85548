"""Episodes for the calibration's tests, as the recorder would have written them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import yaml

from robot_learning.calibration.poses import to_quaternion
from robot_learning.data.sample import Sample
from robot_learning.data.store import Episode, Store
from robot_learning.data.writer import EpisodeWriter
from robot_learning.rig import Rig, load_rig
from robot_learning.rotation import matrix_to_rotation_6d

STATE_HZ, FRAMES_HZ = 100, 30
START_NS = 1_700_000_000_000_000_000
_PANDA = Path(__file__).parents[2] / "hardware_configs" / "panda_sim.yaml"


def rig_file(folder: Path, width_px: int = 640, height_px: int = 480, command: str = "ee_target") -> Path:
    """A rig file with one camera of each mounting."""
    content = yaml.safe_load(_PANDA.read_text())
    content["name"] = "station"
    content["robot"]["command"] = command
    size = {"width_px": width_px, "height_px": height_px}
    for camera in content["cameras"].values():
        camera |= size | {"depth": False}
    for stream in ("front_depth", "wrist_depth"):
        del content["policy"]["alignment"][stream]
    path = folder / "station.yaml"
    path.write_text("# The station by the window.\n" + yaml.safe_dump(content, sort_keys=False))
    return path


class Recording:
    """An episode in the making: values by stream, with stamps in seconds since its beginning."""

    def __init__(self, rig: Path, folder: Path) -> None:
        self.rig: Rig = load_rig(rig)
        self.store = Store.open_or_create(folder / "store")
        self._writer = EpisodeWriter(self.store, self.rig.contract(), {"task": "calibration", "provenance": {}})
        self._count: dict[str, int] = {}

    def add(self, stream: str, at_s: float, value: np.ndarray) -> None:
        """One sample."""
        n = self._count[stream] = self._count.get(stream, -1) + 1
        stamp = START_NS + round(at_s * 1e9)
        self._writer.append([Sample(stream, stamp, stamp, n, np.asarray(value))])

    def tool(self, at_s: float, pose: np.ndarray) -> None:
        """The measured tool (4, 4)."""
        self.add("ee_position", at_s, pose[:3, 3])
        self.add("ee_orientation", at_s, to_quaternion(pose))

    def command(self, at_s: float, position: np.ndarray, width: float) -> None:
        """A gated target of the tool."""
        self.add("action_gated", at_s, np.concatenate([position, matrix_to_rotation_6d(np.eye(3)), [width]]))

    def seal(self) -> Episode:
        """The episode."""
        self._writer.flush()
        return self._writer.seal(None, "operator")


def hold_and_move(recording: Recording, camera: str, stops: list[tuple[np.ndarray, np.ndarray]], hold_s: float = 0.8):
    """The tool from stop to stop, each (pose (4, 4), picture), with pictures at a low rate throughout."""
    moves_s, at = 0.4, 0.0
    for i, (pose, picture) in enumerate(stops):
        before = stops[i - 1][0] if i else pose
        for k in range(round(moves_s * STATE_HZ)):
            moving = pose.copy()
            moving[:3, 3] = before[:3, 3] + (pose[:3, 3] - before[:3, 3]) * k / (moves_s * STATE_HZ)
            recording.tool(at + k / STATE_HZ, moving)
        recording.add(camera, at + moves_s / 2, np.zeros_like(picture))
        at += moves_s
        for k in range(round(hold_s * STATE_HZ)):
            recording.tool(at + k / STATE_HZ, pose)
        for share in (0.5, 0.7, 0.9):
            recording.add(camera, at + share * hold_s, picture)
        at += hold_s
