"""How fast policies train and act, and how that compares with LeRobot's at the identical architecture and batch.

    python benchmarks/policies.py [--presets NAME ...] [--against KIND ...] [--seconds 10] [--rounds 3] [--json FILE]

One table has each preset's training (samples/s, memory) and its inference for one observation (eager, compiled, ONNX
Runtime; one core). The other trains one ACT and one Diffusion Policy of ours and of LeRobot's, alternately, each in a
process of its own, in fp32: first the optimiser's step alone on one core, eager and compiled; then training as users
run it, from a dataset on disk with all cores: ours in both ways, LeRobot in its quicker one with 0, 1 and 2 loading
processes (their memory is not counted), with all threads and with one. Met if a setting of ours trains from disk at
least 1.3 times as quickly as LeRobot's quickest, with no more memory, and BESO's 3 steps take at most 5 ms (p50,
`beso_state_small`, ONNX).
"""

from __future__ import annotations

import argparse
import json
import math
import os
import statistics
import subprocess
import sys
from pathlib import Path
from typing import Any

from tqdm import tqdm

from robot_learning.policies.presets import PRESETS

HERE = Path(__file__).parent
LEROBOT = HERE.parent / ".venvs" / "lerobot" / "bin" / "python"
FASTER, MEMORY, BESO_MS = 1.3, 1.0, 5.0
LOADING = (0, 1, 2)  # processes
PATIENCE_S = 900

# Both sides of each comparison, said in each side's words. State 10, other vector 6, action 7, image 96x96.
VECTORS = {"observation.state": [10], "action": [7]}
ARCHITECTURES: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "diffusion": (
        {
            "preset": "diffusion_unet_state_small", "observations": ["state", "environment"],
            "config": {"dims": (64, 128, 256), "step_dim": 128}, "recipe": {"batch_size": 64, "ema": "none"},
        },
        {
            "features": {**VECTORS, "observation.environment_state": [6]}, "batch_size": 64, "steps": 16,
            "config": {"down_dims": (64, 128, 256), "diffusion_step_embed_dim": 128, "horizon": 16},
        },
    ),
    "act": (
        {
            "preset": "act_image", "observations": ["state", "front"],
            "config": {"Tp": 32, "Ta": 32, "dim": 256, "ffn_dim": 1024}, "vision": {"norm": "frozen_batch"},
            "recipe": {"batch_size": 8, "ema": "none"},
        },
        {
            "features": {**VECTORS, "observation.images.front": [3, 96, 96]}, "batch_size": 8, "steps": 32,
            "config": {
                "chunk_size": 32, "n_action_steps": 32, "dim_model": 256, "dim_feedforward": 1024,
                "pretrained_backbone_weights": None,
            },
        },
    ),
}  # fmt: skip
BATCHES = {kind: mine["recipe"]["batch_size"] for kind, (mine, _) in ARCHITECTURES.items()}


def run(*command: str) -> dict[str, float] | None:
    """What a worker printed last, or None with its complaint on standard error.

    A worker says itself how many threads it takes: a number in the environment would hold the side that trains in one
    process to one core, and leave the other core to the side that loads in another.
    """
    surroundings = {key: value for key, value in os.environ.items() if not key.endswith("_NUM_THREADS")}
    done = subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE_S, check=False, env=surroundings)
    if done.returncode:
        print(f"\n{' '.join(command[1:3])} failed: {done.stderr.strip().splitlines()[-1:]}", file=sys.stderr)
        return None
    return json.loads(done.stdout.strip().splitlines()[-1])


def ours(*arguments: str) -> dict[str, float] | None:
    return run(sys.executable, str(HERE / "policies_worker.py"), *arguments)


def of_presets(names: list[str], seconds: str) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name in tqdm(names, desc="presets", unit="preset"):
        found[name] = {"train": ours("train", name, seconds)}
        found[name] |= {backend: ours("predict", name, backend, seconds) for backend in ("eager", "compile", "onnx")}
    return found


def alternated(sides: dict[str, tuple[str, ...]], rounds: int, label: str) -> dict[str, dict[str, float]]:
    """Each command once per round; of each, the median of the rounds. Those that fail are left out."""
    measured: dict[str, list[dict[str, float]]] = {}
    for _ in tqdm(range(rounds), desc=label, unit="round"):
        for name, command in sides.items():
            found = run(*command)
            if found is not None:
                measured.setdefault(name, []).append(found)
    return {name: {key: statistics.median(m[key] for m in of) for key in of[0]} for name, of in measured.items()}


