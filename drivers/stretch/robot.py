"""A Hello Robot Stretch: targets in, states out, over any body that is one."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import replace

import numpy as np

from robot_learning.clock import NS_PER_S, Clock, seconds_to_ns
from robot_learning.drivers.grip import Grip
from robot_learning.drivers.interfaces import EeTarget, Gated, JointTarget, RobotState, Target, unseal
from robot_learning.drivers.stretch.base import BaseDrive
from robot_learning.drivers.stretch.body import GRIPPER, BodyStatus, StretchBody
from robot_learning.drivers.stretch.checks import check_model, check_rig, refusal, trouble
from robot_learning.drivers.stretch.joints import JointStream
from robot_learning.drivers.stretch.kinematics import Kinematics
from robot_learning.drivers.stretch.process import ProcessBody
from robot_learning.errors import SafetyError, UserError
from robot_learning.rig import Rig
from robot_learning.rig_parts.stretch import StretchConfig
from robot_learning.rotation import matrix_to_quaternion, matrix_to_rotation_6d, rotation_6d_to_matrix

_FIRST_STATE_S = 3.0
_SILENT_NS = seconds_to_ns(1.0)  # a body that says nothing new for so long is a fault


class StretchRobot:
    """Streams positions to lift, arm, wrist, gripper and head, and velocities to the base.

    Nothing moves unless the body started, every joint is homed, the runstop is off and no fault is latched; the
    library itself raises nothing in these cases. A fault stays until `recover`, after the operator asked for it.

    Args:
        body: None: the genuine robot, through the process of Hello Robot's library.

    Attributes:
        heard: called with each new state, in the driver's own thread.
        kinematics: for the thread that commands.
        fault: why the robot holds by itself; empty: it does not.
    """

    def __init__(self, rig: Rig, clock: Clock, body: StretchBody | None = None) -> None:
        check_rig(rig)
        self._rig, self._clock = rig, clock
        self._config = rig.stretch or StretchConfig()
        self._body: StretchBody = body or ProcessBody(rig, clock)
        self.kinematics = Kinematics.of(rig)
        self._observers = self.kinematics.twin()
        self.heard: Callable[[RobotState], None] = lambda state: None
        self.fault = ""
        self._joints = JointStream(rig)
        self._base = BaseDrive(rig.limits.base, self._config.base_timeout_s, 1 / rig.policy.rate_hz)
        self._grip = Grip(rig)
        self._heading = 0.0
        self._counts: dict[str, int] = {}
        self._seen_ns = 0  # when something new was measured, by our clock
        self._status: BodyStatus | None = None
        self._newest: RobotState | None = None
        self._lock = threading.RLock()
        self._stopping, self._wake, self._ending = threading.Event(), threading.Event(), threading.Event()
        self._thread: threading.Thread | None = None
        if hasattr(self._body, "heard"):
            self._body.heard = self._wake.set

    # Connecting

    def connect(self) -> None:
        self.open()
        self._ending.clear()
        self._thread = threading.Thread(target=self._run, name="stretch-driver", daemon=True)
        self._thread.start()

    def open(self) -> None:
        """Start the body and check that it is the rig's; for whoever calls `step` on their own.

        Raises:
            UserError: it does not start.
            SafetyError: it is not homed.
            ConfigError: it is another Stretch than the rig says, or can do less.
        """
        self._status, self._newest, self.fault = None, None, ""
        self._stopping.clear()
        try:
            if not self._body.startup():
                why = getattr(self._body, "why", "") or "stretch_body's startup() said no"
                raise UserError(
                    f"the Stretch did not start: {why}. See that it is switched on, that the runstop is out, and that "
                    "no other program uses it (stretch_free_robot_process.py ends those); stretch_system_check.py "
                    "tells more."
                )
            check_model(self._rig, self._body.model())
            if not self._body.is_homed():
                raise SafetyError(
                    "the Stretch is not homed, so that its joints' positions mean nothing; clear the space around it, "
                    f"then: python -m robot_learning.drivers.stretch.prepare home --rig {self._rig.name}"
                )
            self._seen_ns = self._clock.now_ns()
            self.step()
            if self._newest is None:
                raise UserError(f"the Stretch started but measures nothing: {self._body.status().fault or 'no state'}.")
        except BaseException:
            self._body.close()
            raise

    def disconnect(self) -> None:
        if self._newest is None:
            return
        self.stop()
        if self._thread is not None:
            self._ending.set()
            self._wake.set()
            self._thread.join()
            self._thread = None
        self.step()
        self._body.close()  # rests the base and the joints first
        self._newest = None

    def _run(self) -> None:
        period = 1 / self._rig.robot.state_rate_hz
        while not self._ending.is_set():
            self._wake.clear()
            try:
                self.step()
            except Exception as error:  # a driver that ended silently would look like a robot that stands
                self.fault = self.fault or f"the driver's thread ended by {type(error).__name__}: {error}"
                raise
            self._wake.wait(period)

    # What others ask

    def observe(self) -> RobotState:
        if self._newest is None:
            raise UserError("the Stretch is not connected.")
        return self._newest

    def jacobian(self, joint_position: np.ndarray) -> np.ndarray:
        """Of the tool, (6, J) at joints (J,), linear part first; for one thread, which need not be that of commands."""
        return self._observers.jacobian(joint_position)

    @property
    def mode(self) -> str:
        """As stretch_ros2 names them: `position` where the base stands, `navigation` where it drives, too; `homing`,
        `stowing`, `runstopped`."""
        status = self._status
        if status is not None and status.runstop:
            return "runstopped"
        if status is not None and status.busy:
            return status.busy
        return "navigation" if self._rig.robot.base else "position"

    def diagnostics(self) -> dict[str, str]:
        """What `/diagnostics` shows beside the state."""
        status = self._status
        if status is None:
            return {"mode": "not connected"}
        low = 0 < status.battery_v < self._config.low_battery_v
        return {
            "mode": self.mode,
            "homed": "yes" if self._body.is_homed() else "no",
            "runstop": "pressed" if status.runstop else "off",
            "battery": f"{status.battery_v:.1f} V" + (" (low: charge it)" if low else ""),
            "contacts": ", ".join(f"{name}: {count}" for name, count in status.contact_count.items()) or "none",
            "held_by_collision_manager": ", ".join(status.collisions) or "none",
            "collision_manager": "on" if self._config.collision_manager else "OFF",
            "base_timeouts": str(self._base.timeouts),
            "effort_percent": ", ".join(f"{name}: {value:.0f}" for name, value in status.effort.items()),
            "oldest_reading": f"{status.oldest_s * 1e3:.0f} ms",
        }

    def command(self, gated: Gated) -> Target:
        target = unseal(gated)
        with self._lock:
            status = self._status
            why = self.fault or (refusal(status, self._body.is_homed()) if status else "it is not connected")
            if why or status is None:
                raise SafetyError(f"the Stretch does not move: {why}")
            now = self._clock.now_ns()
            position = target.position if isinstance(target, JointTarget) else self._joints_for(target)
            position, motions = self._joints.to(position, status, now)
            width = self._grip.to(target.gripper_width)
            motions |= self._joints.gripper(width)
            self._body.move_to(motions)
            if isinstance(target, JointTarget) and target.base_velocity is not None:
                self._base.drive(target.base_velocity, now)
                self._tell_base()
            self._body.push()
        if isinstance(target, JointTarget):
            base = None if target.base_velocity is None else np.array(self._base.velocity)
            return replace(target, position=position, gripper_width=width, base_velocity=base)
        reached, rotation = self.kinematics.forward(position)
        return EeTarget(target.stamp_ns, reached, matrix_to_rotation_6d(rotation), width)

    def _joints_for(self, target: EeTarget) -> np.ndarray:
        start = self._joints.reference
        assert start is not None  # begun by the first step
        return self.kinematics.inverse(target.position, rotation_6d_to_matrix(target.rotation_6d), start)

    def stop(self) -> None:
        self._stopping.set()
        self._wake.set()

    def recover(self) -> None:
        """Forget a fault, and hold where the robot is now.

        Raises SafetyError, which says what to do, where its cause is still there.
        """
        with self._lock:
            status = self._body.status()
            if why := refusal(status, self._body.is_homed()) or self._old(status):
                raise SafetyError(f"the Stretch can't recover yet: {why}")
            self._counts = dict(status.contact_count)
            self.fault = ""
            self._brake(status)  # motors that a runstop let go take hold where they are

    # The driver's own turn

    def step(self) -> None:
        """Take what was measured, say it, and do what is due: the thread of `connect` does it at the state's rate."""
        with self._lock:
            state = self._take(self._body.status())
            status = self._status
            if self._stopping.is_set() and status is not None:
                self._stopping.clear()
                self._brake(status)
            if self._base.due(self._clock.now_ns()):
                self._tell_base()
            self._body.push()  # with nothing to do, it still says that the driver lives
        if state is not None:
            self.heard(state)

    def _take(self, status: BodyStatus) -> RobotState | None:
        """A new state, or None where nothing new was measured; faults are found here."""
        fresh = bool(status.position) and (self._status is None or status.stamp_ns > self._status.stamp_ns)
        if fresh:
            self._seen_ns = self._clock.now_ns()
        if status.position:
            if self._status is None:
                self._counts = dict(status.contact_count)
                self._joints.hold(status)
                limits = self._rig.limits
                self._grip.width = min(
                    max(status.position[GRIPPER], limits.gripper_width_min_m), limits.gripper_width_max_m
                )
            self._status = status
        found = trouble(status, self._counts) or refusal(status, self._body.is_homed()) or self._old(status)
        if found and not self.fault:
            self.fault = found
            self._stopping.set()
        if not fresh:
            return None
        self._newest = self._state(status)
        return self._newest

    def _old(self, status: BodyStatus) -> str:
        silent = self._clock.now_ns() - self._seen_ns
        if silent <= _SILENT_NS:
            return ""
        return f"nothing new was measured for {silent / NS_PER_S:.1f} s; see that its USB devices are there."

    def _state(self, status: BodyStatus) -> RobotState:
        names = self._rig.robot.joint_names
        q = np.array([status.position[name] for name in names], dtype=np.float64)
        position, rotation = self._observers.forward(q)
        base = status.base_pose.copy()
        # The library's heading is between 0 and a full turn; ours goes on, for whoever reads between two states.
        base[2] = self._heading = self._heading + (base[2] - self._heading + np.pi) % (2 * np.pi) - np.pi
        return RobotState(
            stamp_ns=status.stamp_ns,
            joint_position=q,
            joint_velocity=np.array([status.velocity[name] for name in names], dtype=np.float64),
            joint_effort=None,
            ee_position=position,
            ee_orientation=matrix_to_quaternion(rotation),
            gripper_width=np.array([max(status.position[GRIPPER], 0.0)]),  # below zero it squeezes itself
            desired_position=self._joints.desired(),
            base_pose=base if self._rig.robot.base else None,
            base_velocity=status.base_velocity if self._rig.robot.base else None,
        )

    def _brake(self, status: BodyStatus) -> None:
        """Joints to rest over the rig's deceleration time, base to rest with its own; the gripper keeps its grip."""
        motions = self._joints.brake(status)
        if not status.runstop:  # which let the motors go: nothing shall wait for them to come back
            self._body.move_to(motions)
        self._base.rest(self._clock.now_ns())
        self._tell_base()

    def _tell_base(self) -> None:
        if self._rig.limits.base is not None:
            forward, turn = self._base.velocity
            self._body.set_base_velocity(forward, turn, self._rig.limits.base.acceleration_max_m_s2)
