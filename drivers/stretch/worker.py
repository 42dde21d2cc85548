"""The process that holds Hello Robot's library: a script for a Python that has stretch_body, NumPy and nothing of ours.

It hears and says lines of JSON over its standard input and output. First it hears `startup` with its settings; then
`move` (joints and base, which also says that the driver lives), `prepare` (home or stow) and `close`. It says `failed`
or `started` once, `status` at the asked rate, and `prepared`. Where the driver falls silent or dies, the base comes to
rest, the joints hold, and the process ends; the robot's own firmware then keeps them where they are.
"""

from __future__ import annotations

import contextlib
import json
import os
import select
import signal
import threading
import time
import traceback
from typing import Any

# Names as stretch_ros2 has them, and stretch_body's.
STEPPERS = {"joint_lift": "lift", "wrist_extension": "arm"}
WRIST = {"joint_wrist_yaw": "wrist_yaw", "joint_wrist_pitch": "wrist_pitch", "joint_wrist_roll": "wrist_roll"}
HEAD = {"joint_head_pan": "head_pan", "joint_head_tilt": "head_tilt"}
GRIPPER, SERVO = "gripper_width", "stretch_gripper"
STATUS_RATE_MAX_HZ = 30.0  # as stretch_ros2 reads the robot; the library's own default is 25
_TICK_S = 0.02  # between two values of the base's velocity while it comes to rest
_LOOK = 0.1  # of a period: how often to look for something new


def held_back(servo: Any) -> bool:
    """Whether the library keeps a servo from one direction, by its collision manager or a rule of its tool."""
    override = getattr(servo, "forced_collision_stop_override", {})
    return any(servo.in_collision_stop.values()) or any(override.values())


