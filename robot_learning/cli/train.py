"""`robot-learning train`: a policy from the demonstrations of a store."""

from __future__ import annotations

import os
import signal
import sys
import time
from dataclasses import replace
from pathlib import Path

import tyro

from robot_learning.errors import StoreError
from robot_learning.policies import presets
from robot_learning.training.config import DEFAULT_PRESET, TrainConfig
from robot_learning.training.folder import RunRecord


def main(arguments: list[str]) -> int:
    """Train, and say what to do with the result."""
    config = parse(arguments)
    import torch

    from robot_learning.training.trainer import train

    if "OMP_NUM_THREADS" not in os.environ and not torch.cuda.is_available():
        # Two threads beside anything else on the machine mostly wait for each other: 20 times slower, seen here.
        torch.set_num_threads(1)
    result = train(config)
    if result.stopped_by:
        print(
            f"robot-learning: stopped by {result.stopped_by} after step {result.step}; {result.checkpoint} is whole. "
            f"Go on with: robot-learning train --resume --output {result.output}",
            file=sys.stderr,
        )
        return 128 + signal.Signals[result.stopped_by]
    if os.environ.get("RANK", "0") == "0":
        print(f"trained {result.step} steps: {result.checkpoint}")
    return 0


def parse(arguments: list[str]) -> TrainConfig:
    """The configuration meant by a command line.

    The preset decides the defaults of all other options, and a run to resume those of all of them, so
    these two are looked up first.

    Raises:
        UserError: an unknown preset, a value that breaks a rule, no run to resume.
    """
    wanted = _value(arguments, "--policy")
    if "--resume" in arguments:
        output = _value(arguments, "--output")
        if output is None:
            raise StoreError("--resume needs the folder of the run to go on with; give it with --output.")
        default = replace(RunRecord.read(Path(output)).config, resume=True)
    else:
        chosen = presets.preset(wanted or DEFAULT_PRESET)
        # The store is mandatory: tyro asks for it where it is not given.
        default = TrainConfig(tyro.MISSING, policy=chosen.name, recipe=chosen.recipe, config=chosen.config)
    about = "\n".join(f"  {p.name}: {p.about}" for p in presets.PRESETS)
    description = f"Train a policy on the demonstrations of a store.\n\nPresets for --policy:\n{about}"
    config = tyro.cli(
        TrainConfig, prog="robot-learning train", args=arguments, default=default, description=description
    )
    if config.output is None:
        folder = Path("outputs/train") / f"{config.policy}-{time.strftime('%Y-%m-%d-%H%M%S')}"
        config = replace(config, output=folder)
    return config


def _value(arguments: list[str], option: str) -> str | None:
    """The value given to an option, as `--option value` or `--option=value`; the last one counts."""
    found = None
    for i, argument in enumerate(arguments):
        if argument == option and i + 1 < len(arguments):
            found = arguments[i + 1]
        elif argument.startswith(f"{option}="):
            found = argument.split("=", 1)[1]
    return found
