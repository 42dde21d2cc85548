"""From an operator's hands to targets: begun where the robot is, only while the dead-man is held. No ROS."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import TYPE_CHECKING, get_args

import numpy as np

from robot_learning.clock import NS_PER_S, Clock, seconds_to_ns
from robot_learning.deployment.teleop_motion import Course, Mode
from robot_learning.drivers.interfaces import RobotState, Target
from robot_learning.drivers.teleop.hands import Hands
from robot_learning.errors import ConfigError
from robot_learning.rig import Rig
from robot_learning.rig_parts.teleop_inputs import BASE, CHOSEN_JOINT, MOTION_WORDS, TOOL

if TYPE_CHECKING:
    from robot_learning.drivers.robots import Kinematics

_SETTLE_S = 0.5  # after this much rest, the robot has come to where it was told to be
_FASTER, _SLOWEST = 1.25, 0.05
_CAUGHT = 0.1  # a trigger has the gripper once it was so near to how far that is closed


@dataclass(frozen=True)
class Motion:
    """What one tick makes of the hands.

    Attributes:
        target: to be sent; None: nothing may be sent now.
        linear, angular: (3,) the tool's commanded velocity in the base frame [m/s], [rad/s]; zero but in mode ee.
        dead_man: whether it is held.
        note: what the operator should know, in a sentence; empty: nothing new.
    """

    target: Target | None
    linear: np.ndarray
    angular: np.ndarray
    dead_man: bool
    note: str


class Teleop:
    """Integrates what the hands ask for, from the measured pose.

    Nothing is sent before the dead-man has been closed once, or the operator has asked to take over. From then on every
    tick gives a target, for silence is a fault to the robot's watchdog: while the dead-man is open the last target, at
    rest. A stop of the gate, state that is old, or a lost device end that, until the dead-man closes anew.

    What the hands move, by mode: `ee` the tool, in the frame that the rig says; `joint` one joint, the chosen one;
    `base` the mobile base; `mixed` the joints and the base that the device's axes are mapped to, at once.

    Args:
        kinematics: of the arm, for tool motion on a rig that takes joint targets.
        motions: what the device's axes are mapped to, see `Mapping.motions`.

    Attributes:
        mode, joint: what the hands move.
        speed_scale: of the rig's teleoperation speeds.

    Raises:
        ConfigError: a mode that the rig's kind of command does not allow.
    """

    def __init__(
        self,
        rig: Rig,
        clock: Clock,
        speed_scale: float = 1.0,
        kinematics: Kinematics | None = None,
        motions: Collection[str] = (),
    ) -> None:
        self._rig, self._clock, self._kinematics = rig, clock, kinematics
        self._limits = rig.limits
        self._mixed = [name for name in rig.robot.joint_names if name in motions]
        self.mode: Mode = rig.teleop.mode
        self.joint = 0
        self.speed_scale = speed_scale
        if why_not := self._why_not(self.mode):
            raise ConfigError(why_not)
        self._course = Course(rig, kinematics)
        self._begun, self._armed, self._was_held, self._caught = False, False, False, False
        self._moving_ns, self._closed, self._approaches = 0, 0.0, False
        self._note = ""

    @property
    def moves(self) -> tuple[str, ...]:
        """What the hands move in this mode, by the names of motions and joints."""
        base = BASE if self._rig.robot.base else ()
        return {"ee": TOOL, "joint": (CHOSEN_JOINT,), "base": base, "mixed": (*self._mixed, *base)}[self.mode]

    def let_go(self, why: str, dead_man: bool = True, tell: bool = False) -> Motion:
        """Send no more until the dead-man has been open and closes anew, from the pose measured then.

        Args:
            why: for the operator, who is told where something was sent before, or where `tell` says so.
            dead_man: whether it is held, or might be.
        """
        if self._begun or tell:
            self._note = why
        self._begun, self._armed = False, not dead_man
        self._course.rest()
        return self._motion(None, dead_man)

    def tick(self, hands: Hands, state: RobotState | None, stopped: str = "") -> Motion:
        """One period.

        Args:
            state: newest measured; None: none has come yet.
            stopped: why the gate stopped; empty: it has not.
        """
        now = self._clock.now_ns()
        pressed, self._was_held = hands.dead_man and not self._was_held, hands.dead_man
        self._armed |= not hands.dead_man
        if state is None or now - state.stamp_ns > seconds_to_ns(self._limits.command_age_max_s):
            return self.let_go("the robot's state does not come: nothing is sent", hands.dead_man, pressed)
        if stopped:
            why = f"the robot is stopped: {stopped}; recover, then hold the dead-man anew"
            return self.let_go(why, hands.dead_man, pressed)
        for word in hands.words:
            self._heed(word, state)
        # Who takes over from a policy must be heard before: at rest, so that nothing moves by it.
        if not self._begun and ((hands.dead_man and self._armed) or "take_over" in hands.words):
            self._begin(state)
        if not self._begun:
            return self._motion(None, hands.dead_man)
        commanding = hands.dead_man and self._armed
        self._notice_others(state, now, moving=commanding and bool(hands.motions), taken="take_over" in hands.words)
        if self._approaches:
            self._course.approach(state, self.mode)
        else:
            self._course.accelerate(hands if commanding else Hands(), self.mode, self.joint, self.speed_scale)
        self._course.advance(state, self.mode)
        if hands.closed is not None:
            self._follow_trigger(hands.closed, commanding)
        return self._motion(self._course.target(now, self.mode, self._width), hands.dead_man)

    # Inside

    def _begin(self, state: RobotState) -> None:
        """Where the robot is, at rest."""
        self._begun, self._caught, self._approaches = True, False, False
        self._course.begin(state)
        self._width = float(state.gripper_width[0])
        self._moving_ns = self._clock.now_ns()

    def _heed(self, word: str, state: RobotState) -> None:
        limits = self._limits
        if word not in MOTION_WORDS:
            return
        if word == "gripper" and self._begun:
            middle = (limits.gripper_width_min_m + limits.gripper_width_max_m) / 2
            self._width = limits.gripper_width_min_m if self._width > middle else limits.gripper_width_max_m
            self._note = "gripper closes" if self._width < middle else "gripper opens"
        elif word == "mode":
            self._switch(state)
        elif word in ("joint_up", "joint_down") and self.mode == "joint":
            self.joint = (self.joint + (1 if word == "joint_up" else -1)) % self._rig.robot.joints
            self._note = f"joint {self.joint + 1} ({self._rig.robot.joint_names[self.joint]})"
        elif word in ("faster", "slower"):
            scale = self.speed_scale * (_FASTER if word == "faster" else 1 / _FASTER)
            self.speed_scale = min(max(scale, _SLOWEST), 1.0)
            self._note = f"speed {self.speed_scale:.0%}"

    def _follow_trigger(self, closed: float, commanding: bool) -> None:
        """The gripper follows once the trigger has met it: a finger at rest must not drop what is held."""
        low, high = self._limits.gripper_width_min_m, self._limits.gripper_width_max_m
        present = (high - self._width) / (high - low)
        met = abs(closed - present) < _CAUGHT or (self._closed - present) * (closed - present) < 0
        self._caught, self._closed = commanding and (self._caught or met), closed
        if self._caught:
            self._width = high - closed * (high - low)

    def _switch(self, state: RobotState) -> None:
        """The next mode that the rig allows, at rest where the robot is; the dead-man must be opened first."""
        if not self._course.rests:
            self._note = "let go first: what the axes move changes at rest"
            return
        modes = get_args(Mode)
        first = modes.index(self.mode) + 1
        others = [*modes[first:], *modes[: first - 1]]
        allowed = [mode for mode in others if not self._why_not(mode)]
        if not allowed:
            self._note = self._why_not(others[0])
            return
        self.mode, self._armed = allowed[0], False
        if self._begun:
            self._course.begin(state)  # the gripper goes on holding as it does
        what = {"ee": "the tool", "joint": f"joint {self.joint + 1}", "base": "the base"}
        self._note = f"the axes move {what.get(self.mode, ', '.join(self.moves))}"

    def _why_not(self, mode: Mode) -> str:
        robot = self._rig.robot
        takes_joints = robot.command == "joint_target"
        if mode != "ee" and not takes_joints:
            return f"teleop mode {mode} is for rigs with robot.command: joint_target; this one takes tools."
        if mode == "ee" and takes_joints and self._kinematics is None:
            return (
                f"teleop mode ee on a rig that takes joint targets needs the kinematics of a {robot.type}, which are "
                "not known; set teleop.mode: joint."
            )
        if mode == "base" and not robot.base:
            return "teleop mode base is for rigs with a base that drives (robot.base: true)."
        if mode == "mixed" and not self._mixed:
            return (
                "teleop mode mixed needs axes that are mapped to joints, such as teleop.gamepad.axes: "
                f"{{{robot.joint_names[0]}: right_y}}."
            )
        return ""

    def _notice_others(self, state: RobotState, now: int, moving: bool, taken: bool) -> None:
        """At rest, a robot that is not where it was told to be is held where it is.

        One that was moved by others at once; one that something keeps away, such as what it was pressed against, by
        approaching it: a jump would break the gate's limits.
        """
        rests = self._course.rests and not moving
        if taken or (rests and self._course.out_of_reach(state, self.mode)):
            self._course.begin(state)
            rests = False
        if not rests:
            self._moving_ns = now
        settled = now - self._moving_ns >= _SETTLE_S * NS_PER_S
        if settled and self._course.elsewhere(state, self.mode):
            self._approaches = True
        elif moving or taken or rests:
            self._approaches = False

    def _motion(self, target: Target | None, dead_man: bool) -> Motion:
        note, self._note = self._note, ""
        return Motion(target, *self._course.tool_velocity(), dead_man, note)
