"""The 50 tasks of MetaWorld v3 (Yu et al., CoRL 2019), all with one contract.

A Sawyer arm whose hand is moved by a mocap body. Goals and objects are drawn anew from the seed at
each reset. The goal, which MetaWorld's own observation hides, is a stream; features that only a
simulator knows are marked as privileged.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any, cast

import numpy as np

from robot_learning.drivers.mujoco.gl import choose_backend
from robot_learning.sim.adapter import Adapter, build_contract
from robot_learning.sim.metaworld_tasks import INSTRUCTIONS

TASKS = tuple(INSTRUCTIONS)
_RATE_HZ = 80.0  # 5 physics steps of 2.5 ms
_MAX_STEPS = 500
_CAMERA = "corner2"
_SIZE_PX = 128
_PICTURE_PX = 256

CONTRACT = build_contract(
    rig="metaworld",
    robot="metaworld_sawyer",
    rate_hz=_RATE_HZ,
    states=(
        ("ee_position", (3,), "m"),
        ("gripper_opening", (1,), "1"),
        ("objects", (14,), "m[3] 1[4] m[3] 1[4]"),
        ("goal_position", (3,), "m"),
    ),
    privileged=("objects", "goal_position"),
    cameras=(_CAMERA,),
    size=(_SIZE_PX, _SIZE_PX),
    action=((4,), "1"),
)
"""Frame `world`: x to the right of the arm, y away from it, z up.

- ee_position (3) [m] the hand; gripper_opening (1) in [0, 1].
- objects (14): position [m] and quaternion of up to two objects as MetaWorld gives them; the order of
  a quaternion's components differs between its tasks, and what a task lacks is zero.
- goal_position (3) [m]: where the object, or the hand, should be.
- corner2 (128, 128, 3), the right way up; corner2_depth (128, 128) [mm].
- action (4) in [-1, 1]: the hand's motion, 1 being a centimetre of the mocap body, and the gripper's effort.
"""


class MetaWorldEnv(Adapter):
    """One of `TASKS`. Success is the task's own; the episode ends with it."""

    def __init__(self, task: str, cameras: bool) -> None:
        choose_backend()  # before anything imports mujoco
        from metaworld.env_dict import ENV_CLS_MAP

        one = np.ones(4)
        super().__init__(f"metaworld/{task}", INSTRUCTIONS[task], CONTRACT, (-one, one), _MAX_STEPS, cameras)
        self._task = task
        self._env = env = ENV_CLS_MAP[task]()
        # MetaWorld's way in is a pickled Task; what it would set is set here: a visible goal, drawn at each reset.
        env._set_task_called = True
        env._partially_observable = False
        env.__dict__.pop("sawyer_observation_space", None)  # cached, with bounds that hide the goal
        env._freeze_rand_vec = False
        env.seeded_rand_vec = True
        self._scene = SimpleNamespace(model=env.model, data=env.data)
        self._renderers: dict[bool, Any] = {}

    def _begin(self, seed: int) -> None:
        self._env.seed(seed)
        self.vector, _ = self._env.reset()
        self._began_s = self._env.data.time

    def _advance(self, action: np.ndarray) -> tuple[np.ndarray, float, dict[str, Any]]:
        executed = np.clip(action, -1, 1)
        self.vector, reward, _, _, info = self._env.step(executed)
        return executed, float(reward), {"success": info["success"] > 0}

    def _measure(self) -> dict[str, np.ndarray]:
        values = {
            "ee_position": self.vector[:3].copy(),
            "gripper_opening": self.vector[3:4].copy(),
            "objects": self.vector[4:18].copy(),
            "goal_position": np.array(self._env._get_pos_goal(), np.float64),
        }
        if self._sees:
            colour, depth = self._renderer(fine=False).render(_CAMERA, depth=True)
            # The camera hangs head down: half a turn in the image puts it upright.
            values[_CAMERA], values[f"{_CAMERA}_depth"] = _upright(colour), _upright(depth)
        return values

    def _elapsed_s(self) -> float:
        return self._env.data.time - self._began_s

    def expert(self) -> MetaWorldExpert:
        return MetaWorldExpert(self, self._task)

    def render(self) -> np.ndarray:
        """What the camera sees, (256, 256, 3), with shadows."""
        return _upright(self._renderer(fine=True).render(_CAMERA)[0])

    def close(self) -> None:
        for renderer in self._renderers.values():
            renderer.close()
        self._renderers.clear()
        self._env.close()

    def _renderer(self, fine: bool) -> Any:
        from robot_learning.drivers.mujoco.camera import Renderer

        if fine not in self._renderers:
            size = _PICTURE_PX if fine else _SIZE_PX
            self._renderers[fine] = Renderer(self._scene, size, size, fine)
        return self._renderers[fine]


class MetaWorldExpert:
    """MetaWorld's own scripted policy of the task; it reads the simulator's state."""

    def __init__(self, env: MetaWorldEnv, task: str) -> None:
        from metaworld.policies import ENV_POLICY_MAP

        self._env = env
        self._make: Callable[[], Any] = ENV_POLICY_MAP[task]
        self.reset()

    def reset(self) -> None:
        """Begin a new episode."""
        self._policy = self._make()

    def act(self) -> np.ndarray:
        """The next action (4,), within [-1, 1]."""
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # it says each time that its action will be clipped
            action = self._policy.get_action(self._env.vector)
        return np.clip(np.asarray(action, np.float64), -1, 1)


def make(task: str, cameras: bool = True) -> MetaWorldEnv:
    """One of `TASKS`."""
    return MetaWorldEnv(task, cameras)


def _upright(image: np.ndarray | None) -> np.ndarray:
    return np.ascontiguousarray(cast(np.ndarray, image)[::-1, ::-1])