def compared(python: Path, seconds: str, rounds: int, kind: str) -> dict[str, dict[str, dict[str, float]]]:
    """`step` and `disk`: per side and setting, the median of the rounds."""
    mine, theirs = map(json.dumps, ARCHITECTURES[kind])
    we = (sys.executable, str(HERE / "policies_worker.py"))
    they = (str(python), str(HERE / "lerobot_worker.py"), kind, theirs, seconds)
    options: dict[str, tuple[str, ...]] = {"eager": (), "compiled": ("--compile",)}
    sides: dict[str, tuple[str, ...]] = {}
    for setting, option in options.items():
        sides |= {f"ours {setting}": (*we, "train", mine, seconds, *option), f"lerobot {setting}": (*they, *option)}
    step = alternated(sides, rounds, f"{kind}: step")
    if not {"ours", "lerobot"} <= {name.split()[0] for name in step}:
        return {"step": step, "disk": {}}
    b = best(step, "lerobot")[0].split()[1]
    steps = str(max(20, round(2 * float(seconds) * best(step, "ours")[1]["samples_per_s"] / BATCHES[kind])))
    sides = {f"ours {a}": (*we, "disk", mine, steps, *option) for a, option in options.items()}
    for n in LOADING:
        they_load = (*they, *options[b], "--workers", str(n))
        sides[f"lerobot {b}, {n} loading"] = they_load
        if n:  # held to one thread it leaves the other cores to loading, which may be quicker
            sides[f"lerobot {b}, {n} loading, 1 thread"] = ("env", "OMP_NUM_THREADS=1", *they_load)
    return {"step": step, "disk": alternated(sides, rounds, f"{kind}: from disk")}


def best(found: dict[str, dict[str, float]], who: str, room_mb: float = math.inf) -> tuple[str, dict[str, float]]:
    """The quickest of one side's settings, if it can be one of those with room in memory."""
    of = [(name, m) for name, m in found.items() if name.startswith(who)]
    return max(of, key=lambda item: (item[1]["peak_mb"] <= room_mb, item[1]["samples_per_s"]))


def show(value: dict[str, float] | None, key: str, digits: int = 1) -> str:
    return "-" if value is None else f"{value[key]:.{digits}f}"


def judge(kind: str, found: dict[str, dict[str, dict[str, float]]]) -> tuple[bool, str]:
    """Whether our best beats their best by enough from disk, and the sentence."""
    ratios = {}
    for what, of in found.items():
        if not {"ours", "lerobot"} <= {name.split()[0] for name in of}:
            return False, f"{kind}: not all could be measured"
        theirs, b = best(of, "lerobot")
        mine, a = best(of, "ours", MEMORY * b["peak_mb"])
        ratios[what] = a["samples_per_s"] / b["samples_per_s"]
    memory = a["peak_mb"] / b["peak_mb"]
    met = ratios["disk"] >= FASTER and memory <= MEMORY
    text = f"{kind}: {mine} {ratios['disk']:.2f} times {theirs}, {memory:.2f} of its memory (step {ratios['step']:.2f})"
    return met, text


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    small = [p.name for p in PRESETS if p.name.endswith(("_small", "_cpu"))]
    parser.add_argument("--presets", nargs="*", default=small, choices=[p.name for p in PRESETS], metavar="NAME")
    kinds = list(ARCHITECTURES)
    parser.add_argument("--against", nargs="*", default=kinds, choices=kinds, help="what to compare; default both")
    parser.add_argument("--seconds", default="10", help="of each measurement, after warm-up")
    parser.add_argument("--rounds", type=int, default=3, help="of the comparison")
    parser.add_argument("--lerobot", type=Path, default=LEROBOT, help="python of an environment with lerobot 0.4.4")
    parser.add_argument("--json", type=Path, help="write all figures there")
    given = parser.parse_args()
    if not given.lerobot.exists():
        print(f"policies: there is no {given.lerobot}; `make hardware` makes it.", file=sys.stderr)
        return 2
    table = of_presets(given.presets, given.seconds)
    against = {kind: compared(given.lerobot, given.seconds, given.rounds, kind) for kind in given.against}

    print(f"\n{'preset':36}{'samples/s':>10}{'MB':>7}   p50 / p99 [ms]: {'eager':>14}{'compiled':>15}{'ONNX':>15}")
    for name, m in table.items():
        times = [f"{show(m[b], 'p50_ms')} / {show(m[b], 'p99_ms')}" for b in ("eager", "compile", "onnx")]
        print(f"{name:36}{show(m['train'], 'samples_per_s', 0):>10}{show(m['train'], 'peak_mb', 0):>7}", end="")
        print(f"{'':19}{times[0]:>14}{times[1]:>15}{times[2]:>15}")
    print(f"\n{'identical architecture and batch':50}{'samples/s':>10}{'MB':>7}{'parameters':>13}")
    for kind, found in against.items():
        for label, m in ((f"{kind}, {what}, {name}", m) for what in found for name, m in found[what].items()):
            print(f"{label:50}{m['samples_per_s']:>10.1f}{m['peak_mb']:>7.0f}{m['parameters']:>13,.0f}")
    if given.json:
        given.json.write_text(json.dumps({"presets": table, "against": against}, indent=1) + "\n", encoding="utf-8")

    verdicts = [judge(kind, found) for kind, found in against.items()]
    beso = table.get("beso_state_small", {}).get("onnx")
    if beso is not None:
        verdicts.append((beso["p50_ms"] <= BESO_MS, f"BESO's 3 steps {beso['p50_ms']:.1f} ms"))
    met = all(ok for ok, _ in verdicts)
    print(f"\npolicies: {'; '.join(text for _, text in verdicts)}; "
          f"{'met' if met else f'MISSED: wanted {FASTER} times, no more memory, {BESO_MS:.0f} ms'}")  # fmt: skip
    return 0 if met else 1


if __name__ == "__main__":
    sys.exit(main())
