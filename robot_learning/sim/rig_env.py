"""A simulated rig as a Gymnasium environment: every command goes through the gate."""

from __future__ import annotations

from typing import Any, cast

import gymnasium
import numpy as np

from robot_learning.clock import seconds_to_ns
from robot_learning.contract import StreamSpec
from robot_learning.data.sample import Sample
from robot_learning.drivers.gate import FirstTargetRefused, Gate, GateResult
from robot_learning.drivers.interfaces import Target
from robot_learning.drivers.mujoco.camera import MujocoCamera, Renderer
from robot_learning.drivers.mujoco.scene import PICTURE, check_cameras
from robot_learning.drivers.mujoco.world import World
from robot_learning.drivers.targets import flatten, measured, to_target
from robot_learning.errors import ConfigError
from robot_learning.rig import Rig, load_rig
from robot_learning.sim.base import Expert, SimEnv
from robot_learning.sim.kinds import Kind, TaskExpert, kind_of
from robot_learning.sim.station import extra_streams

_STATE_STREAMS = (
    "joint_position", "joint_velocity", "joint_effort", "ee_position", "ee_orientation", "gripper_width",
    "base_pose", "base_velocity",
)  # fmt: skip
_PICTURE_PX = 256


class RigEnv(SimEnv):
    """One task on one rig.

    An action is one target of the rig's kind: tool position (3) [m], rotation_6d (6) and gripper
    width (1) [m] in the base frame; or joints (J) [rad, m], gripper width and, with a base that drives,
    its velocity (2) [m/s, rad/s]. What the gate refuses is not executed: the arm goes on to where it was
    last told to be.

    Args:
        task: one of the kind's.
        cameras: without them nothing is rendered; the contract stays the same.
    """

    metadata: dict[str, Any] = {"render_modes": ["rgb_array"]}
    render_mode = "rgb_array"

    def __init__(self, kind: Kind, task: str, cameras: bool = True, rig: Rig | None = None) -> None:
        self._rig = rig = rig or load_rig(kind.rig)
        self._kind, self._task = kind, kind.task(task, rig.simulation.spread if rig.simulation else 1.0)
        self.name, self.task, self.max_steps = f"{kind.name}/{task}", self._task.text, self._task.max_steps
        self.contract = rig.contract(extra_streams(rig, self._task))
        self._world = World(kind.scene(self._task.objects_xml()))
        check_cameras(rig.cameras, self._world.model)
        self.robot = kind.robot(rig, self._world)
        self.gate = Gate(
            self.robot,
            rig.limits,
            self._world,
            rig.policy.rate_hz,
            kinematics=self.robot.kinematics.position,
            joint_units=rig.robot.joint_units,
        )
        self._objects: list[dict[str, np.ndarray]] = []
        self._world.every(rig.robot.state_rate_hz, lambda _: self._objects.append(self._task.read(self._world)))
        self._cameras = [MujocoCamera(n, c, self._world) for n, c in rig.cameras.items()] if cameras else []
        for camera in self._cameras:
            camera.connect()
        self._picture: Renderer | None = None
        self._specs = {spec.name: spec for spec in self.contract.streams}
        self._state_streams = [name for name in _STATE_STREAMS if name in self._specs]
        self._period_ns = seconds_to_ns(1 / rig.policy.rate_hz)
        self._ee = rig.robot.command == "ee_target"
        self.action_space = self._action_space()
        shown = [self._specs[f.stream] for f in self.contract.observations]
        self._shown = [spec.name for spec in shown if cameras or spec.unit not in ("rgb", "depth_mm")]
        spaces: dict[str, gymnasium.Space[Any]] = {name: _space(self._specs[name]) for name in self._shown}
        self.observation_space = cast(Any, gymnasium.spaces.Dict(spaces))

    @property
    def now_ns(self) -> int:
        return self._world.now_ns()

    def reset(self, *, seed: int | None = None, options: dict | None = None) -> tuple[dict[str, np.ndarray], dict]:
        """Place arm and objects anew; `options` is unused."""
        super().reset(seed=seed)
        self._kind.place(self._rig, self._task, self._world, self.robot, self.np_random)
        for camera in self._cameras:
            camera.restart()
            camera.covered = False
        self._objects.clear()
        self._samples: list[Sample] = []
        self._sequence = dict.fromkeys(self._specs, 0)
        self._newest: dict[str, np.ndarray] = {}
        self._steps = self._held = 0
        self._world.start()
        self.gate.reset()
        self.gate.activate()
        self._collect()
        return self._observation(), {"success": False}

    def step(self, action: np.ndarray) -> tuple[dict[str, np.ndarray], float, bool, bool, dict]:
        commanded = self._target(np.asarray(action, dtype=np.float64))
        gated, executed, trips = self._command(commanded)
        for stage, target in (("commanded", commanded), ("gated", gated), ("executed", executed)):
            self._emit(f"action_{stage}", self.now_ns, flatten(target))
        for camera in self._cameras:
            camera.covered = not self.watching
        self._world.advance_to(self.now_ns + self._period_ns)
        self._collect()
        self._steps += 1
        self._held = self._held + 1 if self._task.done(self.objects, self.robot.observe()) else 0
        success = self._held >= self._task.hold_steps
        truncated = not success and self._steps >= self.max_steps
        info = {"success": success, "trips": [trip.name for trip in trips]}
        return self._observation(), float(success), success, truncated, info

    def samples(self) -> list[Sample]:
        out, self._samples = self._samples, []
        # Sorted by stamp; of equal stamps the state comes first, then the action that answers it.
        return sorted(out, key=lambda s: (s.stamp_ns, s.stream.startswith("action")))

    def expert(self) -> Expert:
        return _Expert(self, self._kind.expert(self._rig, self._task))

    def render(self) -> np.ndarray:
        """The scene from beside the table, (256, 256, 3), with shadows."""
        if self._picture is None:
            self._picture = Renderer(self._world, _PICTURE_PX, _PICTURE_PX, fine=True)
        return self._picture.render(PICTURE)[0]

    def close(self) -> None:
        for camera in self._cameras:
            camera.disconnect()
        if self._picture is not None:
            self._picture.close()
            self._picture = None

    @property
    def rig(self) -> Rig:
        """The rig that this environment simulates."""
        return self._rig

    @property
    def objects(self) -> dict[str, np.ndarray]:
        """The newest values of the task's own streams."""
        return {name: self._newest[name] for name in self._task.streams}

    def _command(self, target: Target) -> tuple[Target, Target, tuple]:
        try:
            result = self.gate.command(target)
        except FirstTargetRefused as refused:
            result = GateResult(target, None, None, (refused.trip,))
        if result.gated is not None and result.executed is not None:
            return result.gated, result.executed, result.trips
        held = self.gate.reference(self.now_ns)
        if held is None:
            held = measured(self._rig.robot.command, self.robot.observe(), self.now_ns)
        return held, held, result.trips

    def _target(self, action: np.ndarray) -> Target:
        if action.shape != self.action_space.shape:
            raise ValueError(f"an action of {self.name} has shape {self.action_space.shape}, got {action.shape}")
        return to_target(self._rig.robot, action, self.now_ns)

    def _collect(self) -> None:
        """Turn what robot, task and cameras measured since the last call into samples."""
        for state, objects in zip(self.robot.states, self._objects, strict=True):
            for name in self._state_streams:
                self._emit(name, state.stamp_ns, getattr(state, name))
            for name, value in objects.items():
                self._emit(name, state.stamp_ns, value)
        self.robot.states.clear()
        self._objects.clear()
        for camera in self._cameras:
            for frame in camera.frames:
                self._emit(camera.name, frame.stamp_ns, frame.colour)
                if frame.depth is not None:
                    self._emit(f"{camera.name}_depth", frame.stamp_ns, frame.depth)
            camera.frames.clear()

    def _emit(self, stream: str, stamp_ns: int, value: np.ndarray) -> None:
        self._samples.append(Sample(stream, stamp_ns, stamp_ns, self._sequence[stream], value))
        self._sequence[stream] += 1
        self._newest[stream] = value

    def _observation(self) -> dict[str, np.ndarray]:
        return {name: self._newest[name] for name in self._shown}

    def _action_space(self) -> gymnasium.spaces.Box:
        limits = self._rig.limits
        if self._ee:
            low, high = [*limits.workspace_min_m, *[-1.0] * 6], [*limits.workspace_max_m, *[1.0] * 6]
        else:
            low, high = list(limits.joint_position_min), list(limits.joint_position_max)
        low, high = [*low, limits.gripper_width_min_m], [*high, limits.gripper_width_max_m]
        if limits.base:
            most = [limits.base.speed_max_m_s, limits.base.angular_speed_max_rad_s]
            low, high = [*low, *(-x for x in most)], [*high, *most]
        return gymnasium.spaces.Box(np.array(low), np.array(high), dtype=np.float64)


