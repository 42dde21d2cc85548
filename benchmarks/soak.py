"""Ten minutes of a whole station: is every sample recorded or accounted for, and does memory stay flat?

    python benchmarks/soak.py [--seconds 600]

Two 640x480 cameras at 30 Hz, state at 200 Hz, a policy that moves the arm, the recorder. Afterwards each stream of the
episode is counted twice: by its publisher's own count, and by its stamps, which the simulation spaces evenly. Exits
with 1 where a sample is missing that no count accounts for, or where a process grows.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
from station import Station, write_rig

from robot_learning.clock import NS_PER_S
from robot_learning.data.store import Episode, Store
from robot_learning.data.validation import check

GROWTH_MB = 20.0  # of a process, from a tenth of the time on
SETTLED = 0.1


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=600)
    parser.add_argument("--domain", type=int, default=101, help="ROS domain; nothing else may run in it")
    parser.add_argument("--folder", type=Path, help="for logs and the store, in place of a temporary one")
    options = parser.parse_args()
    os.environ["ROS_DOMAIN_ID"] = str(options.domain)
    with tempfile.TemporaryDirectory() as temporary, Station(options.folder or Path(temporary)) as station:
        code = _run(station, options)
    sys.exit(code)


def _run(station: Station, options: argparse.Namespace) -> int:
    path, ns, endpoint = write_rig(station.folder, "soak"), "/soak", "tcp://127.0.0.1:5798"
    store = station.folder / "store"
    station.start_circle(path, endpoint)
    station.start_plan("deploy", path, server=endpoint, store=str(store), device="none", task="go around")
    station.insist(f"{ns}/robot/reset")
    station.insist(f"{ns}/recorder/start", 60)
    station.insist(f"{ns}/policy/start", 60)
    began, memory = time.monotonic(), []
    while (elapsed := time.monotonic() - began) < options.seconds:
        station.spin(min(10.0, options.seconds - elapsed))
        station.alive()
        memory.append((time.monotonic() - began, {n: u.rss_mb for n, u in station.usage().items()}))
        print(f"\r{memory[-1][0]:5.0f} of {options.seconds:.0f} s", end="", file=sys.stderr, flush=True)
    print("", file=sys.stderr)
    station.insist(f"{ns}/recorder/success", 60)
    episode = Store.open(store).episodes()[-1]
    failed = _count(episode)
    settled = next(m for t, m in memory if t >= SETTLED * options.seconds)
    print(f"\n{'process':12} {'RSS settled':>12} {'at the end':>11} {'growth [MB]':>12}")
    for name, start in settled.items():
        growth = memory[-1][1][name] - start
        print(f"{name:12} {start:12.0f} {memory[-1][1][name]:11.0f} {growth:12.1f}")
        if growth > GROWTH_MB:
            failed.append(f"{name} grew by {growth:.0f} MB")
    if problems := check(episode):
        failed.append(f"check: {problems[0]}")
    total = sum(len(s) for s in episode.streams.values())
    verdict = "FAIL: " + "; ".join(failed) if failed else "all accounted for, memory flat"
    print(f"\nsoak: {episode.duration_s:.0f} s, {total} samples; {verdict}")
    return 1 if failed else 0


def _count(episode: Episode) -> list[str]:
    """Print each stream's counts; what is missing and not accounted for."""
    failed = []
    print(f"{'stream':18} {'samples':>9} {'missing':>8} {'dropped':>8} {'holes in stamps':>16} {'unaccounted':>12}")
    recorder = episode.quality["recorder"]["streams"]
    for name, stream in episode.streams.items():
        if not len(stream):
            continue
        span = int(stream.sequence[-1] - stream.sequence[0]) + 1
        missing, dropped = span - len(stream), recorder[name]["dropped"]
        said = episode.quality["streams"][name]["missing"]
        steps = np.diff(stream.stamp) * stream.spec.rate_hz / NS_PER_S
        # Commands have no even spacing; for them there is the publisher's count alone.
        even = not name.startswith("action_") and name != "commander"
        holes = int(np.sum(np.rint(steps).astype(int) - 1)) if even else missing
        unaccounted = abs(missing - said) + max(0, holes - missing)
        print(f"{name:18} {len(stream):9} {missing:8} {dropped:8} {holes if even else '':>16} {unaccounted:12}")
        if unaccounted:
            failed.append(f"{name}: {unaccounted} unaccounted")
    return failed


if __name__ == "__main__":
    main()
