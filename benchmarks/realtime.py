"""Does a whole station keep its times? Two 640x480 cameras at 30 Hz, state at 200 Hz, a policy, recording on.

    python benchmarks/realtime.py [--seconds 300] [--stops 20] [--cameras pattern|mujoco]

The simulated arm goes around a slow circle, led by a policy server through policy_node and the gate, every node a
process of its own on real DDS. Measured from topics, while it records. Then stops, called while the arm moves: with the
station as it is, and with a process that burns CPU on each core beside it.

Exits with 1 where the budget below is broken.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from pathlib import Path
from typing import Any

import numpy as np
from diagnostic_msgs.msg import DiagnosticStatus
from sensor_msgs.msg import JointState
from station import STATE_HZ, Station, write_rig

from robot_learning.data.store import Store
from robot_learning.data.validation import check
from robot_learning.rig import load_rig

# The budget, for two cores: what of it is a promise, in milliseconds.
OBSERVATION_AGE_P99 = 60.0  # two camera periods: the newest frame may be one old, and one on its way
LATENCY_P99 = 200.0  # observation to first command of its chunk: its age, inference on the CPU, waiting for its time
JITTER_P99 = 5.0  # of the 100 Hz control tick: half a period
STOP_P99 = 50.0  # from the call to zero commanded velocity, beyond the deceleration itself
TICK_MS = 10.0
_BURN = "while True: pass"
_MOVING_RAD_S, _STILL_RAD_S = 0.05, 1e-9
_AT_REST = 40  # states in a row without commanded velocity


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=300)
    parser.add_argument("--stops", type=int, default=20, help="of each kind")
    parser.add_argument("--cameras", choices=("pattern", "mujoco"), default="pattern")
    parser.add_argument("--domain", type=int, default=101, help="ROS domain; nothing else may run in it")
    parser.add_argument("--folder", type=Path, help="for logs and the store, in place of a temporary one")
    parser.add_argument("--json", type=Path, help="write the figures here, too")
    options = parser.parse_args()
    os.environ["ROS_DOMAIN_ID"] = str(options.domain)
    with tempfile.TemporaryDirectory() as temporary, Station(options.folder or Path(temporary)) as station:
        code = _run(station, options)
    sys.exit(code)


def _run(station: Station, options: argparse.Namespace) -> int:
    path = write_rig(station.folder, "bench", options.cameras)
    rig, ns = load_rig(path), "/bench"
    endpoint = "tcp://127.0.0.1:5799"
    store = station.folder / "store"
    station.start_circle(path, endpoint)
    station.start_plan("deploy", path, server=endpoint, store=str(store), device="none", task="go around")
    timing: dict[str, list[float]] = defaultdict(list)
    desired: list[tuple[int, float]] = []  # stamp, largest commanded joint speed
    station.node.create_subscription(DiagnosticStatus, f"{ns}/policy/timing", lambda m: _note(timing, m), 50)
    station.insist(f"{ns}/robot/reset")
    station.insist(f"{ns}/recorder/start", 60)
    station.insist(f"{ns}/policy/start", 60)
    station.until(lambda: len(timing["observation_age_ms"]) > 20, 30, "the policy")
    timing.clear()
    before, began = station.usage(), time.monotonic()
    while (elapsed := time.monotonic() - began) < options.seconds:
        station.spin(min(10.0, options.seconds - elapsed))
        station.alive()
        print(f"\r{time.monotonic() - began:5.0f} of {options.seconds:.0f} s", end="", file=sys.stderr, flush=True)
    seconds, after = time.monotonic() - began, station.usage()
    print("", file=sys.stderr)
    measured = {name: list(values) for name, values in timing.items()}  # what stops do to them does not count
    station.node.create_subscription(
        JointState,
        f"{ns}/robot/desired_joint_states",
        lambda m: desired.append((_ns(m), float(np.abs(m.velocity).max()))),
        200,
    )
    _stops(station, ns, 1, desired)  # services find their clients
    idle = _stops(station, ns, options.stops, desired)
    burners = [subprocess.Popen([sys.executable, "-c", _BURN]) for _ in range(os.cpu_count() or 1)]
    try:
        loaded = _stops(station, ns, options.stops, desired)
    finally:
        for burner in burners:
            burner.kill()
    station.insist(f"{ns}/recorder/success")
    episode = Store.open(store).episodes()[-1]
    deceleration_ms = 1000 * rig.watchdog.deceleration_time_s
    rows = [
        ("observation age at inference", measured["observation_age_ms"], OBSERVATION_AGE_P99),
        ("observation to first command", measured["observation_to_command_ms"], LATENCY_P99),
        ("inference in the server", measured["inference_ms"], None),
        ("round trip to the server", measured["round_trip_ms"], None),
        ("control tick jitter, 100 Hz", measured["tick_jitter_ms"], JITTER_P99),
        ("stop, beyond the deceleration", [t - deceleration_ms for t in idle], STOP_P99),
        ("the same, CPU burned on each core", [t - deceleration_ms for t in loaded], STOP_P99),
    ]
    print(f"{'[ms]':36} {'n':>6} {'p50':>8} {'p99':>8} {'max':>8} {'budget p99':>11}")
    failed, figures = [], {}
    for name, values, budget in rows:
        values = [v for v in values if np.isfinite(v)]
        p50, p99, worst = np.percentile(values, [50, 99, 100])
        figures[name] = {"n": len(values), "p50": p50, "p99": p99, "max": worst, "budget_p99": budget}
        print(f"{name:36} {len(values):6} {p50:8.2f} {p99:8.2f} {worst:8.2f} {budget or '':>11}")
        if budget is not None and p99 > budget:
            failed.append(name)
    print(f"\n{'process':12} {'CPU of a core':>14} {'RSS [MB]':>9}")
    cpu = {name: (after[name].cpu_s - u.cpu_s) / seconds for name, u in before.items()}
    for name, share in cpu.items():
        print(f"{name:12} {100 * share:12.1f} % {after[name].rss_mb:9.0f}")
    print(f"{'all':12} {100 * sum(cpu.values()):12.1f} %")
    problems = check(episode)
    missing = {n: r["missing"] for n, r in episode.quality["streams"].items() if r["missing"]}
    print(
        f"\nrecorded {episode.duration_s:.0f} s, missing samples: {missing or 'none'}, problems: {problems or 'none'}"
    )
    if problems:
        failed.append("recording")
    if options.json:
        options.json.write_text(json.dumps({"figures": figures, "cpu": cpu, "missing": missing}, indent=1) + "\n")
    chunks = len(measured["observation_age_ms"])
    print(
        f"\nrealtime: {seconds:.0f} s, {chunks} chunks; {'FAIL: ' + ', '.join(failed) if failed else 'within budget'}"
    )
    return 1 if failed else 0


def _stops(station: Station, ns: str, count: int, desired: list[tuple[int, float]]) -> list[float]:
    """Times from calling ~/stop to the end of commanded motion [ms], each from a moving arm."""
    times: list[float] = []
    while len(times) < count:
        desired.clear()
        station.until(lambda: desired and desired[-1][1] > _MOVING_RAD_S, 30, "motion")
        station.spin(0.1 + 0.037 * (len(times) % 10))  # stops fall anywhere in the robot's and the policy's periods
        called = time.time_ns()
        if not station.call(f"{ns}/robot/stop").success:
            sys.exit("the stop was refused")
        station.until(lambda: all(v < _STILL_RAD_S for _, v in desired[-_AT_REST:]), 10, "the stop")
        at_call = [speed for stamp, speed in desired if stamp < called][-1]
        moving = [stamp for stamp, speed in desired if stamp >= called and speed >= _STILL_RAD_S]
        if at_call > _MOVING_RAD_S and moving:  # else it happened to stand, and there was nothing to stop
            times.append((moving[-1] - called) / 1e6 + 1000 / STATE_HZ)
        station.insist(f"{ns}/robot/recover")
        station.insist(f"{ns}/policy/start")
    return times


def _note(timing: dict[str, list[float]], message: Any) -> None:
    for pair in message.values:
        if pair.key == "tick_ms":
            timing["tick_jitter_ms"] += [abs(float(period) - TICK_MS) for period in pair.value.split()]
        elif pair.key.endswith("_ms"):
            timing[pair.key].append(float(pair.value))


def _ns(message: Any) -> int:
    return message.header.stamp.sec * 1_000_000_000 + message.header.stamp.nanosec


if __name__ == "__main__":
    main()
