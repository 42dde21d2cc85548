"""A fake Robot that starts without hardware and writes every command to the file FAKE_STRETCH_LOG.

FAKE_STRETCH holds words: `dead` does not start, `lost` is not homed, `exits` ends the process as the library does
where it finds no parameters, `slow` homes for a minute, `taken` is in another process's hands. While the file
FAKE_STRETCH_RUNSTOP is there, the runstop is on.
"""

import json
import os
import sys
import time
from types import SimpleNamespace

WORDS = os.environ.get("FAKE_STRETCH", "").split()
MOTION = {"max": {"vel_m": 0.4, "accel_m": 0.4, "vel": 6.0, "accel": 14.0}}
FREE = {"pos": False, "neg": False}


def log(**line):
    with open(os.environ["FAKE_STRETCH_LOG"], "a") as file:
        file.write(json.dumps({"at": time.monotonic(), **line}) + "\n")


class FakeMotor:
    """What the worker asks of a stepper; its firmware's time goes on by itself."""

    hw_valid = True

    @property
    def status(self):
        return {
            "timestamp": time.monotonic(), "effort_pct": 5.0, "in_guarded_event": False, "guarded_event": 0,
            "pos_calibrated": 1,
        }  # fmt: skip

    def enable_safety(self):
        log(call="enable_safety")


class FakeJoint:
    """Lift, arm or a servo: at once where it is told to be."""

    hw_valid, pct_max_open = True, 200.0
    gripper_conversion = SimpleNamespace(
        robotis_to_aperture_slope=0.1 / 100, robotis_to_aperture=lambda p: p / 1000,
        aperture_to_robotis=lambda m: m * 1000,
    )  # fmt: skip

    def __init__(self, name, low, high):
        self.name, self.motor, self.in_collision_stop = name, FakeMotor(), FREE
        self.params = {"range_m": [low, high], "motion": MOTION}
        self.soft_motion_limits = {"hard": [low, high]}
        self.at = 0.3 if name == "lift" else 0.0

    def pct_to_world_rad(self, percent):
        return percent / 100

    @property
    def status(self):
        return {
            "pos": self.at, "vel": 0.0, "effort": 1.0, "timestamp_pc": time.time(), "hardware_error": 0,
            "gripper_conversion": {"aperture_m": self.at / 1000},
        }  # fmt: skip

    def move_to(self, x, v=None, a=None, contact_thresh_pos=None, contact_thresh_neg=None):
        self.at = x
        log(call="move", joint=self.name, x=x, v=v, a=a, guard=[contact_thresh_neg, contact_thresh_pos])

    def quick_stop(self):
        log(call="quick_stop", joint=self.name)


class FakeChain:
    def __init__(self, **motors):
        self.motors = {name: FakeJoint(name, *span) for name, span in motors.items()}

    def move_to(self, name, x, v=None, a=None):
        self.motors[name].move_to(x, v, a)


class FakeBase:
    params = {"motion": MOTION, "wheel_separation_m": 0.3}

    def __init__(self):
        self.left_wheel, self.right_wheel = FakeMotor(), FakeMotor()
        self.status = {"x": 0.0, "y": 0.0, "theta": 0.0, "x_vel": 0.0, "theta_vel": 0.0}

    def set_velocity(self, v, w, a=None):
        self.status |= {"x_vel": v, "theta_vel": w}
        log(call="base", v=v, w=w, a=a)


class FakePimu:
    hw_valid = True

    @property
    def status(self):
        return {"runstop_event": os.path.exists(os.environ.get("FAKE_STRETCH_RUNSTOP", "")), "voltage": 12.5}


class Robot:
    """The fake of stretch_body.robot.Robot."""

    def __init__(self):
        if "exits" in WORDS:
            print("Calibration directory missing. Please contact Hello Robot Support")
            sys.exit(1)
        self.params = {"model_name": "SE3", "rates": {"NonDXLStatusThread_Hz": 25.0}, "use_collision_manager": 0}
        self.eoa_name = "eoa_wrist_dw3_tool_sg3"
        self.lift, self.arm, self.base = FakeJoint("lift", 0.0, 1.1), FakeJoint("arm", 0.0, 0.52), FakeBase()
        self.head = FakeChain(head_pan=(-3.9, 1.9), head_tilt=(-1.7, 0.4))
        self.end_of_arm = FakeChain(
            wrist_yaw=(-1.4, 4.5), wrist_pitch=(-1.57, 0.45), wrist_roll=(-2.9, 2.9), stretch_gripper=(-100, 200)
        )
        self.pimu = FakePimu()
        self.wacc = SimpleNamespace(hw_valid=True)
        self.collision = SimpleNamespace(stop=lambda: log(call="collision_stop"))
        self.homed = "lost" not in WORDS
        self._file_lock = SimpleNamespace(is_locked="taken" not in WORDS)

    def startup(self):
        log(call="startup", collision_manager=self.params["use_collision_manager"], pid=os.getpid())
        if "taken" in WORDS:
            return False
        if "dead" in WORDS:
            self.lift.motor.hw_valid = False
            print("Ping failed")
            return False
        return True

    def is_homed(self):
        return self.homed

    def home(self):
        log(call="home")
        time.sleep(0.5 if "slow" not in WORDS else 60)
        self.homed = True

    def stow(self):
        log(call="stow")
        raise RuntimeError("the arm is stuck")

    def push_command(self):
        log(call="push")

    def stop(self):
        log(call="stop")
