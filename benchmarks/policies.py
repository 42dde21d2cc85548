"""How fast policies train and act, and how that compares with LeRobot's at the identical architecture and batch.

    python benchmarks/policies.py [--presets NAME ...] [--seconds 10] [--rounds 3] [--lerobot PYTHON] [--json FILE]

One table has each preset's training (samples/s, memory) and its inference for one observation (eager, compiled, ONNX
Runtime; one core). The other trains one ACT and one Diffusion Policy of ours and of LeRobot's, alternately, each in a
process of its own, in fp32 on one core, eager and compiled; each side's best setting counts. Met if ours trains at
least 1.3 times as quickly with no more memory, and BESO's 3 steps take at most 5 ms (p50, `beso_state_small`, ONNX).
"""

from __future__ import annotations

import argparse
import json
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


def run(*command: str) -> dict[str, float] | None:
    """What a worker printed last, or None with its complaint on standard error."""
    done = subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE_S, check=False)
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


def compared(python: Path, seconds: str, rounds: int) -> dict[str, Any]:
    """Per architecture, side and setting: the median of the rounds."""
    sides: dict[str, dict[str, list[dict[str, float]]]] = {kind: {} for kind in ARCHITECTURES}
    for number in tqdm(range(rounds), desc="against LeRobot", unit="round"):
        for kind, (mine, theirs) in ARCHITECTURES.items():
            for option in ((), ("--compile",)):
                setting = "compiled" if option else "eager"
                a = ours("train", json.dumps(mine), seconds, *option)
                b = run(str(python), str(HERE / "lerobot_worker.py"), kind, json.dumps(theirs), seconds, *option)
                for who, measured in (("ours", a), ("lerobot", b)):
                    if measured is not None:
                        sides[kind].setdefault(f"{who} {setting}", []).append(measured)
        del number
    return {
        kind: {
            name: {key: statistics.median(m[key] for m in measured) for key in measured[0]}
            for name, measured in found.items()
        }
        for kind, found in sides.items()
    }


def show(value: dict[str, float] | None, key: str, digits: int = 1) -> str:
    return "-" if value is None else f"{value[key]:.{digits}f}"


def judge(kind: str, found: dict[str, dict[str, float]]) -> tuple[bool, str]:
    """Whether our best beats their best by enough, and the sentence."""
    best = {}
    for who in ("ours", "lerobot"):
        settings = {name: m for name, m in found.items() if name.startswith(who)}
        if not settings:
            return False, f"{kind}: {who} could not be measured"
        best[who] = max(settings.items(), key=lambda item: item[1]["samples_per_s"])
    (mine, a), (theirs, b) = best["ours"], best["lerobot"]
    ratio, memory = a["samples_per_s"] / b["samples_per_s"], a["peak_mb"] / b["peak_mb"]
    met = ratio >= FASTER and memory <= MEMORY
    return met, f"{kind}: {mine} {ratio:.2f} times {theirs}, {memory:.2f} of its memory"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    small = [p.name for p in PRESETS if p.name.endswith(("_small", "_cpu"))]
    parser.add_argument("--presets", nargs="*", default=small, choices=[p.name for p in PRESETS], metavar="NAME")
    parser.add_argument("--seconds", default="10", help="of each measurement, after warm-up")
    parser.add_argument("--rounds", type=int, default=3, help="of the comparison")
    parser.add_argument("--lerobot", type=Path, default=LEROBOT, help="python of an environment with lerobot 0.4.4")
    parser.add_argument("--json", type=Path, help="write all figures there")
    given = parser.parse_args()
    if not given.lerobot.exists():
        print(f"policies: there is no {given.lerobot}; `make hardware` makes it.", file=sys.stderr)
        return 2
    table = of_presets(given.presets, given.seconds)
    against = compared(given.lerobot, given.seconds, given.rounds)

    print(f"\n{'preset':36}{'samples/s':>10}{'MB':>7}   p50 / p99 [ms]: {'eager':>14}{'compiled':>15}{'ONNX':>15}")
    for name, m in table.items():
        times = [f"{show(m[b], 'p50_ms')} / {show(m[b], 'p99_ms')}" for b in ("eager", "compile", "onnx")]
        print(f"{name:36}{show(m['train'], 'samples_per_s', 0):>10}{show(m['train'], 'peak_mb', 0):>7}", end="")
        print(f"{'':19}{times[0]:>14}{times[1]:>15}{times[2]:>15}")
    print(f"\n{'identical architecture and batch':36}{'samples/s':>10}{'MB':>7}{'parameters':>13}")
    for kind, found in against.items():
        for name, m in found.items():
            label = f"{kind}, {name}"
            print(f"{label:36}{m['samples_per_s']:>10.1f}{m['peak_mb']:>7.0f}{m['parameters']:>13,.0f}")
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