class Stretch:
    """Hello Robot's `Robot` in the driver's units. Its one check is that nothing moves before startup and homing.

    Args:
        robot: not yet started.
        rate_hz: how often its state is wanted.
    """

    def __init__(self, robot: Any, rate_hz: float) -> None:
        self.robot = robot
        rates = robot.params["rates"]
        rates["NonDXLStatusThread_Hz"] = max(rates["NonDXLStatusThread_Hz"], min(rate_hz, STATUS_RATE_MAX_HZ))
        self.started = self.moved = False
        self.base = (0.0, 0.0)
        self._seen: tuple[Any, ...] = ()
        self._stamp_s = 0.0

    def servos(self) -> dict[str, Any]:
        """The Dynamixels that move joints, by our names."""
        ends, head = self.robot.end_of_arm.motors, self.robot.head.motors
        found = {name: ends[own] for name, own in WRIST.items() if own in ends}
        return found | {name: head[own] for name, own in HEAD.items() if own in head}

    def gripper(self) -> Any:
        """The gripper's Dynamixel, or None."""
        return self.robot.end_of_arm.motors.get(SERVO)

    def missing(self) -> list[str]:
        """Devices that don't answer."""
        robot = self.robot
        devices = {
            "pimu": robot.pimu, "wacc": robot.wacc, "lift": robot.lift.motor, "arm": robot.arm.motor,
            "left wheel": robot.base.left_wheel, "right wheel": robot.base.right_wheel,
            **robot.head.motors, **robot.end_of_arm.motors,
        }  # fmt: skip
        return [name for name, device in devices.items() if not device.hw_valid]

    def startup(self, collision_manager: bool) -> bool:
        """The library's startup; its watch for collisions is switched on here, for it is off by default."""
        self.robot.params["use_collision_manager"] = int(collision_manager)
        self.started = bool(self.robot.startup())
        return self.started

    def why_not(self) -> str:
        """Why startup() said no."""
        if not self.robot._file_lock.is_locked:
            return "another process uses this Stretch"
        return f"startup() said no; not answering: {', '.join(self.missing()) or 'nothing'}"

    def ready(self) -> bool:
        """Whether motions may be asked for: the library raises nothing where they may not."""
        return self.started and bool(self.robot.is_homed())

    def model(self) -> dict[str, Any]:
        """What the robot's own parameters say of it."""
        robot, joints = self.robot, {}
        for name, own in STEPPERS.items():
            part = getattr(robot, own)
            most = part.params["motion"]["max"]
            joints[name] = [*part.params["range_m"], most["vel_m"], most["accel_m"]]
        for name, servo in self.servos().items():
            most = servo.params["motion"]["max"]
            joints[name] = [*servo.soft_motion_limits["hard"], most["vel"], most["accel"]]
        if (gripper := self.gripper()) is not None:
            most, metre_per_rad = gripper.params["motion"]["max"], 1 / self._rad_per_metre()
            low, high = (gripper.gripper_conversion.robotis_to_aperture(p) for p in (-100.0, gripper.pct_max_open))
            joints[GRIPPER] = [low, high, most["vel"] * metre_per_rad, most["accel"] * metre_per_rad]
        base = robot.base.params
        return {
            "name": robot.params["model_name"],
            "tool": robot.eoa_name,
            "joints": joints,
            "base": [base["motion"]["max"]["vel_m"], base["motion"]["max"]["accel_m"], base["wheel_separation_m"]],
            "rate_hz": robot.params["rates"]["NonDXLStatusThread_Hz"],
        }

    def _rad_per_metre(self) -> float:
        """How far the gripper's servo turns for a metre of opening."""
        gripper = self.gripper()
        turn = gripper.pct_to_world_rad(1.0) - gripper.pct_to_world_rad(0.0)
        return abs(float(turn / gripper.gripper_conversion.robotis_to_aperture_slope))

    # Motions

    def move(self, joints: dict[str, list[Any]], base: list[float] | None) -> None:
        """Joints to [position, velocity, acceleration, guard or None], base to [forward, turn, acceleration]."""
        if not self.ready():
            return
        self.moved = True
        for name, (x, v, a, guard) in joints.items():
            if name in STEPPERS:
                low, high = guard or (None, None)
                part = getattr(self.robot, STEPPERS[name])
                part.move_to(x, v, a, contact_thresh_pos=high, contact_thresh_neg=low)
            elif name == GRIPPER:
                percent, turn = self.gripper().gripper_conversion.aperture_to_robotis(x), self._rad_per_metre()
                self.robot.end_of_arm.move_to(SERVO, percent, v * turn, a * turn)
            else:
                chain, own = (self.robot.head, HEAD[name]) if name in HEAD else (self.robot.end_of_arm, WRIST[name])
                chain.move_to(own, x, v, a)
        if base is not None:
            self.robot.base.set_velocity(base[0], base[1], a=base[2])
            self.base = (base[0], base[1])
        self.robot.push_command()

    def rest(self, seconds: float, acceleration: float) -> None:
        """Slow down over `seconds`, the base with its acceleration [m/s^2], and hold. Takes as long as that."""
        if not self.moved or not self.ready():
            return
        positions, velocities = self.joints()
        motions = {}
        for name, v in velocities.items():
            # Where constant deceleration ends; a profile with that speed and deceleration needs just this long.
            speed = max(abs(v), 1e-3)
            motions[name] = [positions[name] + v * seconds / 2, speed, speed / seconds, None]
        self.move(motions, None)
        forward, turn = self.base
        reach = max(abs(forward) + abs(turn) * self.robot.base.params["wheel_separation_m"] / 2, 1e-9)
        ticks = int(reach / acceleration / _TICK_S) + 1
        for k in range(ticks - 1, -1, -1):
            self.move({}, [forward * k / ticks, turn * k / ticks, acceleration])
            time.sleep(_TICK_S)
        time.sleep(max(0.0, seconds - ticks * _TICK_S))

    def freeze(self) -> None:
        """In the midst of homing or stowing: motors to the firmware's own safe state."""
        for motor in (self.robot.lift.motor, self.robot.arm.motor):
            motor.enable_safety()
        self.robot.push_command()
        for servo in self.servos().values():
            servo.quick_stop()

    # State

    def joints(self) -> tuple[dict[str, float], dict[str, float]]:
        """Positions and velocities by our names, of lift, arm, wrist and head."""
        parts = {name: getattr(self.robot, own) for name, own in STEPPERS.items()} | self.servos()
        return (
            {name: float(part.status["pos"]) for name, part in parts.items()},
            {name: float(part.status["vel"]) for name, part in parts.items()},
        )

    def steppers(self) -> dict[str, Any]:
        """The motors that have a guard, by what they move."""
        robot = self.robot
        return {
            "joint_lift": robot.lift.motor, "wrist_extension": robot.arm.motor,
            "base (left)": robot.base.left_wheel, "base (right)": robot.base.right_wheel,
        }  # fmt: skip

    def fresh(self) -> bool:
        """Whether lift, arm and base were all read anew since this was last asked.

        The library stamps a pull even where the device answered nothing; the firmware's own time tells.
        """
        ticks = tuple(motor.status["timestamp"] for motor in self.steppers().values())
        if any(new == old for new, old in zip(ticks, self._seen or (None,) * len(ticks), strict=True)):
            return False
        self._seen, self._stamp_s = ticks, float(self.robot.lift.status["timestamp_pc"])
        return True

    def status(self) -> dict[str, Any]:
        """All that the driver needs to know now."""
        robot, servos, gripper = self.robot, self.servos(), self.gripper()
        positions, velocities = self.joints()
        efforts = {name: float(getattr(robot, own).motor.status["effort_pct"]) for name, own in STEPPERS.items()}
        efforts |= {name: float(servo.status["effort"]) for name, servo in servos.items()}
        if gripper is not None:
            converted = gripper.status["gripper_conversion"]
            positions[GRIPPER] = float(converted["aperture_m"])
            velocities[GRIPPER] = float(gripper.status["vel"]) / self._rad_per_metre()
            servos = servos | {GRIPPER: gripper}
        steppers = self.steppers()
        self.fresh()
        now = time.time()
        errors = [name for name, servo in servos.items() if servo.status["hardware_error"]]
        gone = self.missing()
        base = robot.base.status
        collisions = [name for name, own in STEPPERS.items() if any(getattr(robot, own).in_collision_stop.values())]
        collisions += [name for name, servo in servos.items() if held_back(servo)]
        fault = f"{', '.join(gone)} does not answer" if gone else ""
        if errors and not fault:
            fault = f"the servo of {', '.join(errors)} reports a hardware error (too hot, overloaded or low voltage)"
        return {
            "age_s": now - self._stamp_s if self._stamp_s else 1e9,
            "oldest_s": now - min(float(servo.status["timestamp_pc"]) for servo in servos.values()),
            "position": positions,
            "velocity": velocities,
            "effort": efforts,
            "base": [base["x"], base["y"], base["theta"], base["x_vel"], base["theta_vel"]],
            "runstop": bool(robot.pimu.status["runstop_event"]),
            "homed": bool(robot.is_homed()),
            "contacts": [name for name, motor in steppers.items() if motor.status["in_guarded_event"]],
            "contact_count": {name: int(motor.status["guarded_event"]) for name, motor in steppers.items()},
            "collisions": collisions,
            "battery_v": float(robot.pimu.status["voltage"]),
            "fault": fault,
        }


