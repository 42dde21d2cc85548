"""Poses for a camera's calibration, one by one, as an operator moves the robot. No ROS in here."""

from __future__ import annotations

from collections import deque

import numpy as np

from robot_learning.calibration.bundle import Mount, View
from robot_learning.calibration.camera import CalibrationError
from robot_learning.calibration.detect import Detector, NoBoard
from robot_learning.calibration.episodes import REST_S, apart, at_rest
from robot_learning.calibration.handeye import HandEye, calibrate
from robot_learning.calibration.spread import POSES_GOOD, Spread, spread_of
from robot_learning.clock import NS_PER_S, seconds_to_ns
from robot_learning.rig_parts.calibration import BoardConfig, IntrinsicsConfig

_REMEMBERED_S = 3.0
_OLD_S = 1.0


class Collection:
    """Pictures with the tool's pose.

    Attributes:
        views, pictures: what was collected.
    """

    def __init__(self, mount: Mount, board: BoardConfig) -> None:
        self.mount, self.board = mount, board
        self.views: list[View] = []
        self.pictures: list[np.ndarray] = []
        self._detector = Detector(board)
        self._tools: deque[tuple[int, np.ndarray]] = deque()
        self._picture: tuple[int, np.ndarray] | None = None

    def tool(self, stamp_ns: int, pose: np.ndarray) -> None:
        """The measured tool (4, 4) in the base frame."""
        self._tools.append((stamp_ns, pose))
        while stamp_ns - self._tools[0][0] > _REMEMBERED_S * NS_PER_S:
            self._tools.popleft()

    def picture(self, stamp_ns: int, picture: np.ndarray) -> None:
        """The newest picture (H, W, 3) uint8."""
        self._picture = stamp_ns, picture

    def forget(self) -> None:
        """What was measured until now is of another time."""
        self._tools.clear()
        self._picture = None

    def collect(self, now_ns: int) -> str:
        """Take the present pose and say how far one is.

        Raises:
            CalibrationError: nothing comes, the tool moves, it is where it was before, or the board can't be used.
        """
        if self._picture is None or now_ns - self._picture[0] > _OLD_S * NS_PER_S:
            raise CalibrationError("no picture has come for a second; is the camera running?")
        stamp, picture = self._picture
        begin, end = stamp - seconds_to_ns(REST_S), stamp + seconds_to_ns(REST_S)
        around = [pose for at, pose in self._tools if begin <= at <= end]
        if not self._tools or self._tools[0][0] > begin or len(around) < 3:
            raise CalibrationError(f"the robot's pose is not known for {REST_S:g} s before the picture; is it running?")
        if not at_rest(np.stack(around)):
            raise CalibrationError(f"the tool moves; let it rest for {REST_S:g} s, then collect.")
        tool = min(self._tools, key=lambda item: abs(item[0] - stamp))[1]
        for view in self.views:
            if not apart(tool, view.tool):
                raise CalibrationError(f"the tool is where it was at {view.name}; move it, and turn it.")
        name = f"pose {len(self.views) + 1}"
        try:
            detection = self._detector(picture)
        except NoBoard as why:
            raise CalibrationError(f"{why}.") from None
        self.views.append(View(name, tool, detection))
        self.pictures.append(picture)
        return f"{name} taken, {len(detection.ids)} corners; {self.progress()}"

    def undo(self) -> str:
        """Throw the last pose away."""
        if not self.views:
            raise CalibrationError("there is no pose to throw away.")
        name = self.views.pop().name
        self.pictures.pop()
        return f"{name} thrown away; {self.progress()}"

    @property
    def spread(self) -> Spread:
        """How far the poses are apart."""
        return spread_of([v.tool for v in self.views])

    def progress(self) -> str:
        """Where one is and what to do next."""
        spread = self.spread
        if missing := spread.missing():
            return f"{spread.text()}. Missing: {missing}"
        more = max(0, POSES_GOOD - spread.poses)
        return f"{spread.text()}. " + (f"Enough to solve; {more} more make it better" if more else "Enough: solve")

    def solve(self, intrinsics: IntrinsicsConfig | None) -> HandEye:
        """Where the camera is; CalibrationError as :func:`calibrate`."""
        return calibrate(self.views, self.mount, intrinsics)
