"""`robot-learning doctor`: what is installed, what is missing, how to mend it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import tyro

from robot_learning.doctor import examine


@dataclass(frozen=True)
class Doctor:
    """Look at the installation: packages, rendering, GPU, ROS 2, disk.

    Exit code 0 where the base works, 1 where something that everything needs is missing.
    """


def main(arguments: list[str]) -> int:
    """Print one finding a line as it is made."""
    tyro.cli(Doctor, prog="robot-learning doctor", args=arguments)
    failed = False
    for finding in examine(Path.cwd()):
        failed |= finding.mark == "FAIL"
        print(f"{finding.mark:<5}{finding.what:<16}{finding.detail}", flush=True)
        if finding.remedy:
            print(f"{'':<21}-> {finding.remedy}", flush=True)
    return 1 if failed else 0
