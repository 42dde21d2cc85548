"""What a gate steers: the reference pose of a tool or of joints, with the limits that apply to each."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Generic, NamedTuple, Protocol, TypeVar

import numpy as np

from robot_learning.drivers.interfaces import EeTarget, JointTarget, RobotState, Target
from robot_learning.drivers.limiter import MotionLimit, RotationLimiter, Step, VectorLimiter, turn
from robot_learning.rig_parts.limits import Limits
from robot_learning.rotation import (
    matrix_to_rotation_6d,
    matrix_to_rotation_vector,
    quaternion_to_matrix,
    rotation_6d_to_matrix,
    rotation_distance,
)

Kinematics = Callable[[np.ndarray], np.ndarray]
_MIN_ROTATION_NORM = 0.1  # shorter 6-D columns, or nearly parallel ones, give no trustworthy rotation:
_MIN_ANGLE_DEFECT = 0.005  # 1 - |cos| of the angle between them, at 6 degrees


class Trip(NamedTuple):
    """One broken rule: its name, a sentence, and the numbers where there are any."""

    name: str
    detail: str
    value: float | None = None
    limit: float | None = None


class Refusal(Exception):
    """A target that can't be made acceptable."""

    def __init__(self, name: str, detail: str, value: float | None = None, limit: float | None = None) -> None:
        self.trip = Trip(name, detail, value, limit)


def array(value: object, shape: tuple[int, ...], what: str) -> np.ndarray:
    """`value` as a fresh float64 array of `shape`, finite; anything else is a Refusal."""
    try:
        x = np.array(value, dtype=np.float64)
    except (TypeError, ValueError):
        raise Refusal("shape", f"{what} is not numbers of shape {shape}") from None
    if x.shape != shape:
        raise Refusal("shape", f"{what} has shape {x.shape}, not {shape}")
    if not np.isfinite(x).all():
        raise Refusal("not_finite", f"{what} is not finite")
    return x


Goal = TypeVar("Goal")
Move = TypeVar("Move")


class Reference(Protocol, Generic[Goal, Move]):
    """The pose that the robot is told to be at, and how it may move."""

    target_type: type

    def start(self, state: RobotState) -> float:
        """Begin at rest at the measured pose, brought within limits; how far that was, over the first-target limit."""
        ...

    def goal(self, target: Target) -> Goal:
        """The target as numbers, or a Refusal."""
        ...

    def first_excess(self, goal: Goal, state: RobotState) -> float:
        """Distance from the measured pose over what a first target may have; above 1 is too far."""
        ...

    def bounded(self, goal: Goal) -> tuple[Goal, list[Trip]]:
        """The nearest goal within position limits and what had to be clipped."""
        ...

    def pulled(self, goal: Goal, state: RobotState) -> Goal:
        """The nearest goal within tracking distance of the measured pose."""
        ...

    def propose(self, goal: Goal, elapsed_s: float) -> tuple[Move, list[Trip]]:
        """The next move towards a goal and the limits that hold it back."""
        ...

    def tracking_excess(self, move: Move | None, state: RobotState) -> float:
        """Distance of the reference, once moved, from the measured pose over its limit."""
        ...

    def accept(self, move: Move) -> None:
        """Move."""
        ...

    def target(self, stamp_ns: int, gripper_width: float) -> Target:
        """The reference as a target."""
        ...


class EeGoal(NamedTuple):
    """A tool pose: position (3,) [m] and rotation (3, 3), base frame."""

    position: np.ndarray
    rotation: np.ndarray


class EeMove(NamedTuple):
    """Steps of both parts, each with its goal."""

    goal: EeGoal
    linear: Step
    angular: Step


