"""`robot-learning import-policy`: a checkpoint of LeRobot as one of ours."""

from __future__ import annotations

from pathlib import Path

import tyro
from tyro.conf import Positional


def import_policy(source: Positional[Path], output: Positional[Path], rate_hz: float, robot: str = "") -> int:
    """Import a LeRobot checkpoint: ACT or Diffusion Policy, from state and images; its outputs stay the same.

    Args:
        source: folder of the checkpoint: config.json, model.safetensors, and policy_preprocessor.json and
            policy_postprocessor.json with their statistics.
        output: folder to make.
        rate_hz: of the dataset that it was trained on; the checkpoint does not say.
        robot: the kind of robot, which the rig that runs it must share; default: the folder's name.
    """
    from robot_learning.policies.lerobot.importing import import_checkpoint

    imported = import_checkpoint(source, output, rate_hz, robot)
    for note in imported.notes:
        print(note)
    print(f"checkpoint: {imported.path}")
    return 0


def main(arguments: list[str]) -> int:
    """Import one."""
    return tyro.cli(import_policy, prog="robot-learning import-policy", args=arguments)
