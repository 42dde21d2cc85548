"""Does the store keep its word when the power button is a SIGKILL?

    python benchmarks/crash.py --kills 50 [--seed 0]

A process records deterministic streams, one short episode after another, and is killed at a random instant.
Then: every episode that it reported as sealed must be there, whole, and hold what the source made; the one
that was open must come back by recovery and lack at most the last second. Exits with 1 on any violation.
"""

from __future__ import annotations

import argparse
import multiprocessing
import os
import sys
import tempfile
import time
from collections import Counter
from multiprocessing.connection import Connection
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")

# a killed process can't give back the semaphore that its compression library made
os.environ["PYTHONWARNINGS"] = "ignore::UserWarning:multiprocessing.resource_tracker"

import numpy as np
from ulid import ULID

from robot_learning.contract import Contract, StreamSpec
from robot_learning.data.codec import decode_jpeg, encode_jpeg
from robot_learning.data.recorder import Recorder
from robot_learning.data.recovery import recover
from robot_learning.data.sample import Sample
from robot_learning.data.store import Episode, Store
from robot_learning.data.validation import check

MAY_LOSE_S = 1.0
STREAMS = (
    StreamSpec(name="front", shape=(48, 64, 3), dtype="uint8", unit="rgb", rate_hz=100, codec="jpeg"),
    StreamSpec(name="front_depth", shape=(48, 64), dtype="uint16", unit="depth_mm", rate_hz=100, codec="depth"),
    StreamSpec(name="joint_position", shape=(7,), dtype="float64", unit="rad", rate_hz=1000),
)
CONTRACT = Contract(rig="crash", robot="none", policy_rate_hz=10, streams=STREAMS, features=())
_Y, _X = np.mgrid[0:48, 0:64]


def value(spec: StreamSpec, index: int) -> np.ndarray:
    """Sample `index` of a stream, the same in every process."""
    if spec.name == "front":
        return np.stack([_X + index % 97, _Y + index % 61, _X + _Y], -1).astype(np.uint8)
    if spec.name == "front_depth":
        return (_X * _Y + index).astype(np.uint16)
    return index + np.arange(7) / 8


def source(store: str, seed: int, pipe: Connection) -> None:
    """Record episodes of 0.2 to 3 s until killed; report the id of each when it begins and when it is sealed."""
    rng = np.random.default_rng(seed)
    recorder = Recorder(Store.open(store), CONTRACT, disk_reserve_bytes=0)
    while True:
        pipe.send(("open", recorder.start("crash")))
        counts = dict.fromkeys((s.name for s in STREAMS), 0)
        begin, length = time.monotonic(), rng.choice([0.2, 0.5, 3.0])
        while (elapsed := time.monotonic() - begin) < length:
            for spec in STREAMS:
                while counts[spec.name] <= elapsed * spec.rate_hz:
                    index = counts[spec.name]
                    now = time.time_ns()
                    recorder.record(Sample(spec.name, index * 1_000_000, now, index, value(spec, index)))
                    counts[spec.name] += 1
            time.sleep(0.002)
        episode = recorder.stop("success", "crash")
        pipe.send(("sealed", (episode.id, counts)))


def differences(episode: Episode, counts: dict[str, int] | None) -> list[str]:
    """How a sealed episode differs from what the source made; `counts` is how many samples it offered."""
    found = [str(p) for p in check(episode)]
    for spec in STREAMS:
        stream = episode.streams[spec.name]
        n = len(stream)
        if counts is not None and n != counts[spec.name]:
            found.append(f"{spec.name} has {n} of {counts[spec.name]} samples")
        if not np.array_equal(stream.sequence, np.arange(n)):
            found.append(f"{spec.name} is not a whole prefix")
        if not np.array_equal(stream.stamp, np.arange(n) * 1_000_000):
            found.append(f"{spec.name} has wrong stamps")
        expected = [value(spec, i) for i in range(n)]
        if spec.codec == "jpeg":
            expected = [decode_jpeg(encode_jpeg(frame, spec.jpeg_quality)) for frame in expected]
        wrong = [
            i
            for i, (got, made) in enumerate(zip(stream.data[:], expected, strict=True))
            if not np.array_equal(got, made)
        ]
        if wrong:
            found.append(f"{spec.name} differs from the source at {wrong[:5]}")
    return found


def kill_once(
    context: multiprocessing.context.ForkServerContext, folder: Path, seed: int, counts: Counter
) -> list[str]:
    """One recording process, one SIGKILL, one recovery; returns the violations."""
    store = Store.create(folder)
    receiver, sender = context.Pipe(duplex=False)
    process = context.Process(target=source, args=(str(folder), seed, sender), daemon=True)
    process.start()
    sender.close()
    reports = [receiver.recv()]
    time.sleep(float(np.random.default_rng([seed, 1]).uniform(0.0, 2.0)))
    killed_ns = time.time_ns()
    process.kill()
    process.join()
    try:
        while True:
            reports.append(receiver.recv())
    except EOFError:
        pass
    sealed = dict(content for kind, content in reports if kind == "sealed")
    last_opened = [content for kind, content in reports if kind == "open"][-1]

    for recovery in recover(store):
        counts[recovery.action] += 1
    violations = [f"a second recovery found {r}" for r in recover(store)]
    present = {e.id: e for e in store.episodes()}
    for id, offered in sealed.items():
        if id in present:
            violations += [f"sealed {id}: {d}" for d in differences(present[id], offered)]
        else:
            violations.append(f"sealed {id} is gone")
    for id in present.keys() - sealed.keys():
        violations += [f"recovered {id}: {d}" for d in differences(present[id], None)]
    counts["sealed"] += len(sealed)

    if last_opened not in sealed:
        lost_s = killed_ns / 1e9 - kept_until_s(last_opened, present.get(last_opened))
        counts["worst loss ms"] = max(counts["worst loss ms"], round(1000 * lost_s))
        if lost_s > MAY_LOSE_S:
            violations.append(f"open {last_opened} lost {lost_s:.2f} s")
    return violations


def kept_until_s(id: str, episode: Episode | None) -> float:
    """Wall time up to which every stream of an episode is there; its beginning where nothing is."""
    if episode is None:
        return ULID.from_str(id).timestamp
    return min(int(stream.received[-1]) for stream in episode.streams.values()) / 1e9


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=50)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["robot_learning.data.recorder"])
    counts: Counter = Counter()
    violations = []
    began = time.monotonic()
    with tempfile.TemporaryDirectory() as folder:
        for kill in range(options.kills):
            seed = options.seed * 100_000 + kill
            found = kill_once(context, Path(folder) / str(kill), seed, counts)
            violations += found
            for violation in found:
                print(f"kill {kill} (seed {seed}): {violation}")
    print(f"{'sealed before the kill':<28}{counts['sealed']:>7}")
    for action in ("recovered", "finished", "removed", "busy", "kept"):
        print(f"{action + ' after it':<28}{counts[action]:>7}")
    print(f"{'worst loss':<28}{counts['worst loss ms']:>7} ms (allowed: {1000 * MAY_LOSE_S:.0f} ms)")
    print(
        f"crash: {'FALLS SHORT' if violations else 'OK'}: {options.kills} kills, {len(violations)} violations, "
        f"worst loss {counts['worst loss ms']} ms, {time.monotonic() - began:.0f} s"
    )
    return 1 if violations else 0


if __name__ == "__main__":
    sys.exit(main())
