"""Where a robot's joints and drives lie in the arrays of its MuJoCo model."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import mujoco
import numpy as np

from robot_learning.drivers.mujoco.scene import FINGERS, GRIPPER, TOOL_SITE

Index = slice | np.ndarray


@dataclass(frozen=True)
class Layout:
    """Indices of a robot whose drives are called as their joints.

    Attributes:
        q, v: the joints in `qpos` and `qvel`, in the rig's order.
        drives: theirs in `ctrl` and `actuator_force`.
        fingers_q, fingers_v: both fingers.
        gripper: the gripper's drive.
        tool: the tool's site.
    """

    joints: int
    q: Index
    v: Index
    drives: Index
    fingers_q: Index
    fingers_v: Index
    gripper: int
    tool: int

    @classmethod
    def of(cls, model: mujoco.MjModel, names: Sequence[str]) -> Layout:
        """The layout of joints with these names, in this order."""
        joints = [model.joint(name) for name in names]
        fingers = [model.joint(name) for name in FINGERS]
        return cls(
            len(joints),
            _index([int(joint.qposadr[0]) for joint in joints]),
            _index([int(joint.dofadr[0]) for joint in joints]),
            _index([model.actuator(name).id for name in names]),
            _index([int(joint.qposadr[0]) for joint in fingers]),
            _index([int(joint.dofadr[0]) for joint in fingers]),
            model.actuator(GRIPPER).id,
            model.site(TOOL_SITE).id,
        )

    def opening(self, data: mujoco.MjData) -> float:
        """The distance of the fingers [m]."""
        left, right = data.qpos[self.fingers_q]
        return float(left + right)


def _index(places: list[int]) -> Index:
    """A slice where the places follow one another: it makes views, and no copies."""
    first = places[0]
    return slice(first, first + len(places)) if places == list(range(first, first + len(places))) else np.array(places)
