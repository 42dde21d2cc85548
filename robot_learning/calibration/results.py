"""What was found, as the rig file's records and as sentences for the operator."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from robot_learning.calibration.actuator import Actuator
from robot_learning.calibration.gripper import Gripper
from robot_learning.calibration.handeye import HandEye
from robot_learning.calibration.latency import Latency
from robot_learning.calibration.poses import to_quaternion
from robot_learning.rig_parts.calibration import (
    ActuatorDelay,
    BoardConfig,
    CameraLatency,
    CameraPose,
    GripperDelay,
)


def camera_pose(found: HandEye, board: BoardConfig, about: Mapping[str, str]) -> CameraPose:
    """A camera's pose as the rig file has it."""
    return CameraPose.model_validate(
        {
            **about,
            "mount": found.mount,
            "position_m": found.camera[:3, 3].tolist(),
            "quaternion_wxyz": to_quaternion(found.camera).tolist(),
            "board_position_m": found.board[:3, 3].tolist(),
            "board_quaternion_wxyz": to_quaternion(found.board).tolist(),
            "board": board,
            "intrinsics": found.intrinsics,
            "poses": len(found.views),
            "rejected": found.rejected,
            "reprojection_px": found.reprojection_px,
            "translation_mm": _rms(found.view_mm),
            "rotation_deg": _rms(found.view_deg),
            "leave_one_out_mm": float(found.left_out_mm.max()),
            "leave_one_out_deg": float(found.left_out_deg.max()),
            "error_mm": found.error_mm,
            "error_deg": found.error_deg,
            "scale": found.scale,
        }
    )


def camera_latency(found: Latency, about: Mapping[str, str]) -> CameraLatency:
    """A camera's latency as the rig file has it."""
    return CameraLatency.model_validate(
        {**about, "latency_s": found.latency_s, "error_s": found.error_s, "explained": found.explained}
    )


def actuator_delay(found: Actuator, about: Mapping[str, str]) -> ActuatorDelay:
    """A delay and lag as the rig file has it."""
    names = ("delay_s", "lag_s", "delay_error_s", "lag_error_s", "residual", "joints")
    return ActuatorDelay.model_validate({**about, **{name: getattr(found, name) for name in names}})


def gripper_delay(found: Gripper, about: Mapping[str, str]) -> GripperDelay:
    """The gripper's delays as the rig file has them."""
    names = ("open_delay_s", "close_delay_s", "spread_s", "speed_m_s")
    return GripperDelay.model_validate(
        {**about, **{name: getattr(found, name) for name in names}, "motions": len(found.motions)}
    )


def text_of(record: CameraPose | CameraLatency | ActuatorDelay | GripperDelay) -> str:
    """A result in a line or two."""
    if isinstance(record, CameraPose):
        frame = "the tool's frame" if record.mount == "hand" else "the base frame"
        position = ", ".join(f"{1e3 * v:.1f}" for v in record.position_m)
        return (
            f"the camera is at ({position}) mm in {frame}, known to {record.error_mm:.2f} mm and "
            f"{record.error_deg:.3f} degrees; {record.poses} poses, {len(record.rejected)} left out; residuals "
            f"{record.reprojection_px:.2f} px, {record.translation_mm:.2f} mm, {record.rotation_deg:.3f} degrees; "
            f"without any one pose it moves by {record.leave_one_out_mm:.2f} mm and "
            f"{record.leave_one_out_deg:.3f} degrees at most"
        )
    if isinstance(record, CameraLatency):
        return (
            f"pictures are late by {1e3 * record.latency_s:.1f} +- {1e3 * record.error_s:.1f} ms; the motion explains "
            f"{100 * record.explained:.1f} % of their change"
        )
    if isinstance(record, ActuatorDelay):
        return (
            f"delay {1e3 * record.delay_s:.1f} +- {1e3 * record.delay_error_s:.1f} ms, then a lag of "
            f"{1e3 * record.lag_s:.1f} +- {1e3 * record.lag_error_s:.1f} ms; {100 * record.residual:.1f} % of the "
            f"motion is left; actuator_delay_s becomes {record.total_s:.4f} where policy.execution does not give it"
        )
    parts = [
        f"{word} {1e3 * delay:.0f} ms"
        for word, delay in (("opens after", record.open_delay_s), ("closes after", record.close_delay_s))
        if delay is not None
    ]
    return (
        f"the gripper {', '.join(parts)}, +- {1e3 * record.spread_s:.0f} ms over {record.motions} motions; its width "
        f"changes by {1e3 * record.speed_m_s:.0f} mm/s"
    )


def _rms(values: np.ndarray) -> float:
    return float(np.sqrt(np.mean(np.square(values))))
