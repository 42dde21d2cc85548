"""Where a Stretch's tool is, from Hello Robot's own URDF (hello-robot-stretch-urdf), in plain NumPy."""

from __future__ import annotations

import importlib.util
import os
import xml.etree.ElementTree as ElementTree
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from robot_learning.drivers.stretch.body import ARM
from robot_learning.drivers.stretch.models import model_of
from robot_learning.errors import ConfigError, UserError
from robot_learning.rig import Rig
from robot_learning.rotation import matrix_to_rotation_vector, rotation_vector_to_matrix

ROOT, TOOL = "base_link", "link_grasp_center"
# The telescope's four tubes move alike: each by a quarter of wrist_extension.
TUBES = ("joint_arm_l0", "joint_arm_l1", "joint_arm_l2", "joint_arm_l3")

_TURN_M = 0.2  # a radian of the tool's direction counts like so many metres: its distance from the wrist
_DAMPING = 0.03  # [m] keeps steps small near singular poses
_ITERATIONS = 60
_TOLERANCE = 1e-10


@dataclass(frozen=True)
class _Link:
    """One joint on the way to the tool: a fixed pose, then a motion along or about an axis.

    Attributes:
        column: which joint moves it; -1 for none.
        share: how far it moves for a unit of that joint.
    """

    offset: np.ndarray
    turn: np.ndarray
    axis: np.ndarray
    slides: bool
    column: int
    share: float