class EeReference:
    """The tool's pose: workspace, speed and acceleration, angular speed and acceleration."""

    target_type = EeTarget

    def __init__(self, limits: Limits, period_s: float) -> None:
        self._limits = limits
        low, high = np.array(limits.workspace_min_m), np.array(limits.workspace_max_m)
        self._low, self._high = low, high
        linear = MotionLimit.of_vector(limits.ee_speed_max_m_s, limits.ee_acceleration_max_m_s2)
        angular = MotionLimit.of_vector(limits.ee_angular_speed_max_rad_s, limits.ee_angular_acceleration_max_rad_s2)
        self._linear = VectorLimiter(linear, low, high, period_s)
        self._angular = RotationLimiter(angular, period_s)

    def start(self, state: RobotState) -> float:
        position = np.clip(state.ee_position, self._low, self._high)
        self._linear.start(position)
        self._angular.start(quaternion_to_matrix(state.ee_orientation))
        return float(np.linalg.norm(position - state.ee_position)) / self._limits.first_target_distance_max_m

    def goal(self, target: EeTarget) -> EeGoal:
        position = array(target.position, (3,), "position")
        r = array(target.rotation_6d, (6,), "rotation_6d")
        with np.errstate(over="ignore"):  # an overflow gives inf, which the norms refuse
            norms = np.linalg.norm(r[:3]), np.linalg.norm(r[3:])
        if not (min(norms) > _MIN_ROTATION_NORM and max(norms) < 1 / _MIN_ROTATION_NORM):
            raise Refusal("rotation", "rotation_6d has columns far from unit length", float(min(norms)))
        if 1 - abs(r[:3] @ r[3:]) / (norms[0] * norms[1]) < _MIN_ANGLE_DEFECT:
            raise Refusal("rotation", "rotation_6d has nearly parallel columns")
        return EeGoal(position, rotation_6d_to_matrix(r))

    def first_excess(self, goal: EeGoal, state: RobotState) -> float:
        limits = self._limits
        return self._excess(goal, state, limits.first_target_distance_max_m, limits.first_target_distance_max_rad)

    def bounded(self, goal: EeGoal) -> tuple[EeGoal, list[Trip]]:
        inside = np.clip(goal.position, self._low, self._high)
        if np.array_equal(inside, goal.position):
            return goal, []
        axis = int(np.argmax(np.abs(inside - goal.position)))
        value, limit = float(goal.position[axis]), float(inside[axis])
        trip = Trip("workspace", f"{'xyz'[axis]} = {value:.4g} m is beyond {limit:.4g} m", value, limit)
        return EeGoal(inside, goal.rotation), [trip]

    def pulled(self, goal: EeGoal, state: RobotState) -> EeGoal:
        # Projected onto the ball, then onto the box again: with its centre inside the box, the second can't leave
        # the ball, for projection onto a convex set brings no two points farther apart.
        limits, measured = self._limits, quaternion_to_matrix(state.ee_orientation)
        away = goal.position - state.ee_position
        away = away * min(1.0, limits.tracking_distance_max_m / max(float(np.linalg.norm(away)), 1e-12))
        r = matrix_to_rotation_vector(goal.rotation @ measured.T)
        r = r * min(1.0, limits.tracking_distance_max_rad / max(float(np.linalg.norm(r)), 1e-12))
        return EeGoal(np.clip(state.ee_position + away, self._low, self._high), turn(measured, r))

    def propose(self, goal: EeGoal, elapsed_s: float) -> tuple[EeMove, list[Trip]]:
        linear = self._linear.propose(goal.position, elapsed_s)
        angular = self._angular.propose(goal.rotation, elapsed_s)
        trips = [Trip(name, f"the tool's {name} was limited") for name in linear.violations]
        trips += [Trip(f"angular_{name}", f"the tool's angular {name} was limited") for name in angular.violations]
        return EeMove(goal, linear, angular), trips

    def tracking_excess(self, move: EeMove | None, state: RobotState) -> float:
        limits = self._limits
        position, rotation = self._linear.position, self._angular.rotation
        if move:
            position, rotation = position + move.linear.displacement, turn(rotation, move.angular.displacement)
        pose = EeGoal(position, rotation)
        return self._excess(pose, state, limits.tracking_distance_max_m, limits.tracking_distance_max_rad)

    def accept(self, move: EeMove) -> None:
        self._linear.accept(move.linear, move.goal.position)
        self._angular.accept(move.angular, move.goal.rotation)

    def target(self, stamp_ns: int, gripper_width: float) -> EeTarget:
        rotation = matrix_to_rotation_6d(self._angular.rotation)
        return EeTarget(stamp_ns, self._linear.position.copy(), rotation, gripper_width)

    def _excess(self, goal: EeGoal, state: RobotState, metres: float, radians: float) -> float:
        angle = rotation_distance(quaternion_to_matrix(state.ee_orientation), goal.rotation)
        away = goal.position - state.ee_position
        return float(max(np.sqrt(away @ away) / metres, angle / radians))


