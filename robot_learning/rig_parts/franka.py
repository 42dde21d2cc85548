"""The part of a rig file about a Franka arm."""

from __future__ import annotations

import math
from typing import Annotated, Literal

from pydantic import Field, model_validator

from robot_learning.contract import Frozen
from robot_learning.errors import closest
from robot_learning.rig_parts.numbers import Positive, Vector3

Seven = Annotated[tuple[float, ...], Field(min_length=7, max_length=7)]
Six = Annotated[tuple[float, ...], Field(min_length=6, max_length=6)]
Quaternion = Annotated[tuple[float, ...], Field(min_length=4, max_length=4)]
_HAND_TURN = -math.pi / 4  # the hand is mounted turned by so much about the flange's axis
_SMALLEST_CLIP = 1e-4


class PresetConfig(Frozen):
    """How stiffly the arm follows, and how far its reference may be from where it is.

    The second is what bounds the force in contact, whatever the stiffness: about stiffness times clip. After the
    reference limiting of SERL (Luo et al., arXiv 2401.16013; github.com/rail-berkeley/serl_franka_controllers). Each
    axis of the base frame has a clip for each sign, so that a tool can press gently downwards and still be strong
    sideways.

    Attributes:
        translational_stiffness_n_m, rotational_stiffness_nm_rad: of the tool, for `command: ee_target`.
        translational_damping_ns_m, rotational_damping_nms_rad: likewise.
        clip_positive_m, clip_negative_m: reference minus measured position, along x, y, z; both as positive numbers.
        clip_positive_rad, clip_negative_rad: the same for the rotation vector.
        joint_stiffness_nm_rad, joint_damping_nms_rad: for `command: joint_target`.
        joint_clip_rad: reference minus measured angle, each joint, either sign.
    """

    translational_stiffness_n_m: Annotated[float, Field(gt=0, le=5000)]
    rotational_stiffness_nm_rad: Annotated[float, Field(gt=0, le=400)]
    translational_damping_ns_m: Annotated[float, Field(ge=0, le=400)]
    rotational_damping_nms_rad: Annotated[float, Field(ge=0, le=40)]
    clip_positive_m: Vector3
    clip_negative_m: Vector3
    clip_positive_rad: Vector3
    clip_negative_rad: Vector3
    # The gains of libfranka's example joint_impedance_control.
    joint_stiffness_nm_rad: Seven = (600.0, 600.0, 600.0, 600.0, 250.0, 150.0, 50.0)
    joint_damping_nms_rad: Seven = (50.0, 50.0, 50.0, 50.0, 30.0, 25.0, 15.0)
    joint_clip_rad: Annotated[float, Field(gt=0, le=0.5)]

    @model_validator(mode="after")
    def _check(self) -> PresetConfig:
        for key, most in (("m", 0.15), ("rad", 0.6)):
            for sign in ("positive", "negative"):
                name = f"clip_{sign}_{key}"
                if not all(_SMALLEST_CLIP <= value <= most for value in getattr(self, name)):
                    raise ValueError(f"{name} must lie within {_SMALLEST_CLIP} and {most}: {list(getattr(self, name))}")
        if min(self.joint_stiffness_nm_rad) <= 0 or min(self.joint_damping_nms_rad) < 0:
            raise ValueError("joint_stiffness_nm_rad must be positive, joint_damping_nms_rad not negative")
        return self

    def force_max_n(self) -> float:
        """What the spring alone can press with, along the axis with the widest clip [N]."""
        return self.translational_stiffness_n_m * max(*self.clip_positive_m, *self.clip_negative_m)


def _preset(
    stiffness: tuple[float, float], damping: tuple[float, float], clip_m: float, clip_rad: float, joint_clip_rad: float
) -> PresetConfig:
    metres, angles = (clip_m,) * 3, (clip_rad,) * 3
    return PresetConfig(
        translational_stiffness_n_m=stiffness[0],
        rotational_stiffness_nm_rad=stiffness[1],
        translational_damping_ns_m=damping[0],
        rotational_damping_nms_rad=damping[1],
        clip_positive_m=metres,
        clip_negative_m=metres,
        clip_positive_rad=angles,
        clip_negative_rad=angles,
        joint_clip_rad=joint_clip_rad,
    )


# contact: stiffness, damping and the order of the clips are what HIL-SERL's tasks use (arXiv 2410.21845: RAM insertion
# and cable routing, 2000 N/m, 89 Ns/m, clips of 1.6 to 7.5 mm); precision: those of its circuit board (3000, 180, 1.5
# to 3 mm). free: ours, for moving about without contact: clips that an arm in motion does not touch.
PRESETS = {
    "free": _preset((1500.0, 100.0), (77.0, 8.0), 0.03, 0.15, 0.08),
    "contact": _preset((2000.0, 150.0), (89.0, 7.0), 0.005, 0.05, 0.03),
    "precision": _preset((3000.0, 150.0), (180.0, 7.0), 0.003, 0.02, 0.02),
}


