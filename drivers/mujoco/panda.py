"""A Franka Panda with its hand, on a table, as an MJCF text made of primitives.

Kinematics: modified Denavit-Hartenberg parameters of the manufacturer's documentation
(https://frankaemika.github.io/docs/control_parameters.html#denavithartenberg-parameters).
The base frame lies on the table's surface, so z = 0 is the table. Masses are plausible, not
identified; gravity is compensated, as on the real arm, whose controller does the same.
"""

from __future__ import annotations

import math
from typing import NamedTuple

from robot_learning.drivers.mujoco.scene import PICTURE, TOOL_SITE, camera_xml, document

JOINT_NAMES = tuple(f"joint{i}" for i in range(1, 8))
FLANGE_M = 0.107
TOOL_M = 0.1034  # from the flange to the point between the fingertips
FINGER_BASE_M = 0.0584
GRIPPER_MAX_M = 0.08

_WHITE = "0.93 0.93 0.92 1"
_GREY = "0.35 0.36 0.38 1"


class Joint(NamedTuple):
    """One row of the table: the joint's frame in its parent, its range, drive and link."""

    a: float
    d: float
    alpha: float
    low: float
    high: float
    torque: float
    stiffness: float
    mass: float


_H = math.pi / 2
JOINTS = (
    Joint(0.0, 0.333, 0.0, -2.8973, 2.8973, 87, 6000, 3.0),
    Joint(0.0, 0.0, -_H, -1.7628, 1.7628, 87, 6000, 3.0),
    Joint(0.0, 0.316, _H, -2.8973, 2.8973, 87, 5000, 2.5),
    Joint(0.0825, 0.0, _H, -3.0718, -0.0698, 87, 5000, 2.5),
    Joint(-0.0825, 0.384, -_H, -2.8973, 2.8973, 12, 2500, 2.5),
    Joint(0.0, 0.0, _H, -0.0175, 3.7525, 12, 2500, 1.5),
    Joint(0.088, 0.0, _H, -2.8973, 2.8973, 12, 1500, 0.7),
)
DAMPING_S = 0.045  # kv / kp of the joint drives; the feed-forward takes its lag away
ARMATURE = 0.2


def _capsule(fromto: str, radius: float, colour: str = _WHITE) -> str:
    return f'<geom class="shell" type="capsule" fromto="{fromto}" size="{radius}" rgba="{colour}"/>'


def _cylinder(fromto: str, radius: float, colour: str = _GREY) -> str:
    return f'<geom class="shell" type="cylinder" fromto="{fromto}" size="{radius}" rgba="{colour}"/>'


# The shape of each link, in its joint's frame: the arm's tubes and, in grey, the joints' caps.
_SHAPES = (
    _capsule("0 0 -0.19 0 0 -0.02", 0.062)
    + _capsule("0 -0.03 0 0 0.03 0", 0.062),
    _cylinder("0 0 -0.085 0 0 0.085", 0.055)
    + _capsule("0 -0.03 0 0 -0.18 0", 0.06),
    _capsule("0 0 -0.12 0 0 -0.03", 0.058)
    + _capsule("0.0825 0 -0.01 0.0825 0 0.01", 0.055)
    + _capsule("0 0 -0.04 0.06 0 0", 0.052),
    _cylinder("0 0 -0.08 0 0 0.08", 0.052)
    + _capsule("0 0 0 -0.0825 0.06 0", 0.052)
    + _capsule("-0.0825 0.06 0 -0.0825 0.12 0", 0.055),
    _capsule("0 0 -0.24 0 0 -0.15", 0.052)
    + _capsule("0 0.05 -0.14 0 0.07 -0.03", 0.035)
    + _capsule("0 0.02 0 0 0.05 -0.02", 0.045),
    _cylinder("0 0 -0.07 0 0 0.07", 0.046)
    + _capsule("0 0 0 0.088 0 0", 0.044)
    + _capsule("0.088 0 0 0.088 -0.02 0", 0.044),
    _cylinder("0 0 0.03 0 0 0.107", 0.042, _WHITE)
    + _cylinder("0 0 0.098 0 0 0.108", 0.044),
)  # fmt: skip


