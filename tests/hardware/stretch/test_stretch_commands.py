"""What our orders become within Hello Robot's genuine library: its own conversions, limits and contact models.

The devices themselves can't be had: the steppers' commands are read before they would be sent, and behind each
servo's driver stands a fake that notes its goals.
"""

import math

import pytest

READY = """
import json, os
import stretch_body.robot, worker

class FakeServo:
    def __init__(self):
        self.told = {}
    def __getattr__(self, name):
        return lambda *values: self.told.__setitem__(name, values[0] if values else True)

robot = stretch_body.robot.Robot()
for part in (robot.lift, robot.arm):
    part.motor.status["pos_calibrated"] = 1
servos = robot.head.motors | robot.end_of_arm.motors
for servo in servos.values():
    servo.motor, servo.hw_valid, servo.is_calibrated = FakeServo(), True, True
stretch = worker.Stretch(robot, 25.0)
stretch.started = True
pushes = []
robot.push_command = lambda: pushes.append(1)
report = {}
def commands(**motors):
    return {name: dict(motor._command) for name, motor in motors.items()}
"""
TELL = "\nimport sys; sys.stdout.flush(); print(json.dumps(report), flush=True); os._exit(0)"


@pytest.fixture
def ready(inside, fleet):
    return lambda code: inside(READY + code + TELL, fleet)


def test_lift_and_arm_get_position_speed_acceleration_and_guard_in_their_motors_units(ready):
    report = ready("""
stretch.move({"joint_lift": [0.5, 0.1, 0.2, [-10, 40]], "wrist_extension": [0.2, 0.3, 0.35, None]}, None)
report = commands(lift=robot.lift.motor, arm=robot.arm.motor)
report["rad_per_m"] = [robot.lift.translate_m_to_motor_rad(1.0), robot.arm.translate_m_to_motor_rad(1.0)]
report["guard"] = [robot.lift.motor.effort_pct_to_current(e) for e in (-10, 40)]
report["own"] = [robot.arm.motor.effort_pct_to_current(e) for e in (-55, 55)]
report["modes"] = [robot.lift.motor.MODE_POS_TRAJ, robot.base.left_wheel._command["mode"]]
report["pushes"] = len(pushes)
""")
    lift, arm = report["lift"], report["arm"]
    per_m = report["rad_per_m"]
    assert per_m[0] == pytest.approx(2 * math.pi / (12 * 0.005))  # twelve teeth of 5 mm a turn
    assert [lift[key] for key in ("x_des", "v_des", "a_des")] == pytest.approx([x * per_m[0] for x in (0.5, 0.1, 0.2)])
    assert [arm[key] for key in ("x_des", "v_des", "a_des")] == pytest.approx([x * per_m[1] for x in (0.2, 0.3, 0.35)])
    assert [lift["i_contact_neg"], lift["i_contact_pos"]] == pytest.approx(report["guard"])
    assert [arm["i_contact_neg"], arm["i_contact_pos"]] == pytest.approx(report["own"])
    assert lift["mode"] == arm["mode"] == report["modes"][0]
    assert report["modes"][1] == 0  # the base was told nothing
    assert report["pushes"] == 1


def test_the_library_keeps_motions_within_its_own_limits(ready):
    report = ready("""
stretch.move({"joint_lift": [1.4, 5.0, 5.0, None], "joint_wrist_pitch": [2.0, 50.0, 50.0, None]}, None)
report = {"lift": robot.lift.motor._command["x_des"] / robot.lift.translate_m_to_motor_rad(1.0),
          "v": robot.lift.motor._command["v_des"] / robot.lift.translate_m_to_motor_rad(1.0),
          "pitch": servos["wrist_pitch"].motor.told, "range": servos["wrist_pitch"].params["range_t"]}
""")
    assert report["lift"] == pytest.approx(1.1)
    assert report["v"] == pytest.approx(0.15)
    assert report["range"][0] <= report["pitch"]["go_to_pos"] <= report["range"][1]


