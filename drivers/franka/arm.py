"""The arm as franky gives it, for one thread in a process of its own: connect, read, follow references, come to rest.

franky runs libfranka's loop of 1 kHz in a thread in C++, which takes the newest reference and needs nothing of Python.
"""

from __future__ import annotations

import os
import resource
import time
from pathlib import Path
from typing import Any

import franky
import numpy as np

from robot_learning.drivers.franka import errors
from robot_learning.drivers.franka.reference import Clips, Reference
from robot_learning.errors import ConfigError, UserError
from robot_learning.rig import Rig
from robot_learning.rig_parts.franka import FrankaConfig
from robot_learning.rotation import quaternion_to_matrix

_FRAME_TOLERANCE = 1e-4  # [m], and of rotation matrices
_RAMP_S = 0.1  # from the last torque to damping alone, at the end of control
_TAKES_S = 0.5  # until a state shows what was set
_RTPRIO = 80  # libfranka asks for the highest
BROKEN = (franky.NetworkException, RuntimeError)  # the latter: libfranka lets some of its network library's pass


class ConnectionLost(UserError):
    """The robot does not answer any more."""


class Arm:
    """One robot; all methods belong to one thread."""

    def __init__(self, rig: Rig) -> None:
        assert rig.franka is not None
        self._rig, self._config = rig, rig.franka
        self._robot: Any = None
        self._tracker: Any = None
        gains = self._config.gains
        self.clips = Clips(*map(np.array, (gains.clip_negative_m, gains.clip_positive_m, gains.clip_negative_rad,
                                           gains.clip_positive_rad)))  # fmt: skip
        self.joint_clip = np.full(7, gains.joint_clip_rad)

    def connect(self) -> None:
        """Open the connection and set what the rig says; UserError with what to do where it can't."""
        check_realtime(self._config)
        self._robot = self._tracker = None
        relaxed = self._config.realtime == "relaxed"
        address = self._config.address
        try:
            self._robot = franky.Robot(
                address, realtime_config=franky.RealtimeConfig.Ignore if relaxed else franky.RealtimeConfig.Enforce
            )
            if not self._robot.has_errors and self._robot.state.robot_mode != franky.RobotMode.UserStopped:
                self.configure()
        except franky.IncompatibleVersionException as error:
            raise UserError(
                f"the robot at {address} speaks another version than this libfranka ({_text(error)}); see the table at "
                "https://frankarobotics.github.io/docs/compatibility.html and update the one or the other."
            ) from None
        except BROKEN as error:
            raise ConnectionLost(
                f"there is no Franka at {address} ({_text(error)}); see that it is switched on, the cable is in the "
                "control box's LAN port, and FCI is activated in Desk."
            ) from None
        except franky.Exception as error:
            raise UserError(
                f"the Franka at {address} refused ({_text(error)}); see that its joints are unlocked, FCI is activated "
                "in Desk, and nobody else controls it."
            ) from None

    def configure(self) -> None:
        """Thresholds, load and tool frame, as the rig has them."""
        robot, config = self._robot, self._config
        limits = config.collision
        robot.set_collision_behavior(
            list(limits.torque_lower_nm), list(limits.torque_upper_nm),
            list(limits.force_lower_n_nm), list(limits.force_upper_n_nm),
        )  # fmt: skip
        if config.load is not None:
            inertia = np.array(config.load.inertia_kg_m2).reshape(3, 3)
            robot.set_load(config.load.mass_kg, np.array(config.load.center_m), inertia)
        tool = np.eye(4)
        tool[:3, 3] = config.flange_to_tool_position_m
        tool[:3, :3] = quaternion_to_matrix(np.array(config.flange_to_tool_quaternion_wxyz))
        state = robot.state
        if np.abs(state.F_T_EE.matrix - tool).max() > _FRAME_TOLERANCE:
            robot.set_ee((np.linalg.inv(state.F_T_NE.matrix) @ tool).ravel(order="F").tolist())
            end = time.monotonic() + _TAKES_S
            while np.abs((found := robot.state.F_T_EE.matrix) - tool).max() > _FRAME_TOLERANCE:
                if time.monotonic() < end:
                    continue
                raise ConfigError(
                    f"the robot's tool is at {np.round(found[:3, 3], 4).tolist()} m from the flange, the rig's at "
                    f"{list(config.flange_to_tool_position_m)}, and it takes no other; set the end effector in Desk."
                )

    def read(self) -> Any:
        """The newest state; waits for it (about 1 ms) where nothing is controlled. ConnectionLost where none comes."""
        try:
            return self._robot.state
        except BROKEN as error:
            raise ConnectionLost(f"the connection to the robot broke ({_text(error)})") from None

    def twist(self, state: Any) -> tuple[np.ndarray, np.ndarray]:
        """Measured velocity (3,) [m/s] and angular velocity (3,) [rad/s] of the tool, base frame."""
        twist = self._robot.model.zero_jacobian(franky.Frame.EndEffector, state) @ state.dq
        return twist[:3], twist[3:]

    def begin(self, state: Any) -> None:
        """Begin to follow references, from where the arm is; UserError where the robot refuses."""
        limits, gains = self._rig.limits, self._config.gains
        common = {
            "max_delta_tau": self._config.torque_step_max_nm,
            "lower_joint_limits": np.array(limits.joint_position_min),
            "upper_joint_limits": np.array(limits.joint_position_max),
        }
        try:
            if self._rig.robot.command == "joint_target":
                self._tracker = franky.JointImpedanceTracker(
                    self._robot,
                    stiffness=np.array(gains.joint_stiffness_nm_rad),
                    damping=np.array(gains.joint_damping_nms_rad),
                    **common,
                )
                return
            clips = self.clips
            self._tracker = franky.CartesianImpedanceTracker(
                self._robot,
                gains=franky.CartesianImpedanceGains.isotropic(
                    gains.translational_stiffness_n_m, gains.rotational_stiffness_nm_rad,
                    gains.translational_damping_ns_m, gains.rotational_damping_nms_rad,
                ),
                # The wider of both signs, held by the loop in C++; each sign's own is held by the reference.
                translational_error_clip=np.maximum(clips.negative_m, clips.positive_m),
                rotational_error_clip=np.maximum(clips.negative_rad, clips.positive_rad),
                posture_task=franky.PostureTask(state.q, self._config.nullspace_stiffness_nm_rad),
                **common,
            )  # fmt: skip
        except franky.Exception as error:
            self._tracker = None
            raise UserError(f"the robot refused to be controlled ({_text(error)})") from None

    def lead_tool(self, reference: Reference) -> None:
        """The tool's reference until the next."""
        pose = np.eye(4)
        pose[:3, :3], pose[:3, 3] = reference.rotation, reference.position
        self._tracker.set_target(franky.Affine(pose), franky.Twist(reference.velocity, reference.angular_velocity))

    def lead_joints(self, q: np.ndarray, dq: np.ndarray) -> None:
        """The joints' reference until the next."""
        self._tracker.set_target(q, dq)

    def end(self) -> None:
        """Hand the arm, at rest, over to the robot's own controller; `controlled` says when that is done."""
        stop = franky.TorqueStopMotion(ramp_duration=_RAMP_S, max_duration=1.0,
                                       max_delta_tau=self._config.torque_step_max_nm)  # fmt: skip
        self._robot.move(stop, asynchronous=True)

    @property
    def controlled(self) -> bool:
        """Whether our controller runs."""
        return bool(self._robot.is_in_control)

    def outcome(self) -> str:
        """Why control ended; empty where it ended in order. ConnectionLost where the connection broke."""
        try:
            self._robot.join_motion(1.0)
        except BROKEN as error:
            raise ConnectionLost(f"the connection to the robot broke ({_text(error)})") from None
        except franky.Exception as error:
            return _text(error)
        finally:
            self._tracker = None
        return ""

    def recover(self) -> None:
        """Clear the robot's errors; UserError with what to do where they stay."""
        state = self.read()
        if state.robot_mode == franky.RobotMode.UserStopped:
            raise UserError(
                "the robot is stopped by its stop device or by Desk; see that nobody is in reach, release it, "
                "then recover."
            )
        try:
            self._robot.recover_from_errors()
            state = self.read()
            found = errors.names(errors.mask(state.current_errors))
            if found or state.robot_mode not in (franky.RobotMode.Idle, franky.RobotMode.Guiding):
                raise UserError(
                    f"the robot can't recover by itself, it is in mode {state.robot_mode.name}: "
                    f"{errors.explain(found) or 'look into Desk'}"
                )
            self.configure()
        except BROKEN as error:
            raise ConnectionLost(f"the connection to the robot broke ({_text(error)})") from None
        except franky.Exception as error:
            raise UserError(f"the robot can't recover by itself ({_text(error)}); look into Desk.") from None


def check_realtime(config: FrankaConfig) -> None:
    """ConfigError where `realtime: strict` can't be kept: libfranka itself would say so only once the arm moves."""
    if config.realtime == "relaxed":
        return
    lacks = []
    flag = Path("/sys/kernel/realtime")
    if not flag.exists() or flag.read_text().strip() != "1":
        lacks.append(f"the kernel {os.uname().release} is not a real-time one (PREEMPT_RT)")
    priority = resource.getrlimit(resource.RLIMIT_RTPRIO)[0]
    if os.geteuid() != 0 and priority != resource.RLIM_INFINITY and priority < _RTPRIO:
        lacks.append(f"this user may not use real-time priority (rtprio is {priority})")
    if lacks:
        raise ConfigError(
            f"franka.realtime is strict, but {' and '.join(lacks)}; docs/hardware/franka.md says how to set that up. "
            "For a rehearsal against a simulator say `realtime: relaxed` in the rig file."
        )


def _text(error: Exception) -> str:
    return " ".join(str(error).split()).rstrip(".")