class Session:
    """One driver's time with the robot."""

    def __init__(self, stretch: Stretch, settings: dict[str, Any], out: int) -> None:
        self._stretch, self._settings, self._out = stretch, settings, out
        self._buffer = b""
        self._preparing: threading.Thread | None = None
        self._busy = ""
        self._lock = threading.Lock()
        self.ending = ""

    def say(self, **line: Any) -> None:
        """One line to the driver; where nobody reads any more, the session ends."""
        with self._lock:
            try:
                os.write(self._out, json.dumps(line).encode() + b"\n")
            except OSError:
                self.ending = "driver died"

    def run(self) -> None:
        """Until the driver closes, falls silent or dies."""
        period = 1 / self._settings["rate_hz"]
        look = said = heard = time.monotonic()
        while not self.ending:
            readable, _, _ = select.select([0], [], [], max(0.0, look - time.monotonic()))
            now = time.monotonic()
            if readable:
                heard = now
                self._hear()
            if now - heard > self._settings["silence_s"]:
                self.ending = "driver silent"
            if now < look:
                continue
            look = now + period * _LOOK
            new = now - said > period * (1 - 3 * _LOOK) and self._stretch.fresh()
            if new or now - said > 2 * period:  # what is old is said, too: its age tells
                said = now
                self.say(say="status", busy=self._busy, mono_ns=time.monotonic_ns(), **self._stretch.status())

    def _hear(self) -> None:
        data = os.read(0, 1 << 16)
        if not data:
            self.ending = "driver died"
        *lines, self._buffer = (self._buffer + data).split(b"\n")
        orders = [json.loads(line) for line in lines]
        moves = [order for order in orders if order["do"] == "move"]
        if len(moves) > 1:  # behind: all but the newest word on each joint is history
            joints = {name: value for move in moves for name, value in move["joints"].items()}
            bases = [move["base"] for move in moves if move["base"] is not None]
            moves = [{"joints": joints, "base": bases[-1] if bases else None}]
        for move in moves:
            if not self._busy and (move["joints"] or move["base"] is not None):
                self._stretch.move(move["joints"], move["base"])
        for order in orders:
            if order["do"] == "close":
                self.ending = "closed"
            elif order["do"] == "prepare" and not self._busy:
                self._busy = {"home": "homing", "stow": "stowing"}[order["what"]]
                self._preparing = threading.Thread(target=self._prepare, args=(order["what"],), daemon=True)
                self._preparing.start()

    def _prepare(self, what: str) -> None:
        error = ""
        try:
            (self._stretch.robot.home if what == "home" else self._stretch.robot.stow)()
        except Exception as failure:  # whatever the library raises, the driver shall hear of it
            error = f"{type(failure).__name__}: {failure}"
        self._busy = ""
        self.say(say="prepared", what=what, homed=bool(self._stretch.robot.is_homed()), error=error)

    def finish(self) -> None:
        """Come to rest. Where the driver closed in good order, so does the library; else the joints stay powered."""
        stretch = self._stretch
        with contextlib.suppress(Exception):
            if self._busy:
                stretch.freeze()
            else:
                stretch.rest(self._settings["deceleration_time_s"], self._settings["base_acceleration"])
        with contextlib.suppress(Exception):
            stretch.robot.collision.stop()
            if self.ending == "closed" or not stretch.started:
                stretch.robot.stop()


