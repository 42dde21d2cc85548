"""Temporal ensembling: the action of a time is the mean of what all chunks say of it (Zhao et al., RSS 2023)."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from robot_learning.contract import Contract, parse_unit
from robot_learning.deployment.schedule import Slot, TimestampScheduler
from robot_learning.policies.act.config import DECAY
from robot_learning.rig_parts.sections import ExecutionConfig
from robot_learning.rotation import matrix_to_rotation_6d, rotation_6d_to_matrix

Parts = tuple[tuple[str, int], ...]  # unit and count, along an action


def action_parts(contract: Contract, actions: Sequence[str]) -> Parts:
    """The units of a policy's action vector, its features concatenated."""
    specs = [contract.spec_of(name) for name in actions]
    return tuple(part for spec in specs for part in parse_unit(spec.unit, spec.shape))


def mean_action(values: np.ndarray, weights: np.ndarray, parts: Parts) -> np.ndarray:
    """The weighted mean (Da,) of actions (n, Da) in the contract's units.

    What turns stays a rotation: a 6-D one is made orthonormal again, quaternions are averaged on one side of their
    double cover and normalised, angles on the circle. Good for rotations that are near each other, as those of
    chunks for one time are.
    """
    w = weights / weights.sum()
    mean = w @ values
    begin = 0
    for unit, count in parts:
        end = begin + count
        part = values[:, begin:end]
        if unit == "rotation_6d":
            mean[begin:end] = matrix_to_rotation_6d(rotation_6d_to_matrix(mean[begin:end]))
        elif unit == "quaternion_wxyz":
            sided = part * np.where(part @ part[0] < 0, -1.0, 1.0)[:, None]
            q = w @ sided
            mean[begin:end] = q / np.linalg.norm(q)
        elif unit == "angle_rad":
            mean[begin:end] = np.arctan2(w @ np.sin(part), w @ np.cos(part))
        begin = end
    return mean


class EnsembleScheduler(TimestampScheduler):
    """Each action at its own time: the mean of what all chunks that reach it say, the oldest weighted most.

    Args:
        parts: the units along an action, see `action_parts`.
    """

    def __init__(self, config: ExecutionConfig, step_ns: int, parts: Parts) -> None:
        super().__init__(config, step_ns)
        self._parts = parts

    def _merge(self, fresh: list[Slot]) -> None:
        half = self._step_ns // 2
        plan = list(self._plan)
        at = 0
        for slot in fresh:
            while at < len(plan) and plan[at].due_ns < slot.due_ns - half:
                at += 1
            if at < len(plan) and plan[at].due_ns <= slot.due_ns + half:
                plan[at].values += slot.values
                plan[at].chunk_ids += slot.chunk_ids
            else:
                plan.insert(at, slot)
            at += 1
        self._plan.clear()
        self._plan.extend(plan)

    def _combine(self, slot: Slot) -> np.ndarray:
        if len(slot.values) == 1:
            return slot.values[0]
        weights = np.exp(-DECAY * np.arange(len(slot.values)))
        return mean_action(np.stack(slot.values), weights, self._parts)
