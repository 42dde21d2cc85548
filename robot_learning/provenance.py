"""Where a result comes from: the command, the machine and the versions behind it, for reports and checkpoints."""

from __future__ import annotations

import os
import platform
import shlex
import sys
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path
from typing import Any

PACKAGES = (
    "robot_learning",
    "numpy",
    "zarr",
    "torch",
    "diffusers",
    "mujoco",
    "gymnasium",
    "robosuite",
    "metaworld",
    "gym-pusht",
)


def provenance() -> dict[str, Any]:
    """What is needed to judge and to repeat a result, JSON-ready."""
    return {"command": command(), "time": datetime.now(UTC).isoformat(timespec="seconds")} | {
        "machine": machine(),
        "versions": versions(),
    }


def command() -> str:
    """The command that runs now, as one would type it."""
    program, *arguments = sys.argv
    return shlex.join([Path(program).name, *arguments])


def machine() -> dict[str, Any]:
    """Processor, cores that this process may use, memory, system."""
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    return {
        "processor": _processor(),
        "cores": len(os.sched_getaffinity(0)),
        "memory_gb": round(memory / 1e9, 1),
        "system": platform.platform(),
    }


def versions() -> dict[str, str]:
    """Python and the packages that decide a result, where installed."""
    found = {"python": platform.python_version()}
    for package in PACKAGES:
        try:
            found[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            continue
    return found


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor()
    return next((line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")), platform.machine())