class JointMove(NamedTuple):
    """A step of all joints with its goal (J,)."""

    goal: np.ndarray
    step: Step


class JointReference:
    """The joints' positions: range, speed and acceleration of each; the workspace where kinematics are known.

    Args:
        units: of each joint, `rad` or `m`; empty: all turn.
    """

    target_type = JointTarget

    def __init__(
        self, limits: Limits, period_s: float, kinematics: Kinematics | None, units: Sequence[str] = ()
    ) -> None:
        self._limits, self._kinematics = limits, kinematics
        self._units = units or ("rad",) * len(limits.joint_position_min)
        self._first = self._by_unit(limits.first_target_distance_max_m, limits.first_target_distance_max_rad)
        self._reach = self._by_unit(limits.tracking_distance_max_m, limits.tracking_distance_max_rad)
        self._low, self._high = np.array(limits.joint_position_min), np.array(limits.joint_position_max)
        speed, acceleration = np.array(limits.joint_velocity_max), np.array(limits.joint_acceleration_max)
        self._limiter = VectorLimiter(MotionLimit.of_components(speed, acceleration), self._low, self._high, period_s)

    def start(self, state: RobotState) -> float:
        position = np.clip(state.joint_position, self._low, self._high)
        self._limiter.start(position)
        return float((np.abs(position - state.joint_position) / self._first).max())

    def goal(self, target: JointTarget) -> np.ndarray:
        return array(target.position, self._low.shape, "position")

    def first_excess(self, goal: np.ndarray, state: RobotState) -> float:
        return float((np.abs(goal - state.joint_position) / self._first).max())

    def bounded(self, goal: np.ndarray) -> tuple[np.ndarray, list[Trip]]:
        inside = np.clip(goal, self._low, self._high)
        return inside, [
            Trip(
                "joint_position",
                f"joint {i + 1} = {goal[i]:.4g} {self._units[i]} is beyond {inside[i]:.4g} {self._units[i]}",
                goal[i],
                inside[i],
            )
            for i in np.flatnonzero(inside != goal)
        ]

    def pulled(self, goal: np.ndarray, state: RobotState) -> np.ndarray:
        near = np.clip(goal, state.joint_position - self._reach, state.joint_position + self._reach)
        return np.clip(near, self._low, self._high)

    def propose(self, goal: np.ndarray, elapsed_s: float) -> tuple[JointMove, list[Trip]]:
        step = self._limiter.propose(goal, elapsed_s)
        if self._kinematics:
            tool = self._kinematics(self._limiter.position + step.displacement)
            low, high = np.array(self._limits.workspace_min_m), np.array(self._limits.workspace_max_m)
            if (tool < low).any() or (tool > high).any():
                # No joint target is nearest to a place in space, so this one is refused rather than clipped.
                raise Refusal("workspace", f"the tool would be at {np.round(tool, 4).tolist()} m")
        return JointMove(goal, step), [Trip(f"joint_{name}", f"joint {name} was limited") for name in step.violations]

    def tracking_excess(self, move: JointMove | None, state: RobotState) -> float:
        position = self._limiter.position + (move.step.displacement if move else 0)
        return float((np.abs(position - state.joint_position) / self._reach).max())

    def accept(self, move: JointMove) -> None:
        self._limiter.accept(move.step, move.goal)

    def target(self, stamp_ns: int, gripper_width: float) -> JointTarget:
        return JointTarget(stamp_ns, self._limiter.position.copy(), gripper_width)

    def _by_unit(self, metres: float, radians: float) -> np.ndarray:
        return np.array([metres if unit == "m" else radians for unit in self._units])
