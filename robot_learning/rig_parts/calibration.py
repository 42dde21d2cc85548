"""The part of a rig file that the calibration tools write: what they found, when, from what, and how well it fits."""

from __future__ import annotations

import re
from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Annotated, Any, Literal

from pydantic import Field, field_validator, model_validator

from robot_learning.contract import Frozen
from robot_learning.errors import closest
from robot_learning.rig_parts.numbers import Positive, Vector3

Quaternion = Annotated[tuple[float, ...], Field(min_length=4, max_length=4)]
Matrix5 = Annotated[tuple[float, ...], Field(min_length=5, max_length=5)]
Seconds = Annotated[float, Field(ge=0)]
MAX_AGE_DAYS = 180.0
_DELAY_MAX_S = 1.0  # as policy.execution.actuator_delay_s allows


class BoardConfig(Frozen):
    """A ChArUco board: squares across and down, their side, that of the markers in them, the markers' dictionary."""

    squares_x: Annotated[int, Field(ge=3, le=30)] = 7
    squares_y: Annotated[int, Field(ge=3, le=30)] = 5
    square_m: Positive = 0.035
    marker_m: Positive = 0.026
    dictionary: str = "DICT_4X4_50"

    @model_validator(mode="after")
    def _check(self) -> BoardConfig:
        if not 0.3 * self.square_m <= self.marker_m <= 0.9 * self.square_m:
            raise ValueError(
                f"marker_m = {self.marker_m} must be 0.3 to 0.9 of square_m = {self.square_m}: "
                "a marker needs a white rim within its square"
            )
        return self

    def text(self) -> str:
        """As one would describe it."""
        return (
            f"{self.squares_x} x {self.squares_y} squares of {1e3 * self.square_m:g} mm, "
            f"markers of {1e3 * self.marker_m:g} mm, {self.dictionary}"
        )


class IntrinsicsConfig(Frozen):
    """A pinhole camera with OpenCV's distortion k1 k2 p1 p2 k3; pixel centres at whole numbers, as in CameraInfo."""

    fx: Positive
    fy: Positive
    cx: float
    cy: float
    distortion: Matrix5 = (0.0, 0.0, 0.0, 0.0, 0.0)
    width_px: Annotated[int, Field(gt=0)]
    height_px: Annotated[int, Field(gt=0)]
    source: Literal["given", "calibrated"] = "given"


class Record(Frozen):
    """What every result says of itself.

    Attributes:
        date: when it was found, ISO 8601, UTC.
        tool_version: of this software.
        source: the data: store and episode, or `live`.
    """

    date: str
    tool_version: str
    source: str

    @field_validator("date", mode="before")
    @classmethod
    def _text(cls, value: Any) -> Any:
        return value.isoformat() if isinstance(value, datetime) else value  # YAML makes one of a date without quotes

    @model_validator(mode="after")
    def _check_date(self) -> Record:
        if not re.match(r"\d{4}-\d\d-\d\dT\d\d:\d\d", self.date):
            raise ValueError(f"date is '{self.date}'; write it as 2026-01-31T12:00:00+00:00")
        self.age_days(datetime.now(UTC))
        return self

    def age_days(self, now: datetime) -> float:
        """How old it is [days]; ValueError where the date is none."""
        made = datetime.fromisoformat(self.date)
        return (now - (made if made.tzinfo else made.replace(tzinfo=UTC))).total_seconds() / 86400


class CameraPose(Record):
    """Where a camera is: `hand`: in the tool's frame; `static`: in the robot's base frame.

    The camera's frame is the optical one: z forward, x right, y down.

    Attributes:
        board_position_m, board_quaternion_wxyz: the board's pose that came with it: in the base frame where the camera
            is on the hand, in the tool's frame where the camera is static.
        reprojection_px: root mean square over all corners.
        translation_mm, rotation_deg: root mean square over poses of how far the board, as each picture alone sees it,
            is from where the result puts it.
        leave_one_out_mm, leave_one_out_deg: the largest change of the result where one pose is left out.
        error_mm, error_deg: standard errors, from those changes.
        scale: the squares' true side over the stated one, as the robot's motion measures it.
    """

    mount: Literal["hand", "static"]
    position_m: Vector3
    quaternion_wxyz: Quaternion
    board_position_m: Vector3
    board_quaternion_wxyz: Quaternion
    board: BoardConfig
    intrinsics: IntrinsicsConfig
    poses: int
    rejected: tuple[str, ...] = ()
    reprojection_px: float
    translation_mm: float
    rotation_deg: float
    leave_one_out_mm: float
    leave_one_out_deg: float
    error_mm: float
    error_deg: float
    scale: float


