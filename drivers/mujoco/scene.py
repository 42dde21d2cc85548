"""What the simulated scenes share: physics, light, materials, kinds of geometry, cameras; as MJCF text."""

from __future__ import annotations

from collections.abc import Iterable

import mujoco
import numpy as np

from robot_learning.errors import unknown_name

PHYSICS_STEP_NS = 1_000_000
TOOL_SITE = "tool"
GRIPPER = "gripper"  # the drive of both fingers; it is told their distance
FINGERS = ("finger_left", "finger_right")  # joints that slide; their sum is the opening
PICTURE = "picture"  # a camera for people and videos, no rig's


def camera_xml(
    name: str, position: tuple[float, ...], target: tuple[float, ...], up: tuple[float, ...], fovy: float
) -> str:
    """A camera that looks from `position` to `target`; MuJoCo's cameras look along their own -z."""
    z = np.subtract(position, target)
    x = np.cross(up, z)
    x, z = x / np.linalg.norm(x), z / np.linalg.norm(z)
    axes = " ".join(f"{v:.9g}" for v in (*x, *np.cross(z, x)))
    return f'<camera name="{name}" pos="{" ".join(map(str, position))}" xyaxes="{axes}" fovy="{fovy}"/>'


def check_cameras(names: Iterable[str], model: mujoco.MjModel) -> None:
    """Raise UnknownName where a rig asks for a camera that the scene lacks."""
    known = [name for name in (model.camera(i).name for i in range(model.ncam)) if name != PICTURE]
    robot = bytes(model.names).split(b"\0", 1)[0].decode()
    for name in names:
        if name not in known:
            raise unknown_name(f"camera of the simulated {robot}", name, known)


def document(robot: str, joints: str, centre: str, world: str, drives: str) -> str:
    """A whole scene.

    Collisions: the robot (contype 1) meets the table and objects, never itself; objects (contype 2)
    meet everything. Objects use the default classes `object`, `fixed` or `shell`. Both fingers slide,
    by one drive; joints `finger_left` and `finger_right` must be there.

    Args:
        robot: the model's name.
        joints: default classes of its joints.
        centre: what a viewer looks at first.
        world: the bodies.
        drives: actuators; one called `gripper` acts on the tendon `opening`.
    """
    return f"""<mujoco model="{robot}">
  <compiler angle="radian" autolimits="true"/>
  <option timestep="{PHYSICS_STEP_NS / 1e9}" integrator="implicitfast" cone="elliptic" impratio="10" iterations="20"/>
  <size memory="4M"/>
  <visual>
    <global offwidth="1280" offheight="960"/>
    <headlight ambient="0.38 0.38 0.38" diffuse="0.32 0.32 0.32" specular="0.1 0.1 0.1"/>
    <map znear="0.005" zfar="4"/>
  </visual>
  <statistic center="{centre}" extent="1"/>
  <asset>
    <texture name="sky" type="skybox" builtin="gradient" rgb1="0.86 0.90 0.94" rgb2="0.62 0.68 0.75"
             width="64" height="64"/>
    <material name="table" rgba="0.74 0.66 0.56 1" specular="0.1" shininess="0.2"/>
    <material name="floor" rgba="0.55 0.58 0.62 1" specular="0" shininess="0"/>
  </asset>
  <default>
    {joints}
    <default class="shell"><geom contype="0" conaffinity="0" group="1" density="0"/></default>
    <default class="solid"><geom contype="1" conaffinity="0" group="1" density="0"/></default>
    <default class="pad">
      <geom type="box" contype="1" conaffinity="0" group="1" density="0" condim="4" friction="1.5 0.02 0.0001"
            solref="0.004 1" rgba="0.15 0.15 0.16 1"/>
    </default>
    <default class="object">
      <geom contype="2" conaffinity="3" condim="4" friction="0.8 0.005 0.0001" solref="0.004 1"/>
    </default>
    <default class="fixed"><geom contype="0" conaffinity="3" friction="0.8 0.005 0.0001" solref="0.004 1"/></default>
  </default>
  <worldbody>
    {world}
  </worldbody>
  <tendon>
    <fixed name="opening"><joint joint="finger_left" coef="1"/><joint joint="finger_right" coef="1"/></fixed>
  </tendon>
  <equality>
    <joint joint1="finger_left" joint2="finger_right" solimp="0.95 0.99 0.001" solref="0.005 1"/>
  </equality>
  <actuator>
    {drives}
  </actuator>
</mujoco>
"""
