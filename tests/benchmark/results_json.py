"""A `results.json` as a suite leaves it, with made-up figures."""

from __future__ import annotations

import copy
from typing import Any

_MADE_BY = {
    "command": "robot-learning benchmark --suite pusht-human-state",
    "time": "2026-11-23T12:00:00+00:00",
    "machine": {"processor": "a CPU", "cores": 2, "memory_gb": 24.0, "system": "Linux"},
    "versions": {"python": "3.11.7", "torch": "2.13.0"},
    "gpu": None,
    "commit": "abc1234",
}


def cell(preset: str, task: str, successes: list[bool], seed: int = 0, level: str = "") -> dict[str, Any]:
    return {
        **_MADE_BY,
        "task": task, "level": level, "preset": preset, "seed": seed, "kind": "state",
        "steps": 1000, "training_seconds": 120.0, "demonstrations": 25, "inference_ms": 4.0, "privileged": ["objects"],
        "per_episode": [{"seed": 100_000 + i, "success": s, "score": float(s)} for i, s in enumerate(successes)],
    }  # fmt: skip


def results(cells: list[dict[str, Any]], suite: str = "pusht-human-state", **changes: Any) -> dict[str, Any]:
    made = {
        **_MADE_BY,
        "format": 1, "suite": suite, "about": "what it is",
        "training_seeds": [0], "evaluation_seeds": [100_000, 100_003],
        "compare": [], "cells": cells, "failed": {}, "missing": [],
    }  # fmt: skip
    return copy.deepcopy({**made, **changes})
