"""Does the arm stay in control while Python is busy? The real Franka driver against franka-sim, limits enforced.

    python benchmarks/franka.py [--seconds 60]

The tool goes around a circle of 5 cm in 4 s while a thread hogs the interpreter of the commanding process and a
recorder writes the states. Beside it the same circle by a loop of 1 kHz in Python over pylibfranka, with the same hog
in its process (benchmarks/franka_python_loop.py). `make hardware` installs franka-sim and pylibfranka.

Exits with 1 where the driver was aborted, or its commands came in time less often than the Python loop's.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path
from queue import Queue

os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np
import yaml

from robot_learning.clock import SystemClock
from robot_learning.data.recorder import Recorder
from robot_learning.data.sample import Sample
from robot_learning.data.store import Store
from robot_learning.data.validation import check
from robot_learning.drivers.commanders import Commander
from robot_learning.drivers.franka.robot import FrankaRobot
from robot_learning.drivers.franka.simulator import Simulator, environment
from robot_learning.drivers.helm import Helm
from robot_learning.drivers.interfaces import EeTarget, RobotState
from robot_learning.errors import SafetyError, UserError
from robot_learning.rig import Rig, parse_rig, rig_path
from robot_learning.rotation import matrix_to_rotation_6d, quaternion_to_matrix

RADIUS_M, PERIOD_S, SETTLED_S = 0.05, 4.0, 1.0
COMMAND_HZ = 50
_WHO = Commander("/benchmark", "robot/target", b"benchmark")


@dataclass
class Figures:
    """Of one controller.

    Attributes:
        rates: libfranka's control_command_success_rate, sampled.
        errors: distance of the tool from where it should be at that moment [m].
        aborts: why the robot stopped, each time.
    """

    rates: list[float] = field(default_factory=list)
    errors: list[float] = field(default_factory=list)
    aborts: list[str] = field(default_factory=list)

    def row(self, name: str) -> str:
        rates, errors = np.array(self.rates or [0.0]), np.array(self.errors or [np.nan])
        rms = 1000 * np.sqrt(np.mean(errors**2))
        return (
            f"{name:38} {rates.mean():8.3f} {np.percentile(rates, 1):8.2f} {rates.min():8.2f} {rms:10.2f} "
            f"{1000 * errors.max():10.2f} {len(self.aborts):7}"
        )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--json", type=Path, help="write the figures here, too")
    options = parser.parse_args()
    try:
        python = environment("pylibfranka") / "bin" / "python"
        with Simulator("franka-sim") as simulator:
            ours, recorded = _driver(simulator.address, options.seconds)
        with Simulator("franka-sim") as simulator:
            loop = _python_loop(python, simulator.address, options.seconds)
    except UserError as error:
        sys.exit(f"error: {error}")
    header = f"{'success':>8} {'p1':>8} {'min':>8} {'RMS [mm]':>10} {'max [mm]':>10} {'aborts':>7}"
    print(f"{f'{options.seconds:.0f} s around a circle, Python hogged':38} {header}")
    print(ours.row("this driver"))
    print(loop.row("a 1 kHz loop in Python (pylibfranka)"))
    print(f"\n{recorded}")
    for name, figures in (("this driver", ours), ("the Python loop", loop)):
        for reason in sorted(set(figures.aborts)):
            print(f"{name} was aborted {figures.aborts.count(reason)} times: {reason}")
    if options.json:
        options.json.write_text(json.dumps({"driver": vars(ours), "python_loop": vars(loop)}) + "\n")
    failed = []
    if ours.aborts:
        failed.append(f"{len(ours.aborts)} aborts")
    if not ours.rates or np.mean(ours.rates) <= np.mean(loop.rates or [0.0]):
        failed.append("no better than a loop in Python")
    verdict = "FAIL: " + ", ".join(failed) if failed else "never aborted, and better than a loop in Python"
    mean, worst, other = np.mean(ours.rates or [0.0]), min(ours.rates, default=0.0), np.mean(loop.rates or [0.0])
    us, them = f"{mean:.3f}, at least {worst:.2f}, {len(ours.aborts)} aborts", f"{other:.3f}, {len(loop.aborts)} aborts"
    print(f"\nfranka: success rate {us}; in Python {them}; {verdict}")
    sys.exit(1 if failed else 0)


def make_rig(address: str) -> Rig:
    """The FR3 in franka-sim without cameras, commanded at 50 Hz, its states recorded."""
    content = yaml.safe_load(rig_path("sim_fr3_franka_sim").read_text())
    content["cameras"], content["franka"]["address"] = {}, address
    alignment = content["policy"]["alignment"]
    content["policy"]["alignment"] = {key: how for key, how in alignment.items() if not key.startswith("front")}
    content["policy"]["rate_hz"] = COMMAND_HZ
    return parse_rig(content, "benchmark")


def _circle(center: np.ndarray, t: float) -> np.ndarray:
    """The angle grows from rest over the first second."""
    angle = 2 * np.pi / PERIOD_S * (t * t / 2 if t < 1 else t - 0.5)
    return center + RADIUS_M * np.array([np.cos(angle), np.sin(angle), 0.0])


def _hog(ending: threading.Event) -> None:
    """Never waits, and a few times a second keeps the interpreter for about 50 ms within one call, as programs do."""
    numbers, count = np.random.default_rng(0).permutation(200_000).tolist(), 0
    while not ending.is_set():
        for _ in range(3_000_000):
            count += 1
        sorted(numbers)


def _driver(address: str, seconds: float) -> tuple[Figures, str]:
    """Ours: a commander, a hog and a recorder in this process."""
    rig, clock, figures = make_rig(address), SystemClock(), Figures()
    robot = FrankaRobot(rig, clock)
    ending = threading.Event()
    with tempfile.TemporaryDirectory() as folder:
        store = Store.create(Path(folder) / "store")
        streams = tuple(spec for spec in rig.streams() if not spec.name.startswith(("action", "commander")))
        contract = rig.contract().model_copy(update={"streams": streams, "features": ()})
        with Recorder(store, contract, clock) as recorder:
            states: list[RobotState] = []
            queue: Queue[tuple[int, RobotState] | None] = Queue()

            def record() -> None:
                while (item := queue.get()) is not None:
                    at, state = item
                    for spec in streams:
                        data = getattr(state, spec.name)
                        recorder.record(Sample(spec.name, state.stamp_ns, clock.now_ns(), at, data))

            def hear(state: RobotState) -> None:
                queue.put((len(states), state))
                states.append(state)

            recording = threading.Thread(target=record)
            robot.connect()
            helm = Helm(robot, rig, clock)
            recorder.start("benchmark")
            robot.heard = hear
            recording.start()
            for work in (lambda: _hog(ending), lambda: _poll(helm, ending)):
                threading.Thread(target=work, daemon=True).start()
            try:
                _command(robot, helm, clock, states, figures, seconds)
            finally:
                ending.set()
                robot.disconnect()
                queue.put(None)
                recording.join()
            episode = recorder.stop(None, "benchmark")
        problems = check(episode)
        count = sum(len(stream) for stream in episode.streams.values())
    return figures, f"recorded {count} samples meanwhile, problems: {problems or 'none'}"


def _poll(helm: Helm, ending: threading.Event) -> None:
    while not ending.wait(0.02):
        helm.poll()


def _command(
    robot: FrankaRobot, helm: Helm, clock: SystemClock, states: list[RobotState], figures: Figures, seconds: float
) -> None:
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        start = robot.observe()
        rotation = matrix_to_rotation_6d(quaternion_to_matrix(start.ee_orientation))
        center = start.ee_position - [RADIUS_M, 0, 0]
        began_ns, first, ticks = clock.now_ns(), len(states), 0
        while time.monotonic() < end and helm.gate.state != "stopped":
            now_ns = clock.now_ns()
            position = _circle(center, (now_ns - began_ns) / 1e9)
            helm.command(EeTarget(now_ns, position, rotation, 0.08), _WHO)
            ticks += 1
            time.sleep(max(0.0, (began_ns - clock.now_ns()) / 1e9 + ticks / COMMAND_HZ))
        stopped = helm.gate.state == "stopped"
        if not stopped:
            helm.rest()  # an orderly end: what follows takes longer than the watchdog waits
        for state in states[first:]:
            t = (state.stamp_ns - began_ns) / 1e9
            if t > SETTLED_S and state.command_success_rate is not None:
                figures.errors.append(float(np.linalg.norm(state.ee_position - _circle(center, t))))
                figures.rates.append(float(state.command_success_rate[0]))
        if stopped:
            newest = f", after {helm.newest_trip.name}" if helm.newest_trip else ""
            figures.aborts.append(helm.gate.stop_reason + newest)
            _recover(helm)


def _recover(helm: Helm) -> None:
    for _ in range(100):
        try:
            helm.recover()
            return
        except SafetyError:
            time.sleep(0.1)
    raise SafetyError("the robot does not recover.")


def _python_loop(python: Path, address: str, seconds: float) -> Figures:
    """The other: a process in an environment of its own."""
    env = {key: value for key, value in os.environ.items() if key != "_ROS_WHEELS_BOOTSTRAP_COMPLETE"}
    script = Path(__file__).with_name("franka_python_loop.py")
    done = subprocess.run(
        [python, script, address, str(seconds)], capture_output=True, text=True, timeout=seconds + 120, env=env,
        check=False,
    )  # fmt: skip
    if done.returncode:
        raise UserError(f"the Python loop ended with code {done.returncode}: {done.stderr.strip()[-500:]}")
    return Figures(**json.loads(done.stdout))


if __name__ == "__main__":
    main()
