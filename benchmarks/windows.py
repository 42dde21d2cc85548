"""Windows per second through the training cache, over the same gather from plain memory-mapped arrays.

    python benchmarks/windows.py [--store STORE] [--seed 0]

Without a store, random episodes of PushT's size are recorded into a temporary one. The plain side is what one
would write by hand: arrays saved with numpy.save, opened once with mmap_mode="r", indexed by a table of rows that
was made beforehand. Cold: the page cache of all files is dropped before each round and the maps are made anew;
major page faults show that it was. Exits with 1 if any ratio is below 0.8.
"""

from __future__ import annotations

import argparse
import os
import resource
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

from robot_learning.data.cache import TrainingCache, Windows
from robot_learning.data.layouts import PUSHT
from robot_learning.data.sample import Sample
from robot_learning.data.store import Store
from robot_learning.data.windows import WindowSpec
from robot_learning.data.writer import EpisodeWriter

RATIO_MIN = 0.8
ROUNDS = 15  # the two sides take turns; the median of the rounds' ratios counts
BATCH = 256
BATCHES = {"warm": 40, "cold": 4}
STATE = ("agent_position", "block_position", "block_angle")
VIEWS = {"state": (*STATE, "action"), "image": ("image", "agent_position", "action")}
SPEC = WindowSpec(To=2, Tp=16)


def record(path: Path, episodes: int, steps: int) -> Store:
    """Episodes of random values, 10 Hz, 96x96 images that compress like real ones."""
    rng = np.random.default_rng(0)
    store = Store.create(path)
    base = np.full((96, 96, 3), 255, np.uint8)
    for _ in range(episodes):
        writer = EpisodeWriter(store, PUSHT, {"task": "benchmark"})
        for k in range(steps):
            for spec in PUSHT.streams:
                value = rng.uniform(0, 512, spec.shape)
                if spec.is_image:
                    value = base.copy()
                    value[20:60, 20:60] = rng.integers(0, 256, (40, 40, 3))
                writer.append([Sample(spec.name, k * 100_000_000, k * 100_000_000, k, value)])
        writer.seal(None, "benchmark")
    return store


def drop_page_cache(folder: Path) -> None:
    for path in folder.iterdir():
        fd = os.open(path, os.O_RDONLY)
        os.fsync(fd)  # dirty pages can't be dropped
        os.posix_fadvise(fd, 0, 0, os.POSIX_FADV_DONTNEED)
        os.close(fd)


class Plain:
    """The same windows from arrays saved by hand."""

    def __init__(self, folder: Path, windows: Windows) -> None:
        first, last, rows = windows.first[:, None], windows.last[:, None], windows.rows[:, None]
        acted = rows + SPEC.first_action + np.arange(SPEC.Tp)
        self.folder, self.names = folder, windows.observations
        self.observed = np.maximum(rows + np.arange(1 - SPEC.To, 1), first)
        self.mask = (acted >= first) & (acted <= last)
        self.acted = np.clip(acted, first, last)

    def open(self) -> Plain:
        self.arrays = {n: np.load(self.folder / f"{n}.npy", mmap_mode="r") for n in (*self.names, "action")}
        return self

    def batch(self, i: np.ndarray) -> dict:
        observation = {n: self.arrays[n][self.observed[i]] for n in self.names}
        return {"observation": observation, "action": self.arrays["action"][self.acted[i]], "mask": self.mask[i]}


def measure(source: Windows | Plain, batches: list[np.ndarray]) -> tuple[float, int]:
    """Windows per second and major page faults."""
    faults, begin = resource.getrusage(resource.RUSAGE_SELF).ru_majflt, time.perf_counter()
    for indices in batches:
        source.batch(indices)
    seconds = time.perf_counter() - begin
    return sum(map(len, batches)) / seconds, resource.getrusage(resource.RUSAGE_SELF).ru_majflt - faults


def compare(store: Store, features: tuple[str, ...], scratch: Path, seed: int) -> list[tuple]:
    """For warm and cold: (name, ours, plain, ratio, our faults, plain faults), medians over the rounds."""
    path = TrainingCache.build(store, features, root=scratch / "cache").path

    def ours() -> Windows:
        return Windows(TrainingCache(path), SPEC, features[:-1], features[-1:])

    windows = ours()
    folder = scratch / f"plain_{features[0]}"
    folder.mkdir()
    for name in features:
        np.save(folder / f"{name}.npy", TrainingCache(path).arrays[name])
    plain = Plain(folder, windows).open()
    everything = np.arange(len(windows))[:: max(1, len(windows) // 2000)]
    same(windows.batch(everything), plain.batch(everything))

    rng = np.random.default_rng(seed)
    results = []
    for name, count in BATCHES.items():
        rounds = []
        for k in range(ROUNDS):
            batches = [rng.integers(0, len(windows), BATCH) for _ in range(count)]
            pair: dict[str, tuple[float, int]] = {}
            for side in ("ours", "plain") if k % 2 else ("plain", "ours"):
                if name == "cold":
                    del windows, plain.arrays  # pages that are mapped can't be dropped
                    drop_page_cache(path)
                    drop_page_cache(folder)
                    windows, plain = ours(), plain.open()  # reads masks and headers; the values stay cold
                source: Windows | Plain = windows if side == "ours" else plain
                if name == "warm":
                    measure(source, batches[:4])
                pair[side] = measure(source, batches)
                del source
            rounds.append(
                (
                    pair["ours"][0],
                    pair["plain"][0],
                    pair["ours"][0] / pair["plain"][0],
                    pair["ours"][1],
                    pair["plain"][1],
                )
            )
        results.append((name, *np.median(np.array(rounds), axis=0)))
    return results


def same(a: dict, b: dict) -> None:
    """The two sides must give the same windows, or the comparison means nothing."""
    for name, values in a["observation"].items():
        assert np.array_equal(values, b["observation"][name]), name
    assert np.array_equal(a["action"], b["action"])
    assert np.array_equal(a["mask"], b["mask"])


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--store", type=Path, help="a store of PushT; default a temporary one of random episodes")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        scratch = Path(folder)
        store = Store.open(options.store) if options.store else record(scratch / "store", episodes=40, steps=125)
        print(
            f"{'view':<8}{'pages':<7}{'cache [windows/s]':>19}{'plain [windows/s]':>19}{'ratio':>8}{'major faults':>18}"
        )
        worst = np.inf
        for view, features in VIEWS.items():
            for pages, ours, plain, ratio, our_faults, plain_faults in compare(store, features, scratch, options.seed):
                faults = f"{our_faults:.0f} / {plain_faults:.0f}"
                print(f"{view:<8}{pages:<7}{ours:>19,.0f}{plain:>19,.0f}{ratio:>8.2f}{faults:>18}")
                worst = min(worst, ratio)
    verdict = "met" if worst >= RATIO_MIN else "MISSED"
    print(f"windows through the cache over plain arrays: worst ratio {worst:.2f}, wanted {RATIO_MIN}: {verdict}")
    return 0 if worst >= RATIO_MIN else 1


if __name__ == "__main__":
    sys.exit(main())
