"""Manipulation tasks of robosuite 1.5 (Zhu et al., 2020): a Panda under operational-space control at 20 Hz."""

from __future__ import annotations

import logging
from types import SimpleNamespace
from typing import Any, NamedTuple

import numpy as np

from robot_learning.drivers.mujoco.gl import choose_backend
from robot_learning.sim.adapter import Adapter, build_contract
from robot_learning.sim.base import Expert

_RATE_HZ = 20.0
_MAX_STEPS = 400  # as robomimic evaluates
_SIZE_PX = 84
_PICTURE_PX = 256
_CAMERAS = {"agentview": "agentview", "eye_in_hand": "robot0_eye_in_hand"}
_COLLISION_GROUP = 0
_BUILD_SEED = 0  # sizes and colours that robosuite draws once, when it builds a task


class _Task(NamedTuple):
    """robosuite's own name, what one would tell a person, and how many numbers describe the objects."""

    env: str
    text: str
    objects: int


_TASKS = {
    "Lift": _Task("Lift", "Lift the cube off the table.", 10),
    "Can": _Task("PickPlaceCan", "Put the can into its bin.", 14),
    "Square": _Task("NutAssemblySquare", "Put the square nut over the square peg.", 14),
    "Door": _Task("Door", "Open the door.", 14),
    "Stack": _Task("Stack", "Put the small cube on the large one.", 23),
}
TASKS = tuple(_TASKS)


class RobosuiteEnv(Adapter):
    """One of `TASKS`; the episode ends with robosuite's own success. Frame `world`: z up, the table in front.

    - joint_position (7) [rad], joint_velocity (7) [rad/s], ee_position (3) [m], ee_orientation (4),
      scalar first, gripper_position (2) [m], both fingers.
    - objects: robosuite's `object-state` as it is: positions [m] and quaternions, scalar last. Its
      length depends on the task.
    - agentview, eye_in_hand (84, 84, 3), upright, and their depth [mm].
    - action (7) in [-1, 1]: translation, 1 being 5 cm, rotation vector, 1 being 0.5 rad, both from
      the present pose and in the robot's base frame; gripper, -1 open, 1 closed.
    """

    def __init__(self, task: str, cameras: bool) -> None:
        of = _TASKS[task]
        contract = build_contract(
            rig="robosuite",
            robot="robosuite_panda",
            rate_hz=_RATE_HZ,
            states=(
                ("joint_position", (7,), "rad"),
                ("joint_velocity", (7,), "rad/s"),
                ("ee_position", (3,), "m"),
                ("ee_orientation", (4,), "quaternion_wxyz"),
                ("gripper_position", (2,), "m"),
                ("objects", (of.objects,), "1"),
            ),
            privileged=("objects",),
            cameras=tuple(_CAMERAS),
            size=(_SIZE_PX, _SIZE_PX),
            action=((7,), "1"),
        )
        one = np.ones(7)
        super().__init__(f"robosuite/{task}", of.text, contract, (-one, one), _MAX_STEPS, cameras)
        self._task = task
        self._env = _build(of.env)
        self._scene = SimpleNamespace(model=self._env.sim.model._model, data=self._env.sim.data._data)
        self._renderers: dict[bool, Any] = {}

    def _begin(self, seed: int) -> None:
        # All placements draw from this one generator, which they hold: it is wound to the seed in place.
        self._env.rng.bit_generator.state = np.random.default_rng(seed).bit_generator.state
        self._env.reset()

    def _advance(self, action: np.ndarray) -> tuple[np.ndarray, float, dict[str, Any]]:
        executed = np.clip(action, -1, 1)
        _, reward, _, _ = self._env.step(executed)
        return executed, float(reward), {"success": self._env._check_success()}

    def _measure(self) -> dict[str, np.ndarray]:
        # Forced: robosuite's sensors otherwise keep their phase from the episode before.
        state = self._env._get_observations(force_update=True)
        values = {
            "joint_position": state["robot0_joint_pos"],
            "joint_velocity": state["robot0_joint_vel"],
            "ee_position": state["robot0_eef_pos"],
            "ee_orientation": np.roll(state["robot0_eef_quat"], 1),
            "gripper_position": state["robot0_gripper_qpos"],
            "objects": state["object-state"],
        }
        values = {name: np.array(value, np.float64) for name, value in values.items()}
        if self._sees:
            for name, camera in _CAMERAS.items():
                values[name], values[f"{name}_depth"] = self._renderer(fine=False).render(camera, depth=True)
        self.measured = values
        return values

    def _elapsed_s(self) -> float:
        return float(self._env.sim.data.time)

    def expert(self) -> Expert:
        return LiftExpert(self) if self._task == "Lift" else super().expert()

    def render(self) -> np.ndarray:
        """The scene from the front, (256, 256, 3), with shadows."""
        return self._renderer(fine=True).render("agentview")[0]

    def close(self) -> None:
        for renderer in self._renderers.values():
            renderer.close()
        self._renderers.clear()
        self._env.close()

    def _renderer(self, fine: bool) -> Any:
        from robot_learning.drivers.mujoco.camera import Renderer

        if fine not in self._renderers:
            size = _PICTURE_PX if fine else _SIZE_PX
            self._renderers[fine] = Renderer(self._scene, size, size, fine, hidden_groups=[_COLLISION_GROUP])
        return self._renderers[fine]


