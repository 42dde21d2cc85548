"""A Hello Robot Stretch SE3 with wrist and gripper (dw3, sg3) at a table, as an MJCF text made of primitives.

Kinematics: the joints' axes and origins of Hello Robot's URDF (hello-robot-stretch-urdf 0.1.2,
SE3/stretch_description_SE3_eoa_wrist_dw3_tool_sg3.urdf; a test compares). The base frame is its
`base_link`: on the floor between the wheels, x forward, and the arm reaches out along -y. All bodies have
that frame's orientation while the joints are at zero. The tool is its `link_grasp_center`: x along the
fingers, y across them.

Not as on the real robot: the telescope is one joint; fingers slide instead of bowing outwards on leaf springs; the
base glides on the plane as its reference drives (`stretch_base`), without wheels. Masses and drives are plausible,
not identified; gravity of the arm is compensated.
"""

from __future__ import annotations

from typing import NamedTuple

from robot_learning.drivers.mujoco.scene import PICTURE, TOOL_SITE, camera_xml, document

JOINT_NAMES = (
    "joint_lift", "wrist_extension", "joint_wrist_yaw", "joint_wrist_pitch", "joint_wrist_roll",
    "joint_head_pan", "joint_head_tilt",
)  # fmt: skip
BASE_JOINTS = ("base_x", "base_y", "base_heading")
GRIPPER_MAX_M = 0.09  # stretch_body 0.7.31, robot_params_SE3: gripper_conversion, open_aperture_m
TABLE_M = 0.60  # height of its surface
TABLE_CENTRE_M = (0.0, -0.56)
DAMPING_S = 0.05  # kv / kp of the drives; the feed-forward takes its lag away
ARM_REACH_M = 0.52

_BLACK, _GREY, _SILVER, _WHITE = "0.16 0.16 0.18 1", "0.38 0.39 0.41 1", "0.72 0.73 0.75 1", "0.93 0.93 0.92 1"
# Where joint axes pass, in the base frame with all joints at zero [m].
_LIFT = (-0.10439, 0.135, 0.195)
_ARM = (-0.10438, -0.14495, 0.195)
_YAW = (-0.02138, -0.14495, 0.16425)
_PITCH = (-0.04084, -0.14495, 0.13375)
_ROLL = (-0.02129, -0.16381, 0.10975)
_HAND = (-0.02129, -0.18481, 0.10975)
_TOOL = (-0.02129, -0.41481, 0.10975)
_PAN = (0.0061, 0.0, 1.3552)
_TILT = (0.0048, 0.02776, 1.30189)
_HEAD_CAMERA = (0.0454, -0.00294, 1.32219)
_WRIST_CAMERA = (-0.01229, -0.24121, 0.17269)


class Drive(NamedTuple):
    """A joint's drive: stiffness [N/m or Nm/rad] and the most that it gives [N or Nm]."""

    stiffness: float
    most: float


DRIVES = {
    "base_x": Drive(40_000, 150),
    "base_y": Drive(40_000, 150),
    "base_heading": Drive(8_000, 50),
    "joint_lift": Drive(20_000, 120),
    "wrist_extension": Drive(12_000, 60),
    "joint_wrist_yaw": Drive(150, 8),
    "joint_wrist_pitch": Drive(150, 8),
    "joint_wrist_roll": Drive(100, 6),
    "joint_head_pan": Drive(40, 4),
    "joint_head_tilt": Drive(40, 4),
}


def _from(origin: tuple[float, ...], point: tuple[float, ...]) -> str:
    """A point of the base frame as a place in a body whose origin is another."""
    return " ".join(f"{b - a:.6g}" for a, b in zip(origin, point, strict=True))


def _body(name: str, parent: tuple[float, ...], origin: tuple[float, ...], joint: str, mass: float, rest: str) -> str:
    inertia = f"{mass * 0.004:.4g} {mass * 0.004:.4g} {mass * 0.004:.4g}"
    return f"""
    <body name="{name}" pos="{_from(parent, origin)}" gravcomp="1">
      {joint}
      <inertial pos="0 0 0" mass="{mass}" diaginertia="{inertia}"/>
      {rest}
    </body>"""


