"""Can the recorder keep up? Two 640x480 colour cameras and a depth camera at 30 Hz, robot state at 1 kHz.

    python benchmarks/recorder.py [--seconds 60] [--episodes 20]

Real time, with sources on threads of their own, as drivers have them. Then short episodes, for the time
that sealing takes. Exits with 1 where a promise is broken: a sample that is neither recorded nor counted as
dropped, a writer above 60 % of one core, memory beyond what the queues may hold.
"""

from __future__ import annotations

import argparse
import os
import resource
import sys
import tempfile
import threading
import time
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np

from robot_learning.contract import Contract, StreamSpec
from robot_learning.data.recorder import Recorder
from robot_learning.data.sample import Sample
from robot_learning.data.store import Episode, Store
from robot_learning.data.validation import check

WRITER_SHARE = 0.6
SEAL_P99_S = 1.0
QUEUE_S = 2.0
HEIGHT, WIDTH = 480, 640


def contract() -> Contract:
    def camera(name: str) -> StreamSpec:
        return StreamSpec(
            name=name, shape=(HEIGHT, WIDTH, 3), dtype="uint8", unit="rgb", rate_hz=30, codec="jpeg", jpeg_quality=92
        )

    def state(name: str, unit: str) -> StreamSpec:
        return StreamSpec(name=name, shape=(7,), dtype="float64", unit=unit, rate_hz=1000)

    depth = StreamSpec(
        name="front_depth", shape=(HEIGHT, WIDTH), dtype="uint16", unit="depth_mm", rate_hz=30, codec="depth"
    )
    states = (state("joint_position", "rad"), state("joint_velocity", "rad/s"), state("joint_effort", "Nm"))
    streams = (camera("front"), camera("wrist"), depth, *states)
    return Contract(rig="benchmark", robot="panda", policy_rate_hz=20, streams=streams, features=())


