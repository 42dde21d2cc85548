"""Leads the arm from target to target, to rest, and at rest: one for tool targets, one for joint targets."""

from __future__ import annotations

from typing import Any, Protocol

import numpy as np

from robot_learning.clock import seconds_to_ns
from robot_learning.drivers.braking import Braking
from robot_learning.drivers.franka.packets import TargetPacket
from robot_learning.drivers.franka.reference import Clips, Coming, JointPath, Reference, ToolPath, near

_Q = tuple[np.ndarray | None, np.ndarray | None]


class LedArm(Protocol):
    """What a leader needs of the arm; see `arm.Arm`."""

    clips: Clips
    joint_clip: np.ndarray

    def lead_tool(self, reference: Reference) -> None: ...
    def lead_joints(self, q: np.ndarray, dq: np.ndarray) -> None: ...
    def twist(self, state: Any) -> tuple[np.ndarray, np.ndarray]: ...


class Leader(Protocol):
    """Attributes: joints: the reference of the joints and their velocities, (7,) each; None where there is none.

    Args:
        period_s: from one target to the next.
        deceleration_s: how long braking takes.
    """

    deceleration_s: float
    joints: _Q

    def __init__(self, arm: Any, period_s: float, deceleration_s: float) -> None: ...

    def begin(self, state: Any) -> None:
        """Start at the measured pose, at rest."""
        ...

    def to(self, target: TargetPacket, now_s: float) -> None:
        """A new target; ends braking."""
        ...

    def brake(self, state: Any, now_s: float) -> None:
        """From the measured motion to rest."""
        ...

    def hold(self, state: Any) -> None:
        """Stay at the measured pose."""
        ...

    def lead(self, state: Any, now_s: float) -> bool:
        """Tell the arm where to be now; whether the reference was held near it."""
        ...


class ToolLeader:
    """See `Leader`."""

    joints: _Q = (None, None)

    def __init__(self, arm: LedArm, period_s: float, deceleration_s: float) -> None:
        self._arm, self._period_s, self.deceleration_s = arm, period_s, deceleration_s

    def begin(self, state: Any) -> None:
        position, rotation = _pose(state)
        self._path: ToolPath | Coming = ToolPath(position, rotation, self._period_s)

    hold = begin

    def to(self, target: TargetPacket, now_s: float) -> None:
        if not isinstance(self._path, ToolPath):
            now = self._path.at(now_s)
            self._path = ToolPath(now.position, now.rotation, self._period_s)
        self._path.to(target.values[:3], target.values[3:].reshape(3, 3), now_s)

    def brake(self, state: Any, now_s: float) -> None:
        self._path = Coming(Reference(*_pose(state), *self._arm.twist(state)), now_s, self.deceleration_s)

    def lead(self, state: Any, now_s: float) -> bool:
        reference, limited = self._arm.clips.near(self._path.at(now_s), *_pose(state))
        self._arm.lead_tool(reference)
        return limited


class JointLeader:
    """See `Leader`."""

    def __init__(self, arm: LedArm, period_s: float, deceleration_s: float) -> None:
        self._arm, self._period_s, self.deceleration_s = arm, period_s, deceleration_s
        self.joints: _Q = (None, None)

    def begin(self, state: Any) -> None:
        self._path: JointPath | Braking = JointPath(state.q, self._period_s)
        self.joints = state.q, np.zeros(7)

    hold = begin

    def to(self, target: TargetPacket, now_s: float) -> None:
        if not isinstance(self._path, JointPath):
            self._path = JointPath(self._path.at(seconds_to_ns(now_s))[0], self._period_s)
        self._path.to(target.values[:7], now_s)

    def brake(self, state: Any, now_s: float) -> None:
        self._path = Braking(state.q, state.dq, seconds_to_ns(now_s), self.deceleration_s)

    def lead(self, state: Any, now_s: float) -> bool:
        q, dq = self._path.at(now_s) if isinstance(self._path, JointPath) else self._path.at(seconds_to_ns(now_s))
        q, dq, limited = near(q, dq, state.q, self._arm.joint_clip, self._arm.joint_clip)
        self.joints = q, dq
        self._arm.lead_joints(q, dq)
        return limited


def _pose(state: Any) -> tuple[np.ndarray, np.ndarray]:
    pose = state.O_T_EE.matrix
    return pose[:3, 3], pose[:3, :3]