def _slide(name: str, axis: str, low: float, high: float) -> str:
    return f'<joint name="{name}" type="slide" axis="{axis}" range="{low} {high}" armature="2" damping="20"/>'


def _hinge(name: str, axis: str, low: float, high: float) -> str:
    return f'<joint name="{name}" axis="{axis}" range="{low} {high}" armature="0.05" damping="0.5"/>'


def _shell(type: str, rest: str, colour: str, kind: str = "shell") -> str:
    return f'<geom class="{kind}" type="{type}" {rest} rgba="{colour}"/>'


def _solid(rest: str, colour: str) -> str:
    """A box that meets table and objects."""
    return _shell("box", rest, colour, "solid")


def _hand() -> str:
    tip = f"0 {_TOOL[1] - _HAND[1]:.6g} 0"

    def finger(name: str, sign: int) -> str:
        # The pads' inner faces meet in the middle: a pad is 8 mm thick.
        return f"""
      <body name="{name}" pos="{tip}" gravcomp="1">
        <joint name="{name}" class="finger" axis="{sign} 0 0"/>
        <inertial pos="0 0.09 0" mass="0.05" diaginertia="1e-4 2e-5 1e-4"/>
        {_shell("capsule", f'fromto="{sign * 0.012} 0.012 0 {sign * 0.03} 0.09 0" size="0.005"', _BLACK)}
        {_shell("capsule", f'fromto="{sign * 0.03} 0.09 0 {sign * 0.012} 0.185 0" size="0.006"', _BLACK)}
        <geom name="{name}_pad" class="pad" pos="{sign * 0.004} 0 0" size="0.004 0.014 0.014"/>
      </body>"""

    # The optical axis tilts 10 degrees down from the fingers' direction, as the URDF has it.
    camera = f'<camera name="wrist" pos="{_from(_HAND, _WRIST_CAMERA)}" xyaxes="-1 0 0 0 -0.17365 0.98481" fovy="58"/>'
    return f"""
      {_solid('pos="0 -0.012 0" size="0.028 0.03 0.024"', _BLACK)}
      {_shell("box", f'pos="{_from(_HAND, _WRIST_CAMERA)}" size="0.021 0.011 0.011"', _SILVER)}
      {_shell("capsule", 'fromto="0 -0.02 0.02 0.009 -0.05 0.055" size="0.008"', _BLACK)}
      {camera}
      <site name="{TOOL_SITE}" pos="{tip}" xyaxes="0 -1 0 1 0 0" size="0.002" rgba="0 0 0 0"/>
      {finger("finger_left", 1)}{finger("finger_right", -1)}"""


def _arm() -> str:
    """The tubes; the outer one is fixed to the lift's carriage, the others go out with it in equal shares."""
    hand = _body("hand", _ROLL, _HAND, "", 0.45, _hand())
    roll = _body("roll", _PITCH, _ROLL, _hinge("joint_wrist_roll", "0 -1 0", -3.14, 3.14), 0.1,
                 _shell("cylinder", 'fromto="0 0.02 0 0 -0.02 0" size="0.017"', _GREY) + hand)  # fmt: skip
    pitch = _body("pitch", _YAW, _PITCH, _hinge("joint_wrist_pitch", "-1 0 0", -1.57, 0.56), 0.15,
                  _shell("box", 'pos="0.02 -0.005 -0.008" size="0.022 0.018 0.02"', _BLACK) + roll)  # fmt: skip
    yaw = _body("yaw", _ARM, _YAW, _hinge("joint_wrist_yaw", "0 0 1", -1.75, 4.0), 0.2,
                _shell("cylinder", 'fromto="0 0 0.02 0 0 -0.02" size="0.022"', _GREY)
                + _shell("box", 'pos="-0.008 0 -0.03" size="0.02 0.02 0.022"', _BLACK) + pitch)  # fmt: skip
    wrist = _solid('pos="0.045 -0.002 0" size="0.045 0.028 0.03"', _BLACK) + yaw
    # Half-way tubes would need joints of their own; drawn from the wrist back, the inner one hides in the outer.
    inner = _solid('pos="0 0.27 0" size="0.018 0.26 0.024"', _SILVER)
    return _body("arm", _LIFT, _ARM, _slide("wrist_extension", "0 -1 0", 0, ARM_REACH_M), 1.2, inner + wrist)


