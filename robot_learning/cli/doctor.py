"""`robot-learning doctor`: what is installed, what is missing, how to mend it; with a rig, whether it can be driven."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import chain
from pathlib import Path

import tyro

from robot_learning.doctor import examine
from robot_learning.rig_doctor import examine_rig


@dataclass(frozen=True)
class Doctor:
    """Look at the installation: packages, rendering, GPU, ROS 2, disk. With --rig, at a rig's robot and cameras, too.

    Nothing moves by it. Exit code 0 where the base works, and the rig; 1 where something that is needed is missing.

    Args:
        rig: name of a rig in hardware_configs/, or the path of a rig file.
    """

    rig: str = ""


def main(arguments: list[str]) -> int:
    """Print one finding a line as it is made."""
    options = tyro.cli(Doctor, prog="robot-learning doctor", args=arguments)
    failed = False
    for finding in chain(examine(Path.cwd()), examine_rig(options.rig) if options.rig else ()):
        failed |= finding.mark == "FAIL"
        print(f"{finding.mark:<5}{finding.what:<20} {finding.detail}", flush=True)
        if finding.remedy:
            print(f"{'':<26}-> {finding.remedy}", flush=True)
    return 1 if failed else 0