class HandConfig(Frozen):
    """The Franka Hand.

    Attributes:
        force_n: with which it grasps; the hand's datasheet allows 70 N for long.
        homing_at_connect: whether connecting moves the fingers through their whole stroke, which tells the hand how
            wide it opens. Needed once after the fingers were changed; nothing may be between them.
    """

    speed_m_s: Annotated[float, Field(gt=0, le=0.1)] = 0.1
    force_n: Annotated[float, Field(gt=0, le=70)] = 20.0
    homing_at_connect: bool = False


class LoadConfig(Frozen):
    """What is mounted or carried beyond what Desk knows of; wrong numbers make the arm sink or rise.

    Attributes:
        center_m: of mass, from the flange.
        inertia_kg_m2: (9,) row by row, about the centre of mass.
    """

    mass_kg: Annotated[float, Field(ge=0, le=3)]
    center_m: Vector3 = (0.0, 0.0, 0.0)
    inertia_kg_m2: Annotated[tuple[float, ...], Field(min_length=9, max_length=9)] = (0.0,) * 9


class CollisionConfig(Frozen):
    """From which external torque and force on the robot reports contact (lower) and stops with a reflex (upper).

    The defaults are those of libfranka's examples: sensitive. Tasks with contact need more; raise them knowingly.
    """

    torque_lower_nm: Seven = (20.0, 20.0, 18.0, 18.0, 16.0, 14.0, 12.0)
    torque_upper_nm: Seven = (20.0, 20.0, 18.0, 18.0, 16.0, 14.0, 12.0)
    force_lower_n_nm: Six = (20.0, 20.0, 20.0, 25.0, 25.0, 25.0)
    force_upper_n_nm: Six = (20.0, 20.0, 20.0, 25.0, 25.0, 25.0)

    @model_validator(mode="after")
    def _check(self) -> CollisionConfig:
        for lower, upper in (("torque_lower_nm", "torque_upper_nm"), ("force_lower_n_nm", "force_upper_n_nm")):
            for low, high in zip(getattr(self, lower), getattr(self, upper), strict=True):
                if not 0 < low <= high <= 200:
                    raise ValueError(f"{lower} must be above 0 and not above {upper}, which may be 200 at most")
        return self


class FrankaConfig(Frozen):
    """How a Franka arm is reached and controlled; for `robot.type: franka`.

    Attributes:
        address: of the robot's control box, name or IP; libfranka's port is always 1337, the hand's 1338.
        realtime: `strict` refuses to move without a real-time kernel and priority; `relaxed` moves all the same, and
            any other load of the computer may then stop the arm with `communication_constraints_violation`.
        flange_to_tool_position_m, flange_to_tool_quaternion_wxyz: the tool's centre, which targets are for; the
            default is the Franka Hand's, between the fingertips.
        hand: null for an arm without one.
        presets: beside the built-in `free`, `contact` and `precision`, or in their place.
        preset: the one in use.
        nullspace_stiffness_nm_rad: how strongly the elbow stays where it was when the motion began.
        torque_step_max_nm: per millisecond, each joint; the robot's own limit is 1.
        connect_timeout_s: how long to wait for the robot.
        simulator: a simulated robot that `robot-learning up` starts at `address`; for tests and rehearsals.
        simulator_timing: `enforced` stops a motion whose commands come late, as a robot does; `ignored` lets it go on,
            for a computer that is too slow or too busy for 1 kHz.
    """

    model: Literal["fr3", "panda"]
    address: Annotated[str, Field(min_length=1)]
    realtime: Literal["strict", "relaxed"] = "strict"
    flange_to_tool_position_m: Vector3 = (0.0, 0.0, 0.1034)
    flange_to_tool_quaternion_wxyz: Quaternion = (math.cos(_HAND_TURN / 2), 0.0, 0.0, math.sin(_HAND_TURN / 2))
    hand: HandConfig | None = HandConfig()
    load: LoadConfig | None = None
    collision: CollisionConfig = CollisionConfig()
    presets: dict[str, PresetConfig] = {}
    preset: str = "free"
    nullspace_stiffness_nm_rad: Annotated[float, Field(ge=0, le=30)] = 5.0
    torque_step_max_nm: Annotated[float, Field(gt=0, le=1)] = 0.5
    connect_timeout_s: Positive = 10.0
    simulator: Literal["franka-sim", "franky-sim"] | None = None
    simulator_timing: Literal["enforced", "ignored"] = "enforced"

    @model_validator(mode="after")
    def _check(self) -> FrankaConfig:
        if self.preset not in self.all_presets:
            raise ValueError(
                f"preset: there is no '{self.preset}'{closest(self.preset, self.all_presets)} "
                f"Known: {', '.join(sorted(self.all_presets))}"
            )
        if self.simulator is None and self.simulator_timing == "ignored":
            raise ValueError("simulator_timing: only a simulator's timing can be ignored, no robot's; remove the line.")
        if abs(math.hypot(*self.flange_to_tool_quaternion_wxyz) - 1) > 1e-3:
            raise ValueError(
                f"flange_to_tool_quaternion_wxyz must have length 1: {list(self.flange_to_tool_quaternion_wxyz)}"
            )
        return self

    @property
    def all_presets(self) -> dict[str, PresetConfig]:
        """Built-in ones and the rig file's own."""
        return PRESETS | self.presets

    @property
    def gains(self) -> PresetConfig:
        """The preset in use."""
        return self.all_presets[self.preset]