def _base() -> str:
    tube = _solid('pos="0 -0.02 0" size="0.026 0.24 0.032"', _BLACK)
    carriage = _solid('pos="0.03 0.0 0" size="0.05 0.06 0.075"', _WHITE)
    lift = _body("lift", (0, 0, 0), _LIFT, _slide("joint_lift", "0 0 1", 0, 1.1), 2.5, carriage + tube + _arm())
    camera = f'<camera name="head" pos="{_from(_TILT, _HEAD_CAMERA)}" xyaxes="0 -1 0 0 0 1" fovy="60"/>'
    tilt = _body("head_tilt", _PAN, _TILT, _hinge("joint_head_tilt", "0 -1 0", -1.53, 0.79), 0.3,
                 _shell("box", f'pos="{_from(_TILT, (0.035, -0.003, 1.31))}" size="0.012 0.013 0.046"', _SILVER)
                 + camera)  # fmt: skip
    pan = _body("head_pan", (0, 0, 0), _PAN, _hinge("joint_head_pan", "0 0 1", -3.9, 1.5), 0.2,
                _shell("box", 'pos="-0.004 0 -0.02" size="0.025 0.022 0.03"', _BLACK) + tilt)  # fmt: skip
    wheels = "".join(
        _shell("cylinder", f'fromto="0 {y - 0.012} 0.0508 0 {y + 0.012} 0.0508" size="0.0508"', _BLACK)
        for y in (-0.17035, 0.17035)
    )
    return f"""
    <body name="base">
      <joint name="base_x" type="slide" axis="1 0 0" damping="20"/>
      <joint name="base_y" type="slide" axis="0 1 0" damping="20"/>
      <joint name="base_heading" axis="0 0 1" damping="2"/>
      <inertial pos="-0.1 0 0.15" mass="17.4" diaginertia="0.4 0.4 0.5"/>
      {_solid('pos="-0.1 0 0.095" size="0.155 0.155 0.055"', _WHITE)}
      {wheels}
      {_shell("sphere", 'pos="-0.245 0 0.032" size="0.03"', _BLACK)}
      {_shell("cylinder", 'fromto="-0.067 0.135 0.15 -0.067 0.135 1.36" size="0.034"', _SILVER)}
      {_shell("box", 'pos="-0.04 0.08 1.375" size="0.05 0.075 0.018"', _WHITE)}
      {lift}{pan}
    </body>"""


def _drives() -> str:
    lines = [
        f'<position name="{name}" joint="{name}" kp="{d.stiffness}" kv="{d.stiffness * DAMPING_S}" '
        f'forcerange="{-d.most} {d.most}"/>'
        for name, d in DRIVES.items()
    ]
    lines.append('<position name="gripper" tendon="opening" kp="1500" kv="60" forcerange="-25 25"/>')
    return "\n    ".join(lines)


def _table() -> str:
    x, y = TABLE_CENTRE_M
    legs = "".join(
        _shell("cylinder", f'fromto="{x + a} {y + b} 0 {x + a} {y + b} {TABLE_M - 0.03}" size="0.02"', _GREY)
        for a in (-0.4, 0.4)
        for b in (-0.24, 0.24)
    )
    return (
        f'<geom name="table" class="fixed" type="box" size="0.45 0.28 0.015" pos="{x} {y} {TABLE_M - 0.015}" '
        f'material="table"/>{legs}'
    )


def scene_xml(objects: str = "") -> str:
    """MJCF of robot, table, cameras and a task's `objects`; see `scene.document`. The base begins at the origin."""
    joints = (
        f'<default class="finger"><joint type="slide" range="0 {GRIPPER_MAX_M / 2}" armature="0.2" damping="5"/>'
        "</default>"
    )
    world = f"""<light pos="1 1 3" dir="-0.3 -0.35 -1" directional="true" diffuse="0.5 0.5 0.5" castshadow="true"/>
    <geom name="floor" type="plane" size="3 3 0.1" contype="0" conaffinity="0" material="floor"/>
    {_table()}
    {camera_xml(PICTURE, (1.35, -1.55, 1.45), (-0.02, -0.22, 0.68), (0, 0, 1), 42)}
    {_base()}
    {objects}"""
    return document("stretch", joints, "0 -0.3 0.7", world, _drives())
