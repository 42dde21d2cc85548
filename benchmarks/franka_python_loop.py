"""The loop of 1 kHz in Python that benchmarks/franka.py compares with: a Cartesian impedance over pylibfranka.

    .venvs/pylibfranka/bin/python benchmarks/franka_python_loop.py ADDRESS SECONDS

Stands alone, for it runs in pylibfranka's own environment. A thread hogs its interpreter, as one hogs the commanding
process of our driver. The stiffness is the preset `free`'s, the circle the same. Prints its figures as JSON.
"""

import json
import sys
import threading
import time

import numpy as np
import pylibfranka as libfranka

STIFFNESS = np.array([1500.0] * 3 + [100.0] * 3)
DAMPING = np.array([77.0] * 3 + [8.0] * 3)
CLIP = np.array([0.03] * 3 + [0.15] * 3)
RADIUS_M, PERIOD_S, TORQUE_STEP_NM = 0.05, 4.0, 0.5
SETTLED_S = 1.0


def circle(center: np.ndarray, t: float) -> np.ndarray:
    """The angle grows from rest over the first second."""
    angle = 2 * np.pi / PERIOD_S * (t * t / 2 if t < 1 else t - 0.5)
    return center + RADIUS_M * np.array([np.cos(angle), np.sin(angle), 0.0])


def pose(state: libfranka.RobotState) -> tuple[np.ndarray, np.ndarray]:
    matrix = np.array(state.O_T_EE).reshape(4, 4).T
    return matrix[:3, 3], matrix[:3, :3]


def hog() -> None:
    """Never waits, and a few times a second keeps the interpreter for about 50 ms within one call, as programs do."""
    numbers, count = np.random.default_rng(0).permutation(200_000).tolist(), 0
    while True:
        for _ in range(3_000_000):
            count += 1
        sorted(numbers)


def follow(robot: libfranka.Robot, model: libfranka.Model, end_s: float, rates: list, errors: list) -> None:
    """Until the time is over, or libfranka ends it with an exception."""
    control = robot.start_torque_control()
    state, _ = control.readOnce()
    start, rotation = pose(state)
    began, told = time.monotonic(), np.zeros(7)
    while (now := time.monotonic()) < end_s:
        state, _ = control.readOnce()
        t = now - began
        position, turned = pose(state)
        target = circle(start - [RADIUS_M, 0, 0], t)
        error = np.empty(6)
        error[:3] = target - position
        skew = rotation @ turned.T
        error[3:] = 0.5 * np.array([skew[2, 1] - skew[1, 2], skew[0, 2] - skew[2, 0], skew[1, 0] - skew[0, 1]])
        jacobian = np.array(model.zero_jacobian(state)).reshape(7, 6).T
        wanted = np.zeros(6)
        wanted[:3] = (circle(start - [RADIUS_M, 0, 0], t + 0.001) - target) / 0.001
        wrench = STIFFNESS * np.clip(error, -CLIP, CLIP) + DAMPING * (wanted - jacobian @ np.array(state.dq))
        torque = jacobian.T @ wrench + np.array(model.coriolis(state))
        told = told + np.clip(torque - told, -TORQUE_STEP_NM, TORQUE_STEP_NM)
        control.writeOnce(libfranka.Torques(told.tolist()))
        if t > SETTLED_S:
            rates.append(state.control_command_success_rate)
            errors.append(float(np.linalg.norm(error[:3])))


def main() -> None:
    address, seconds = sys.argv[1], float(sys.argv[2])
    robot = libfranka.Robot(address, libfranka.RealtimeConfig.kIgnore)
    c = np.cos(np.pi / 4)
    tool = np.array([[c, c, 0, 0], [-c, c, 0, 0], [0, 0, 1, 0.1034], [0, 0, 0, 1]])
    robot.set_EE(tool.T.ravel().tolist())
    robot.set_collision_behavior([100.0] * 7, [100.0] * 7, [100.0] * 6, [100.0] * 6)
    model = robot.load_model()
    threading.Thread(target=hog, daemon=True).start()
    rates: list[float] = []
    errors: list[float] = []
    aborts: list[str] = []
    end_s = time.monotonic() + seconds
    while time.monotonic() < end_s:
        try:
            follow(robot, model, end_s, rates, errors)
        except (libfranka.ControlException, libfranka.FrankaException) as error:
            aborts.append(" ".join(str(error).split())[:200])
            robot.automatic_error_recovery()
    figures = {"rates": rates[::5], "errors": errors[::5], "aborts": aborts}
    print(json.dumps(figures), flush=True)


if __name__ == "__main__":
    main()