def pictures(spec: StreamSpec, rng: np.random.Generator) -> list[np.ndarray]:
    """A few frames of moving smooth shapes with sensor noise: neither flat nor pure noise."""
    y, x = np.mgrid[0:HEIGHT, 0:WIDTH]
    frames = []
    for k in range(8):
        base = 0.5 + 0.25 * np.sin(x / 37 + k / 3) + 0.25 * np.cos(y / 23 - k / 5) + 0.1 * ((x // 40 + y // 40) % 2)
        if spec.dtype == "uint16":
            frames.append((400 + 1200 * base + rng.normal(0, 2, base.shape)).astype(np.uint16))
        else:
            colour = base[..., None] * np.array([200, 170, 140]) + rng.normal(0, 3, (*base.shape, 3))
            frames.append(np.clip(colour, 0, 255).astype(np.uint8))
    return frames


class Source(threading.Thread):
    """Offers samples of some streams at one rate, on time, until told to stop."""

    def __init__(self, recorder: Recorder, specs: list[StreamSpec], content: dict[str, list[np.ndarray]]) -> None:
        super().__init__(daemon=True)
        self._recorder, self._specs, self._content = recorder, specs, content
        self.count = self.refused = 0
        self.worst_s = 0.0
        self.stopping = threading.Event()

    def run(self) -> None:
        begin = time.monotonic()
        period = 1 / self._specs[0].rate_hz
        while not self.stopping.is_set():
            now = time.time_ns()
            for spec in self._specs:
                data = self._content[spec.name][self.count % len(self._content[spec.name])]
                entered = time.perf_counter()
                accepted = self._recorder.record(Sample(spec.name, now, time.time_ns(), self.count, data))
                self.worst_s = max(self.worst_s, time.perf_counter() - entered)
                self.refused += not accepted
            self.count += 1
            time.sleep(max(0.0, begin + self.count * period - time.monotonic()))


def record(
    recorder: Recorder, content: dict[str, list[np.ndarray]], seconds: float
) -> tuple[list[Source], Episode, float]:
    """One episode in real time; returns its sources, the episode, and how long stop() took [s]."""
    recorder.start("benchmark")
    specs = contract().streams
    sources = [Source(recorder, [spec], content) for spec in specs[:3]] + [Source(recorder, list(specs[3:]), content)]
    for source in sources:
        source.start()
    time.sleep(seconds)
    for source in sources:
        source.stopping.set()
    for source in sources:
        source.join()
    began = time.perf_counter()
    episode = recorder.stop(None, "benchmark")
    return sources, episode, time.perf_counter() - began


def unaccounted(episode: Episode, sources: list[Source]) -> int:
    """Samples that are neither in the episode nor counted as dropped, or are there under a wrong number."""
    offered = {spec.name: source.count for source in sources for spec in source._specs}
    wrong = 0
    for name, count in offered.items():
        sequence = episode.streams[name].sequence
        dropped = episode.quality["recorder"]["streams"][name]["dropped"]
        wrong += abs(count - len(np.unique(sequence)) - dropped) + len(sequence) - len(np.unique(sequence))
    return wrong


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=60.0)
    parser.add_argument("--episodes", type=int, default=20, help="short ones, for sealing")
    parser.add_argument("--path", default=None, help="where to make the store; default: a temporary folder")
    options = parser.parse_args()
    rng = np.random.default_rng(0)
    content = {s.name: pictures(s, rng) for s in contract().streams[:3]}
    content |= {s.name: list(rng.normal(size=(997, 7))) for s in contract().streams[3:]}

    with tempfile.TemporaryDirectory(dir=options.path) as folder:
        store = Store.create(Path(folder) / "store")
        recorder = Recorder(store, contract(), queue_s=QUEUE_S)
        before_mb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        sources, episode, stop_s = record(recorder, content, options.seconds)
        memory_mb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024 - before_mb
        stops = []
        for _ in range(options.episodes):
            stops.append(record(recorder, content, 1.0)[2])
        size = sum(p.stat().st_size for p in episode.path.rglob("*") if p.is_file())
        files = sum(p.is_file() for p in episode.path.rglob("*"))
        problems = check(episode)
        lost = unaccounted(episode, sources)

        account = episode.quality["recorder"]
        # what waits in the queues, and as much again in the writer's hands
        bound_mb = 2 * sum(
            account["streams"][s.name]["queue_capacity"] * (np.prod(s.shape) * np.dtype(s.dtype).itemsize + 200)
            for s in contract().streams
        ) / 2**20  # fmt: skip
        share = account["writer_busy_s"] / options.seconds
        print(
            f"{'stream':<16}{'offered':>9}{'recorded':>9}{'dropped':>8}"
            f"{'rate Hz':>9}{'jitter ms':>10}{'queue peak':>11}"
        )
        for name, stream in episode.streams.items():
            q, r = account["streams"][name], episode.quality["streams"][name]
            print(
                f"{name:<16}{q['offered']:>9}{len(stream):>9}{q['dropped']:>8}{r['rate_hz']:>9.1f}"
                f"{1e3 * r['jitter_s']:>10.2f}{q['queue_peak']:>7}/{q['queue_capacity']}"
            )
        dropped = sum(q["dropped"] for q in account["streams"].values())
        p99 = float(np.quantile(stops, 0.99))
        print(f"stored            {size / 2**20:.0f} MB in {files} files, {size / options.seconds / 2**20:.1f} MB/s")
        print(f"writer            {100 * share:.0f} % of one core (allowed: {100 * WRITER_SHARE:.0f} %)")
        print(f"slowest record()  {1e3 * max(s.worst_s for s in sources):.1f} ms")
        print(f"memory            {memory_mb:.0f} MB above the start (bound: {bound_mb:.0f} MB)")
        print(f"stop and seal     {1e3 * stop_s:.0f} ms after {options.seconds:.0f} s; ", end="")
        print(f"{len(stops)} episodes of 1 s: median {1e3 * np.median(stops):.0f} ms, p99 {1e3 * p99:.0f} ms")
        for problem in problems:
            print(problem)
        ok = not lost and not problems and share <= WRITER_SHARE and memory_mb <= bound_mb and p99 <= SEAL_P99_S
        print(
            f"recorder: {'OK' if ok else 'FALLS SHORT'}: {lost} unaccounted, {dropped} dropped, "
            f"writer {100 * share:.0f} % of a core, memory +{memory_mb:.0f} MB, sealing p99 {1e3 * p99:.0f} ms"
        )
    return 0 if ok else 1


if __name__ == "__main__":
    sys.exit(main())
