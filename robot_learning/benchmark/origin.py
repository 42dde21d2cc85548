"""Where a benchmark's figures come from: `provenance`, the GPU and the commit."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path
from typing import Any

from robot_learning.provenance import provenance


def origin() -> dict[str, Any]:
    """`provenance()` with `gpu` (None: there is none) and `commit` (None: not a git checkout)."""
    found = provenance()
    program, _, arguments = found["command"].partition(" ")
    typed = "robot-learning" if program == "main.py" else program  # python -m robot_learning.cli.main is the same
    return {**found, "command": f"{typed} {arguments}", "gpu": _gpu(), "commit": _commit()}


def _gpu() -> str | None:
    if shutil.which("nvidia-smi") is None:
        return None
    return _say("nvidia-smi", "--query-gpu=name", "--format=csv,noheader")


def _commit() -> str | None:
    """The commit of this package's checkout, with `+changes` where its own files differ from it."""
    here = str(Path(__file__).resolve().parent.parent)
    commit = _say("git", "-C", here, "rev-parse", "--short", "HEAD")
    changed = commit and _say("git", "-C", here, "status", "--porcelain", "--untracked-files=no", ".")
    return f"{commit}+changes" if changed else commit


def _say(*command: str) -> str | None:
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=20, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout.strip() or None if done.returncode == 0 else None
