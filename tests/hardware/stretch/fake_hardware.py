"""Fake devices beneath Hello Robot's genuine library: `python fake_hardware.py worker.py` runs the driver's process.

Everything above the devices is genuine: Robot.startup() with its threads, sentries and collision manager, homing flags,
limits, contact models, conversions, odometry. Each fake motor follows its trapezoidal profile exactly. While the file
FAKE_RUNSTOP is there, the runstop is on, and motors stand and forget what they were told, as in their safety mode. Once
the file FAKE_CONTACT is there, the lift has met its guard.
"""

import math
import os
import runpy
import sys
import time

import stretch_body.dynamixel_hello_XL430 as servos
import stretch_body.dynamixel_X_chain as chains
import stretch_body.pimu as pimus
import stretch_body.stepper as steppers
import stretch_body.wacc as waccs

STEP_S = 0.001
# A Dynamixel's units in its ticks, 4096 a turn: 0.229 rev/min, 214.577 rev/min^2 (ROBOTIS' e-manual of the XL430).
SPEED, ACCELERATION = 0.229 / 60 * 4096, 214.577 / 3600 * 4096
BOARD = {"protocol_version": "p0", "firmware_version": "Fake.v0.0.0p0", "hardware_id": 2, "board_variant": "Fake.2"}
POSITION_MODES = (steppers.StepperBase.MODE_POS_TRAJ,)
VELOCITY_MODES = (steppers.StepperBase.MODE_VEL_TRAJ, steppers.StepperBase.MODE_VEL_PID)


def runstopped():
    return os.path.exists(os.environ.get("FAKE_RUNSTOP", ""))


class FakeAxis:
    """One motor: a profile's end or a velocity, and time that passes."""

    def __init__(self, at=0.0):
        self.at, self.v, self.end, self.speed, self.acceleration, self.wanted = at, 0.0, at, 1.0, 1.0, None
        self.time_s = time.monotonic()

    def to(self, end, speed, acceleration):
        self.advance()
        self.end, self.speed, self.acceleration, self.wanted = end, abs(speed), abs(acceleration), None

    def drive(self, velocity):
        self.advance()
        self.wanted = velocity

    def stand(self):
        self.end, self.v, self.wanted = self.at, 0.0, None

    def advance(self):
        now = time.monotonic()
        while self.time_s + STEP_S <= now:
            self.time_s += STEP_S
            if runstopped():
                self.stand()
                self.time_s = now
            elif self.wanted is not None:
                self.v = self.wanted
            else:
                left, change = self.end - self.at, self.acceleration * STEP_S
                most = min(self.speed, math.sqrt(2 * self.acceleration * abs(left)), abs(left) / STEP_S)
                self.v += max(-change, min(change, math.copysign(most, left) - self.v))
            self.at += self.v * STEP_S


def stepper_startup(self, threaded=False):
    self.hw_valid, self.board_info = True, dict(BOARD)
    radians_per_metre = {"hello-motor-lift": 2 * math.pi / 0.06, "hello-motor-arm": 2 * math.pi / (0.167 / 3.875)}
    start = {"hello-motor-lift": 0.6, "hello-motor-arm": 0.2}.get(self.name, 0.0)
    self.fake = FakeAxis(start * radians_per_metre.get(self.name, 0.0))
    self.status["pos_calibrated"] = int("unhomed" not in os.environ.get("FAKE_WORDS", ""))
    steppers.StepperBase.pull_status(self)
    return True


def stepper_pull(self, exiting=False):
    if self.hw_valid:
        self.fake.advance()
        touched = self.name == "hello-motor-lift" and os.path.exists(os.environ.get("FAKE_CONTACT", ""))
        self.status.update(
            pos=self.fake.at, vel=self.fake.v, timestamp=time.monotonic(), effort_pct=3.0, mode=self._command["mode"],
            near_pos_setpoint=abs(self.fake.end - self.fake.at) < 0.1, is_moving=abs(self.fake.v) > 1e-3,
            guarded_event=int(touched), in_guarded_event=touched,
        )  # fmt: skip


def stepper_push(self, exiting=False):
    if self.hw_valid and self._dirty_command:
        self._dirty_command = False
        command = self._command
        if command["mode"] in POSITION_MODES:
            self.fake.to(command["x_des"], command["v_des"], command["a_des"])
        elif command["mode"] in VELOCITY_MODES:
            self.fake.drive(command["v_des"])
        else:
            self.fake.advance()
            self.fake.stand()


class FakeServo:
    """A Dynamixel's own driver; positions in its ticks. What nobody asks the fake to do, it does not do."""

    dxl_model_name, last_comm_success, comm_errors, hw_valid = "XM540-W270", True, 0, True

    def __init__(self, dxl_id, **_):
        self.dxl_id, self.fake, self.speed, self.acceleration = dxl_id, None, 500.0, 2000.0

    def __getattr__(self, name):
        if name.startswith("__"):
            raise AttributeError(name)
        return lambda *_: 0

    def do_ping(self, verbose=False):
        return True

    def is_calibrated(self):
        return True

    def go_to_pos(self, ticks):
        self.fake.to(ticks, self.speed, self.acceleration)

    def set_profile_velocity(self, ticks):
        self.speed = ticks * SPEED

    def set_profile_acceleration(self, ticks):
        self.acceleration = ticks * ACCELERATION

    def enable_torque(self):
        self.fake.advance()
        self.fake.stand()

    def disable_torque(self):
        if self.fake:
            self.fake.advance()
            self.fake.stand()

    def get_pos(self):
        self.fake.advance()
        return round(self.fake.at)

    def get_vel(self):
        return round(self.fake.v / SPEED)


def chain_startup(self, threaded=False):
    self.hw_valid, self.port_handler = True, FakeServo(0)
    for name, motor in self.motors.items():
        motor.motor.fake = FakeAxis(float(motor.world_rad_to_ticks(0.0)))
        if name == "stretch_gripper":
            motor.motor.fake = FakeAxis(float(motor.world_rad_to_ticks(motor.pct_to_world_rad(40.0))))
        motor.startup(threaded=False)
        self.status[name] = motor.status
    return True


def chain_pull(self):
    for motor in self.motors.values() if self.hw_valid else ():
        motor.pull_status()


def board_startup(self, threaded=False):
    self.hw_valid, self.board_info, self.config = True, dict(BOARD), self.params["config"]
    return True


def pimu_pull(self, exiting=False):
    self.status.update(voltage=12.6, runstop_event=runstopped(), timestamp=time.monotonic())


def nothing(self, *_, **__):
    return None


def stop_board(self):
    self.hw_valid = False


for owner in (steppers.StepperBase, steppers.Stepper):
    owner.startup, owner.pull_status, owner.push_command = stepper_startup, stepper_pull, stepper_push
    owner.set_motion_limits = nothing
    owner.stop = stop_board
servos.DynamixelXL430 = FakeServo
chains.DynamixelXChain.startup, chains.DynamixelXChain.pull_status = chain_startup, chain_pull
for module, names in ((pimus, ("PimuBase", "Pimu")), (waccs, ("WaccBase", "Wacc"))):
    for name in names:
        owner = getattr(module, name)
        owner.startup, owner.push_command, owner.stop = board_startup, nothing, stop_board
        owner.pull_status = pimu_pull if module is pimus else nothing
pimus.PimuBase.trigger_motor_sync = pimus.Pimu.trigger_motor_sync = nothing

if __name__ == "__main__":
    runpy.run_path(sys.argv[1], run_name="__main__")