def first_line() -> bytes:
    """The settings; read by the byte, for a buffer would swallow what comes behind."""
    line = b""
    while not line.endswith(b"\n"):
        byte = os.read(0, 1)
        if not byte:
            os._exit(0)  # the driver ended before it said anything
        line += byte
    return line


def main() -> None:
    """Wait for the settings, open the robot, serve the driver."""
    out = os.dup(1)
    os.dup2(2, 1)  # the library prints
    settings = json.loads(first_line())
    stretch = session = None
    why = ""
    try:
        import stretch_body.robot  # type: ignore[import-not-found]

        stretch = Stretch(stretch_body.robot.Robot(), settings["rate_hz"])
        session = Session(stretch, settings, out)
        session.say(say="model", **stretch.model())
        if not stretch.startup(settings["collision_manager"]):
            why = stretch.why_not()
    except SystemExit:
        why = "the library ended the process while it read its parameters"
    except Exception as failure:  # a driver that gets no answer is worse than one that gets any
        traceback.print_exc()
        why = f"{type(failure).__name__}: {failure}"
    if stretch is None or session is None or why:
        os.write(out, json.dumps({"say": "failed", "why": why}).encode() + b"\n")
        if session is not None:
            session.finish()
        os._exit(1)
    for number in (signal.SIGTERM, signal.SIGINT):  # the library's own handlers raise where nobody expects it
        signal.signal(number, lambda *_: setattr(session, "ending", "ended by a signal"))
    session.say(say="started", homed=bool(stretch.robot.is_homed()))
    try:
        session.run()
    except Exception:  # a port that vanished, say: the driver reads this as the reason of our end
        traceback.print_exc()
        session.ending = "failed"
    session.finish()
    os._exit(session.ending == "failed")  # threads of the library may still hold a port


if __name__ == "__main__":
    main()