def test_wrist_head_and_gripper_get_their_goals(ready):
    report = ready("""
stretch.move({"joint_wrist_yaw": [0.5, 1.0, 3.0, None], "joint_head_tilt": [-0.4, 1.0, 3.0, None],
              "gripper_width": [0.045, 0.1, 0.4, None]}, None)
report = {name: servo.world_rad_to_ticks(x) - servo.motor.told["go_to_pos"]
          for name, servo, x in (("yaw", servos["wrist_yaw"], 0.5), ("tilt", servos["head_tilt"], -0.4),
                                 ("grip", servos["stretch_gripper"], servos["stretch_gripper"].pct_to_world_rad(35.0)))}
report["told"] = sorted(servos["wrist_yaw"].motor.told)
report["untouched"] = servos["wrist_roll"].motor.told
""")
    assert report["yaw"] == report["tilt"] == 0
    assert abs(report["grip"]) <= 1  # 4.5 cm is 35 of its per cent: half of 70, where it is open
    assert {"set_profile_velocity", "set_profile_acceleration"} <= set(report["told"])
    assert report["untouched"] == {}


def test_the_opening_comes_back_as_it_was_asked_for(ready):
    report = ready("""
gripper = stretch.gripper()
gripper.status["pos"] = gripper.pct_to_world_rad(35.0)
gripper.status["pos_pct"] = gripper.world_rad_to_pct(gripper.status["pos"])
gripper.status["gripper_conversion"] = gripper.gripper_conversion.get_status(gripper.status)
report = stretch.status()
""")
    assert report["position"]["gripper_width"] == pytest.approx(0.045, abs=1e-4)
    assert set(report["position"]) == set(report["velocity"])
    assert len(report["position"]) == 8
    assert "lift" in report["fault"]  # here no stepper answers
    assert report["runstop"] is False


def test_forward_and_turning_become_the_two_wheels_speeds(ready):
    report = ready("""
stretch.move({}, [0.1, 0.4, 0.2])
report = commands(left=robot.base.left_wheel, right=robot.base.right_wheel)
report["rad_per_m"] = robot.base.translate_to_motor_rad(1.0)
report["separation"] = robot.base.params["wheel_separation_m"]
""")
    half = 0.4 * report["separation"] / 2
    assert report["left"]["v_des"] / report["rad_per_m"] == pytest.approx(0.1 - half)
    assert report["right"]["v_des"] / report["rad_per_m"] == pytest.approx(0.1 + half)


def test_one_joint_that_is_not_homed_keeps_all_from_moving(ready):
    report = ready("""
servos["wrist_yaw"].is_calibrated = False
before = commands(lift=robot.lift.motor, left=robot.base.left_wheel)
stretch.move({"joint_lift": [0.5, 0.1, 0.2, None], "joint_wrist_roll": [0.5, 1, 1, None]}, [0.1, 0, 0.1])
report = {"same": before == commands(lift=robot.lift.motor, left=robot.base.left_wheel),
          "roll": servos["wrist_roll"].motor.told, "pushes": len(pushes)}
""")
    assert report == {"same": True, "roll": {}, "pushes": 0}


def test_a_joint_that_the_collision_manager_holds_back_is_told_to_the_driver(ready):
    report = ready("""
robot.lift.status["pos"] = 0.4
robot.lift.in_collision_stop["neg"] = True
before = dict(robot.lift.motor._command)
stretch.move({"joint_lift": [0.3, 0.1, 0.2, None]}, None)
report = {"down": before == robot.lift.motor._command, "held": stretch.status()["collisions"]}
stretch.move({"joint_lift": [0.5, 0.1, 0.2, None]}, None)
report["up"] = before == robot.lift.motor._command
""")
    assert report == {"down": True, "held": ["joint_lift"], "up": False}


def test_coming_to_rest_ends_where_the_joints_speed_lets_it(ready):
    report = ready("""
robot.lift.status.update(pos=0.5, vel=0.1)
stretch.move({}, [0.2, 0.0, 0.25])
speeds = []
robot.push_command = lambda: speeds.append(robot.base.left_wheel._command["v_des"])
stretch.rest(0.4, 0.25)
unit = robot.lift.translate_m_to_motor_rad(1.0)
command = robot.lift.motor._command
report = {"lift": [command[key] / unit for key in ("x_des", "v_des", "a_des")],
          "speeds": [v / robot.base.translate_to_motor_rad(1.0) for v in speeds]}
""")
    assert report["lift"] == pytest.approx([0.52, 0.1, 0.25])
    assert report["speeds"][-1] == 0.0
    steps = [a - b for a, b in zip(report["speeds"][1:], report["speeds"][2:], strict=False)]
    assert max(steps) < 0.25 * 0.02 * 1.1
