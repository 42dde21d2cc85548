"""PushT from gym-pusht: a disc pushes a T-shaped block onto its outline (Chi et al., RSS 2023).

The physics are those behind the published demonstrations: from a demonstration's first state, its
actions lead through its states. The demonstrations end at a coverage of 0.86 to 0.97, all but 7 of 206
below the 0.95 that counts as success here, so the score, which is what the literature reports, is
the finer measure.
"""

from __future__ import annotations

import os
from typing import Any

import numpy as np

from robot_learning.data.layouts import LAYOUTS, PUSHT, PUSHT_BOARD_PX, pusht_keypoints
from robot_learning.sim.adapter import Adapter

TASKS = ("pusht",)
_SUCCESS_COVERAGE = 0.95
_MAX_STEPS = 300
_PICTURE_PX = 256


class PushTEnv(Adapter):
    """Contract: `robot_learning.data.layouts.PUSHT`. There is no depth.

    `info` has `coverage`, the part of the outline that the block covers now, and `score`, the
    episode's largest `clip(coverage / 0.95, 0, 1)`.
    """

    def __init__(self, cameras: bool) -> None:
        os.environ.setdefault("PYGAME_HIDE_SUPPORT_PROMPT", "1")
        from gym_pusht.envs import pusht

        board = np.zeros(2), np.full(2, PUSHT_BOARD_PX)
        super().__init__("pusht", LAYOUTS["pusht"].task, PUSHT, board, _MAX_STEPS, cameras)
        self._env = pusht.PushTEnv(visualization_width=_PICTURE_PX, visualization_height=_PICTURE_PX)

    def _begin(self, seed: int) -> None:
        self._info = self._env.reset(seed=seed)[1]
        self._periods = 0
        self._score = 0.0

    def _advance(self, action: np.ndarray) -> tuple[np.ndarray, float, dict[str, Any]]:
        executed = np.clip(action, 0, PUSHT_BOARD_PX)
        _, _, _, _, self._info = self._env.step(executed)
        self._periods += 1
        coverage = float(self._info["coverage"])
        reward = min(max(coverage / _SUCCESS_COVERAGE, 0.0), 1.0)
        self._score = max(self._score, reward)
        success = coverage > _SUCCESS_COVERAGE
        return executed, reward, {"success": success, "coverage": coverage, "score": self._score}

    def _measure(self) -> dict[str, np.ndarray]:
        x, y, angle = self._info["block_pose"]
        position, turned = np.array([x, y]), np.array([angle % (2 * np.pi)])
        values = {
            "agent_position": np.array(self._info["pos_agent"], np.float64),
            "block_position": position,
            "block_angle": turned,
            "keypoint": pusht_keypoints(position, turned),
            "contacts": np.array([float(self._info["n_contacts"])]),
        }
        return values | {"image": self._env._render()} if self._sees else values

    def _elapsed_s(self) -> float:
        # pymunk has no clock: gym-pusht takes a whole number of its steps in each period.
        return self._periods / self._env.control_hz

    def render(self) -> np.ndarray:
        """The board with the target of the disc, (256, 256, 3)."""
        return self._env.render()

    def close(self) -> None:
        self._env.close()


def make(task: str, cameras: bool = True) -> PushTEnv:
    """The only task."""
    return PushTEnv(cameras)
