"""The scripted expert of the Panda tasks: a smooth function of the state, with a little seeded variation."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from robot_learning.rotation import matrix_to_rotation_6d, matrix_to_rotation_vector, quaternion_to_matrix
from robot_learning.sim.panda_tasks import Task

if TYPE_CHECKING:
    from robot_learning.sim.panda import PandaEnv

_GAIN = 0.35  # share of the way to the waypoint that one step asks for
_SPEED_M_S = 0.40
_ANGULAR_SPEED_RAD_S = 1.5
_NOISE_M = 0.0015


class PandaExpert:
    """Steers the tool towards the task's waypoint, slower as it comes near.

    It keeps no phase and no timer: what it does follows from the measured state, as a policy's
    actions must. Noise on the position shows policies states a little beside the path, and
    what to do there.

    Args:
        noise_m: standard deviation of the position noise [m].
    """

    def __init__(self, env: PandaEnv, task: Task, noise_m: float = _NOISE_M) -> None:
        self._env, self._task, self._noise_m = env, task, noise_m
        self._period_s = 1 / env.contract.policy_rate_hz

    def reset(self) -> None:
        """Nothing to forget: the noise comes from the environment's own seeded generator."""

    def act(self) -> np.ndarray:
        """The next action, of the environment's action space."""
        state = self._env.robot.observe()
        want = self._task.expert(self._env.objects, state)
        step = _shorten(_GAIN * (want.position - state.ee_position), _SPEED_M_S * self._period_s)
        # The closer to the waypoint, the steadier the hand.
        noise = self._env.np_random.normal(0, self._noise_m, 3)
        position = state.ee_position + step + noise * min(1.0, np.linalg.norm(step) / 0.01)
        R = quaternion_to_matrix(state.ee_orientation)
        # Fingers down, turned by the yaw: the tool's x and y axes in the base frame.
        c, s = math.cos(want.yaw), math.sin(want.yaw)
        down = np.array([[c, s, 0.0], [s, -c, 0.0], [0.0, 0.0, -1.0]])
        turn = _shorten(_GAIN * matrix_to_rotation_vector(down @ R.T), _ANGULAR_SPEED_RAD_S * self._period_s)
        from robot_learning.rotation import rotation_vector_to_matrix

        rotation = rotation_vector_to_matrix(turn) @ R
        return self._action(position, rotation, want.gripper_width)

    def _action(self, position: np.ndarray, rotation: np.ndarray, width: float) -> np.ndarray:
        if self._env.rig.robot.command == "ee_target":
            return np.concatenate([position, matrix_to_rotation_6d(rotation), [width]])
        q = self._env.robot.observe().joint_position
        return np.append(self._env.robot.kinematics.inverse(position, rotation, q), width)


def _shorten(x: np.ndarray, longest: float) -> np.ndarray:
    return x * min(1.0, longest / max(float(np.linalg.norm(x)), 1e-12))