class CameraLatency(Record):
    """A picture stamped t shows the robot as its own stamps have it at t - latency_s.

    Attributes:
        error_s: standard error, from parts of the recording.
        explained: share of the pictures' change that the robot's motion explains.
    """

    latency_s: Annotated[float, Field(gt=-1, lt=1)]
    error_s: Seconds
    explained: float


class ActuatorDelay(Record):
    """From a command to its motion: nothing for `delay_s`, then a first-order lag with time constant `lag_s`.

    Attributes:
        delay_error_s, lag_error_s: standard errors.
        residual: root mean square, over the root mean square of the motion.
        joints: of each joint or axis that moved enough: delay and lag [s].
    """

    delay_s: Seconds
    lag_s: Seconds
    delay_error_s: Seconds
    lag_error_s: Seconds
    residual: Seconds
    joints: dict[str, tuple[float, float]] = {}

    @property
    def total_s(self) -> float:
        """What a motion slower than the lag is late by [s]."""
        return self.delay_s + self.lag_s

    @model_validator(mode="after")
    def _check_total(self) -> ActuatorDelay:
        if self.total_s >= _DELAY_MAX_S:
            raise ValueError(f"delay_s + lag_s = {self.total_s:.3f} must be below {_DELAY_MAX_S} s")
        return self


class GripperDelay(Record):
    """From a command to the first motion of the width; None where none was seen in that direction.

    Attributes:
        spread_s: standard deviation over the motions seen.
        motions: how many.
        speed_m_s: of the fingers' distance, while they move.
    """

    open_delay_s: Seconds | None
    close_delay_s: Seconds | None
    spread_s: Seconds
    motions: int
    speed_m_s: float


class CalibrationConfig(Frozen):
    """What the calibration tools found; `robot-learning calibrate` writes it. Each part is there once it was measured.

    Attributes:
        robot: `robot.type` of the rig that was calibrated.
        cameras, latency: by the camera's name.
        max_age_days: older results are warned about.
    """

    robot: str
    max_age_days: Positive = MAX_AGE_DAYS
    cameras: dict[str, CameraPose] = {}
    latency: dict[str, CameraLatency] = {}
    actuator: ActuatorDelay | None = None
    gripper: GripperDelay | None = None

    def records(self) -> dict[str, Record]:
        """Every result by its key."""
        found: dict[str, Record] = {f"cameras.{name}": record for name, record in self.cameras.items()}
        found |= {f"latency.{name}": record for name, record in self.latency.items()}
        for key in ("actuator", "gripper"):
            if (record := getattr(self, key)) is not None:
                found[key] = record
        return found

    def to_json(self) -> dict[str, Any]:
        """As an episode's metadata has it."""
        return self.model_dump(mode="json", exclude_none=True)

    def stale(self, now: datetime) -> list[str]:
        """A sentence for each result that is older than `max_age_days`, or from the future."""
        told = []
        for key, record in self.records().items():
            age = record.age_days(now)
            if age > self.max_age_days:
                told.append(
                    f"calibration.{key} is {age:.0f} days old (max_age_days: {self.max_age_days:g}); measure it anew."
                )
            elif age < -1:
                told.append(f"calibration.{key} is dated {record.date}, which is in the future; check the clock.")
        return told


def check_calibration(calibration: CalibrationConfig | None, robot: str, cameras: Iterable[str]) -> None:
    """Raise ValueError where a calibration is of a robot or camera that the rig has not.

    Args:
        robot: the rig's `robot.type`.
        cameras: names of the rig's cameras.
    """
    if calibration is None:
        return
    names = list(cameras)
    if calibration.robot != robot:
        hint = closest(calibration.robot, [robot])
        raise ValueError(
            f"calibration.robot is '{calibration.robot}', but robot.type is '{robot}'{hint} A calibration holds for "
            "the robot that it was made with: remove the section, or calibrate anew"
        )
    for part in ("cameras", "latency"):
        for name in getattr(calibration, part):
            if name not in names:
                raise ValueError(
                    f"calibration.{part}.{name}: the rig has no camera '{name}'{closest(name, names)} "
                    f"It has: {', '.join(names) or 'none'}"
                )


def with_calibrated_delay(content: Any) -> Any:
    """A rig file's content whose `policy.execution.actuator_delay_s`, unless written there, is the calibrated one.

    That is delay and lag together: a motion slower than the lag is late by both. What is written in the section
    `policy.execution` wins, also where it is 0. Content that is not yet checked is passed on as it is.
    """
    try:
        found = ActuatorDelay.model_validate(content["calibration"]["actuator"])
        execution = content["policy"].get("execution") or {}
        if "actuator_delay_s" in execution:
            return content
        execution = {**execution, "actuator_delay_s": round(found.total_s, 6)}
        return {**content, "policy": {**content["policy"], "execution": execution}}
    except (KeyError, TypeError, AttributeError, ValueError):
        return content