class Kinematics:
    """Damped least squares (Wampler 1986; Buss 2004, eq. 11) over lift, arm and wrist; the base stands, and the head
    stays as it is.

    Lift, arm and a wrist have at most five degrees of freedom: a pose is met where it can be, and else the nearest is
    found, in which a radian counts like 0.2 m.

    Args:
        urdf: file of the robot's description.
        names: the joints, in the order of all arrays here.
        low, high: (J,) joint ranges [m or rad].
    """

    def __init__(self, urdf: Path, names: Sequence[str], low: np.ndarray, high: np.ndarray) -> None:
        self._urdf, self._names, self._low, self._high = urdf, tuple(names), low, high
        self._links = _chain(urdf, self._names)

    @classmethod
    def of(cls, rig: Rig) -> Kinematics:
        """Of a rig's Stretch, within its limits."""
        low, high = np.array(rig.limits.joint_position_min), np.array(rig.limits.joint_position_max)
        return cls(urdf_of(rig), rig.robot.joint_names, low, high)

    def twin(self) -> Kinematics:
        """Another like this one; though this one has no state, and any thread may use it."""
        return Kinematics(self._urdf, self._names, self._low, self._high)

    def forward(self, q: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Position (3,) [m] and rotation (3, 3) of the grasp's centre in base_link, at joints (J,) [m, rad]."""
        position, rotation, _ = self._walk(q)
        return position, rotation

    def position(self, q: np.ndarray) -> np.ndarray:
        """Position (3,) [m] of the grasp's centre, at joints (J,)."""
        return self._walk(q)[0]

    def jacobian(self, q: np.ndarray) -> np.ndarray:
        """Of the grasp's centre, (6, J): linear part first, in base_link; zero for the head's joints."""
        tool, _, moved = self._walk(q)
        out = np.zeros((6, len(self._names)))
        for link, point, axis in moved:
            if link.slides:
                out[:3, link.column] += link.share * axis
            else:
                out[:3, link.column] += link.share * np.cross(axis, tool - point)
                out[3:, link.column] += link.share * axis
        return out

    def inverse(self, position: np.ndarray, rotation: np.ndarray, start: np.ndarray) -> np.ndarray:
        """Joints (J,) within their range whose tool pose is nearest to the one asked for, searched from `start`."""
        q = np.clip(start, self._low, self._high)
        error, cost = self._error(position, rotation, q)
        damping = _DAMPING
        for _ in range(_ITERATIONS):
            J = self.jacobian(q)
            J[3:] *= _TURN_M
            gradient = J.T @ error
            # A joint at its end that would go on beyond is out of the game for this step.
            held = ((q <= self._low) & (gradient < 0)) | ((q >= self._high) & (gradient > 0))
            J[:, held] = 0
            step = J.T @ np.linalg.solve(J @ J.T + damping**2 * np.eye(6), error)
            trial = np.clip(q + step, self._low, self._high)
            new_error, new_cost = self._error(position, rotation, trial)
            if new_cost > cost:
                damping *= 4
                continue
            done = cost - new_cost < _TOLERANCE * cost or new_cost < _TOLERANCE**2
            q, error, cost, damping = trial, new_error, new_cost, max(damping / 4, 1e-5)
            if done:
                break
        return q

    def _error(self, position: np.ndarray, rotation: np.ndarray, q: np.ndarray) -> tuple[np.ndarray, float]:
        p, R = self.forward(q)
        error = np.concatenate([position - p, _TURN_M * matrix_to_rotation_vector(rotation @ R.T)])
        return error, float(error @ error)

    def _walk(self, q: np.ndarray) -> tuple[np.ndarray, np.ndarray, list[tuple[_Link, np.ndarray, np.ndarray]]]:
        """Tool position and rotation, and every link that moves with its point and axis in base_link."""
        position, rotation = np.zeros(3), np.eye(3)
        moved = []
        for link in self._links:
            position = position + rotation @ link.offset
            rotation = rotation @ link.turn
            if link.column < 0:
                continue
            axis = rotation @ link.axis
            moved.append((link, position, axis))
            amount = link.share * float(q[link.column])
            if link.slides:
                position = position + amount * axis
            else:
                rotation = rotation @ rotation_vector_to_matrix(amount * link.axis)
        return position, rotation, moved


def urdf_of(rig: Rig) -> Path:
    """The rig's URDF: the robot's own (`stretch.urdf`), or the nominal one of its model and tool.

    Raises:
        ConfigError: `stretch.urdf` is no file.
        UserError: the package with the nominal ones is not installed.
    """
    if rig.stretch is not None and rig.stretch.urdf:
        path = Path(os.path.expandvars(rig.stretch.urdf)).expanduser()
        if not path.is_file():
            raise ConfigError(
                f"stretch.urdf: there is no file {path}; give the robot's own, such as "
                "$HELLO_FLEET_PATH/$HELLO_FLEET_ID/exported_urdf/stretch.urdf, or leave the key out."
            )
        return path
    model = model_of(rig)
    spec = importlib.util.find_spec("stretch_urdf")
    if spec is None or spec.origin is None:
        raise UserError(
            "a Stretch's kinematics need its description: pip install --no-deps hello-robot-stretch-urdf==0.1.2, "
            "or give the robot's own as stretch.urdf."
        )
    return Path(spec.origin).parent / model.name / f"stretch_description_{model.name}_{model.tool}.urdf"


def _chain(urdf: Path, names: tuple[str, ...]) -> list[_Link]:
    """The joints from base_link to the grasp's centre, the fixed ones too."""
    by_child = {_link_of(joint, "child"): joint for joint in ElementTree.parse(urdf).getroot().iter("joint")}
    links: list[_Link] = []
    at = TOOL
    if TOOL not in by_child:
        raise ConfigError(f"{urdf} has no {TOOL}; it describes a Stretch without a gripper, which has no tool centre.")
    while at != ROOT:
        joint = by_child[at]
        links.append(_read(joint, names, urdf))
        at = _link_of(joint, "parent")
    return links[::-1]


def _link_of(joint: ElementTree.Element, which: str) -> str:
    element = joint.find(which)
    return "" if element is None else element.get("link", "")


def _read(joint: ElementTree.Element, names: tuple[str, ...], urdf: Path) -> _Link:
    origin, axis = joint.find("origin"), joint.find("axis")
    offset = _numbers(origin, "xyz")
    roll, pitch, yaw = _numbers(origin, "rpy")
    turn = np.eye(3)
    for k, angle in ((2, yaw), (1, pitch), (0, roll)):
        turn = turn @ rotation_vector_to_matrix(angle * np.eye(3)[k])
    if (kind := joint.get("type")) == "fixed":
        return _Link(offset, turn, np.zeros(3), False, -1, 0.0)
    name = joint.get("name", "")
    share = 1.0
    if name in TUBES:
        name, share = ARM, 1 / len(TUBES)
    if name not in names:
        raise ConfigError(f"robot.joint_names lacks {name}, on which the tool's place depends, says {urdf.name}.")
    return _Link(offset, turn, _numbers(axis, "xyz"), kind == "prismatic", names.index(name), share)


def _numbers(element: ElementTree.Element | None, key: str) -> np.ndarray:
    text = "" if element is None else element.get(key, "")
    return np.array([float(word) for word in text.split()]) if text else np.zeros(3)
