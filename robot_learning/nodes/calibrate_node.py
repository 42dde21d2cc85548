"""Guides an operator through the poses of a camera's calibration, solves it, and writes it to the rig file."""

from __future__ import annotations

from typing import Any

import numpy as np

from robot_learning.calibration import report, results
from robot_learning.calibration.bundle import Mount
from robot_learning.calibration.camera import CalibrationError, of_matrix
from robot_learning.calibration.collecting import Collection
from robot_learning.calibration.poses import from_quaternion
from robot_learning.calibration.rigfile import about, require_camera, updated, write_calibration
from robot_learning.data.sample import Sample
from robot_learning.errors import UserError
from robot_learning.nodes import declarations as declared
from robot_learning.nodes import messages
from robot_learning.nodes.base import StationNode, run
from robot_learning.nodes.intake import Intake
from robot_learning.output import prepare_folder
from robot_learning.rig import load_rig
from robot_learning.rig_parts.calibration import BoardConfig, CameraPose, IntrinsicsConfig
from robot_learning.topics import topics

_MOUNT: dict[str, Mount] = {"hand_eye": "hand", "camera": "static"}
_POSE = ("ee_position", "ee_orientation")


class CalibrateNode(StationNode):
    """Listens and answers; it commands nothing. The robot is moved by teleoperation, or by hand."""

    declaration = declared.CALIBRATE

    def configure(self) -> None:
        self._camera = self.param("camera")
        require_camera(self.rig, self._camera)
        prepare_folder(self.param("output"))
        names = ("squares_x", "squares_y", "square_m", "marker_m", "dictionary")
        try:
            board = BoardConfig(**{name: self.param(name) for name in names})
        except ValueError as error:
            raise UserError(f"calibrate: the board is not one: {' '.join(str(error).split())}.") from None
        self.collection = Collection(_MOUNT[self.param("kind")], board)
        self._info: IntrinsicsConfig | None = None
        self._record: CameraPose | None = None
        self._intake = Intake(self, self.rig.contract(), topics(self.rig), [self._camera, *_POSE], self._hear)
        self._status = self.advertise("~/status")
        self.listen("{camera}/color/camera_info", self._hear_info, camera=self._camera)
        for name, work in (
            ("collect", self._collect), ("undo", self._undo), ("solve", self._solve), ("write", self._write),
        ):  # fmt: skip
            self.serve(f"~/{name}", work)
        self._say(self.collection.progress())

    def time_jumped(self, delta_ns: int) -> None:
        if hasattr(self, "collection"):
            self.collection.forget()

    def _hear(self, samples: list[Sample]) -> None:
        by_name = {sample.stream: sample for sample in samples}
        if self._camera in by_name:
            sample = by_name[self._camera]
            self.collection.picture(sample.stamp_ns, np.array(sample.data))
        elif set(_POSE) <= set(by_name):
            position, orientation = (by_name[name].data for name in _POSE)
            self.collection.tool(by_name[_POSE[0]].stamp_ns, from_quaternion(position, orientation))

    def _hear_info(self, message: Any) -> None:
        K = np.asarray(message.k, dtype=np.float64).reshape(3, 3)
        if K[0, 0] > 0:
            self._info = of_matrix(K, message.width, message.height, list(message.d))

    def _collect(self) -> str:
        self._record = None
        return self._told(self.collection.collect(self.clock.now_ns()))

    def _undo(self) -> str:
        self._record = None
        return self._told(self.collection.undo())

    def _solve(self) -> str:
        intrinsics = None
        if self.param("intrinsics") == "camera_info":
            if self._info is None:
                raise CalibrationError(
                    f"nobody has told the intrinsics of {self._camera}; set the parameter 'intrinsics' to 'found'."
                )
            intrinsics = self._info
        found = self.collection.solve(intrinsics)
        self._record = record = results.camera_pose(found, self.collection.board, about("live"))
        kept = {view.name for view in found.views}
        taken = zip(self.collection.views, self.collection.pictures, strict=True)
        pictures = [picture for view, picture in taken if view.name in kept]
        blocks = report.camera_blocks(found, record, (), pictures)
        page = report.write(self.param("output"), self.rig, f"Pose of {self._camera}", record, blocks)
        left = f" Left out: {'; '.join(found.rejected)}." if found.rejected else ""
        return self._told(f"{results.text_of(record)}.{left} Look at {page}, then write.")

    def _write(self) -> str:
        if self._record is None:
            raise CalibrationError("there is no result for these poses; solve first.")
        rig = self.param("rig")
        path, copy = write_calibration(rig, updated(load_rig(rig), self._record, self._camera))
        return self._told(f"written to {path}; what it was before: {copy.name}. Start the rig's nodes anew to use it.")

    def _told(self, text: str) -> str:
        self._say(text)
        self.get_logger().info(text)
        return text

    def _say(self, text: str) -> None:
        spread = self.collection.spread
        values = {
            "poses": spread.poses,
            "turn_deg": round(spread.turn_deg, 1),
            "axes_deg": ", ".join(f"{d:.1f}" for d in spread.axes_deg),
            "missing": spread.missing(),
            "solved": self._record is not None,
        }
        self._status.publish(messages.status(self.get_fully_qualified_name(), messages.OK, text, values))


def main(arguments: list[str] | None = None) -> None:
    """Entry point."""
    run(CalibrateNode, arguments)


if __name__ == "__main__":
    main()