class LiftExpert:
    """Over the cube, down, close, up: a proportional controller on the true pose of the cube."""

    _GAIN = 10.0  # action per metre of error; 1 is 5 cm, so that half the error goes in each step
    _HOVER_M = 0.08
    _NEAR_M = 0.01
    _CLOSING_STEPS = 8

    def __init__(self, env: RobosuiteEnv) -> None:
        self._env = env
        self.reset()

    def reset(self) -> None:
        """Begin a new episode."""
        self._over, self._closing = False, 0

    def act(self) -> np.ndarray:
        """The next action (7,)."""
        ee, cube = self._env.measured["ee_position"], self._env.measured["objects"][:3]
        error = cube - ee
        self._over = self._over or bool(np.linalg.norm(error[:2]) < self._NEAR_M)
        if self._closing >= self._CLOSING_STEPS:
            return self._action(np.array([0, 0, 1.0]), closed=True)
        if self._closing or np.linalg.norm(error) < self._NEAR_M:
            self._closing += 1
            return self._action(np.zeros(3), closed=True)
        if not self._over:
            error[2] += self._HOVER_M
        return self._action(self._GAIN * error, closed=False)

    @staticmethod
    def _action(translation: np.ndarray, closed: bool) -> np.ndarray:
        return np.concatenate([np.clip(translation, -1, 1), np.zeros(3), [1.0 if closed else -1.0]])


def make(task: str, cameras: bool = True) -> RobosuiteEnv:
    """One of `TASKS`."""
    return RobosuiteEnv(task, cameras)


def _build(name: str) -> Any:
    suite, controllers = _library()
    config = controllers.load_composite_controller_config(robot="Panda")
    return suite.make(
        name,
        robots="Panda",
        controller_configs=config,
        has_renderer=False,
        has_offscreen_renderer=False,
        use_camera_obs=False,
        use_object_obs=True,
        control_freq=_RATE_HZ,
        hard_reset=False,  # a hard one builds the model anew, which takes seconds
        ignore_done=True,
        seed=_BUILD_SEED,
    )


def _library() -> tuple[Any, Any]:
    """robosuite without its notices about parts that aren't needed here."""
    before = logging.root.manager.disable
    logging.disable(logging.WARNING)
    choose_backend()  # before anything imports mujoco
    try:
        import robosuite
        from robosuite import controllers
    finally:
        logging.disable(before)
    logging.getLogger("robosuite_logs").setLevel(logging.ERROR)
    return robosuite, controllers