def _hand(camera: str) -> str:
    def finger(name: str, sign: int) -> str:
        turn = "" if sign > 0 else ' quat="0 0 0 1"'
        pad = TOOL_M - FINGER_BASE_M
        return f"""
      <body name="{name}" pos="0 0 {FINGER_BASE_M}" gravcomp="1"{turn}>
        <joint name="{name}" class="finger" axis="0 1 0"/>
        <inertial pos="0 0.01 {pad / 2}" mass="0.05" diaginertia="3e-5 3e-5 1e-5"/>
        <geom class="shell" type="box" pos="0 0.016 0.011" size="0.0105 0.0075 0.011" rgba="{_GREY}"/>
        <geom class="shell" type="box" pos="0 0.0085 {pad - 0.016}" size="0.0095 0.0065 0.019" rgba="{_GREY}"/>
        <geom name="{name}_pad" class="pad" pos="0 0.004 {pad}" size="0.009 0.004 0.009"/>
      </body>"""

    return f"""
    <body name="hand" pos="0 0 {FLANGE_M}" quat="{math.cos(-math.pi / 8)} 0 0 {math.sin(-math.pi / 8)}" gravcomp="1">
      <inertial pos="0 0 0.03" mass="0.73" diaginertia="0.002 0.001 0.002"/>
      <geom class="solid" type="box" pos="0 0 0.033" size="0.022 0.095 0.03" rgba="{_WHITE}"/>
      <geom class="shell" type="box" pos="0 0 0.0635" size="0.015 0.09 0.003" rgba="{_GREY}"/>
      {camera}
      <site name="{TOOL_SITE}" pos="0 0 {TOOL_M}" size="0.002" rgba="0 0 0 0"/>
      {finger("finger_left", 1)}{finger("finger_right", -1)}
    </body>"""


def _arm(camera: str) -> str:
    text = _hand(camera)
    for i, (joint, shape) in reversed(list(enumerate(zip(JOINTS, _SHAPES, strict=True), start=1))):
        c, s = math.cos(joint.alpha / 2), math.sin(joint.alpha / 2)
        # Modified DH: Rot_x(alpha) Trans_x(a) Rot_z(q) Trans_z(d), so the offset d is along the turned z axis.
        position = f"{joint.a} {-joint.d * math.sin(joint.alpha):.9g} {joint.d * math.cos(joint.alpha):.9g}"
        inertia = joint.mass * 0.006
        text = f"""
    <body name="link{i}" pos="{position}" quat="{c:.12g} {s:.12g} 0 0" gravcomp="1">
      <joint name="joint{i}" class="arm" range="{joint.low} {joint.high}"/>
      <inertial pos="0 0 0" mass="{joint.mass}" diaginertia="{inertia} {inertia} {inertia}"/>
      {shape}{text}
    </body>"""
    return text


def _actuators() -> str:
    lines = [
        f'<position name="joint{i}" joint="joint{i}" kp="{j.stiffness}" kv="{j.stiffness * DAMPING_S}" '
        f'forcerange="{-j.torque} {j.torque}"/>'
        for i, j in enumerate(JOINTS, start=1)
    ]
    # One drive for both fingers, as in the hand; its force is that of a firm grasp.
    lines.append('<position name="gripper" tendon="opening" kp="1500" kv="60" forcerange="-40 40"/>')
    return "\n    ".join(lines)


# Where the rig's cameras stand: `front` looks at the table from the far side, `wrist` along the fingers,
# both from where a bracket would hold them; `picture` is for videos.
_FRONT = camera_xml("front", (1.15, 0.0, 0.62), (0.45, 0.0, 0.13), (0, 0, 1), 50)
_WRIST = camera_xml("wrist", (0.075, 0.0, 0.04), (0.03, 0.0, 0.16), (1, 0, 0), 75)
_PICTURE = camera_xml(PICTURE, (1.35, -0.95, 0.85), (0.30, 0.0, 0.24), (0, 0, 1), 37)


def scene_xml(objects: str = "") -> str:
    """MJCF of table, arm, cameras and a task's `objects` (bodies as MJCF text); see `scene.document`."""
    return document(
        "panda",
        f"""<default class="arm"><joint axis="0 0 1" armature="{ARMATURE}" damping="1"/></default>
    <default class="finger"><joint type="slide" range="0 {GRIPPER_MAX_M / 2}" armature="0.2" damping="5"/></default>""",
        "0.4 0 0.2",
        f"""<light pos="0.6 -0.8 2.2" dir="0 0.35 -1" directional="true" diffuse="0.5 0.5 0.5" castshadow="true"/>
    <geom name="floor" type="plane" size="3 3 0.1" pos="0 0 -0.76" contype="0" conaffinity="0" material="floor"/>
    <geom name="table" class="fixed" type="box" size="0.6 0.6 0.02" pos="0.4 0 -0.02" material="table"/>
    <geom name="leg" class="shell" type="box" size="0.5 0.5 0.36" pos="0.4 0 -0.4" rgba="0.45 0.45 0.47 1"/>
    {_FRONT}
    {_PICTURE}
    <geom class="shell" type="cylinder" fromto="0 0 0 0 0 0.03" size="0.095" rgba="{_GREY}"/>
    <geom class="shell" type="capsule" fromto="0 0 0.03 0 0 0.14" size="0.07" rgba="{_WHITE}"/>
    {_arm(_WRIST)}
    {objects}""",
        _actuators(),
    )