class _Expert:
    """The scripted expert in its environment: it sees the simulator's state and wanders by the episode's seed."""

    def __init__(self, env: RigEnv, expert: TaskExpert) -> None:
        self._env, self.reset, self._act = env, expert.reset, expert.act

    def act(self) -> np.ndarray:
        env = self._env
        return self._act(env.robot.observe(), env.objects, env.gate.reference(env.now_ns), env.np_random)


def make_rig(name_or_path: str, cameras: bool = True) -> RigEnv:
    """A simulated rig with the task of its own.

    Raises:
        ConfigError: the rig is not simulated.
        UnknownName: its robot has no such task.
    """
    rig = load_rig(name_or_path)
    if rig.simulation is None:
        raise ConfigError(f"the rig {name_or_path} is not simulated: it has no section 'simulation'.")
    env = RigEnv(kind_of(rig), rig.simulation.task, cameras, rig)
    env.name = f"rig/{name_or_path}"
    return env


def _space(spec: StreamSpec) -> gymnasium.spaces.Box:
    if np.dtype(spec.dtype).kind == "u":
        return gymnasium.spaces.Box(0, np.iinfo(spec.dtype).max, spec.shape, np.dtype(spec.dtype))
    return gymnasium.spaces.Box(-np.inf, np.inf, spec.shape, np.dtype(spec.dtype))
