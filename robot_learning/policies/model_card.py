"""The model card of a checkpoint: `README.md`, for people, beside `checkpoint.json`, for programs."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from robot_learning.policies.base import Policy


def model_card(policy: Policy, snapshot: str, training: Mapping[str, Any]) -> str:
    """Markdown with front matter: what the policy is, what it saw, what it is for.

    Args:
        snapshot: hash of the data that it was trained on.
        training: what `checkpoint.save` remembers; what is not in it is called unknown.
    """
    contract, view, config = policy.contract, policy.view, policy.config
    run = training.get("run", {})
    steps, batch_size = (run.get("recipe", {}).get(name, "unknown") for name in ("steps", "batch_size"))
    weights = sum(p.numel() for p in policy.parameters())
    methods = ", ".join(f"{n} {policy.normalizer.methods[n]}" for n in sorted(policy.normalizer.methods))
    return f"""---
library_name: robot_learning
tags: [robotics, imitation-learning, {config.policy}]
---

# {config.policy} for {contract.rig}

| what | |
|---|---|
| preset | {training.get("preset", "unknown")} |
| parameters | {weights:,} |
| observations | {", ".join(view.observations)}; the last {view.spec.To} |
| actions | {", ".join(view.actions)}; {view.spec.Tp} predicted, {config.Ta} executed |
| policy rate | {contract.policy_rate_hz:g} Hz |
| normalisation | {methods} |

## Data

Snapshot `{snapshot}`: {len(training.get("train_episodes", ()))} episodes to train on,
{len(training.get("val_episodes", ()))} held out. `checkpoint.json` has their ids.

## Training

{training.get("step", "unknown")} of {steps} steps, batches of {batch_size}
windows in each of {training.get("processes", "unknown")} processes, seed {run.get("seed", "unknown")}.
Losses are in the run's `metrics.jsonl`, the whole configuration is in `checkpoint.json`.

## Results

None are kept here, for a checkpoint is never changed: `robot-learning evaluate` writes them into its own folder,
with the name of the checkpoint.

## Intended use and limits

For the rig `{contract.rig}` ({contract.robot}) and the task of its demonstrations. Elsewhere, and in situations that
the demonstrations do not show, its actions mean nothing. It is not a safety function: limits are kept by the gate
and the robot's own controller, and a person must be able to stop it.
"""
