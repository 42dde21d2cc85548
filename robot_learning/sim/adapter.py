"""What the adapters to other people's benchmark environments share: samples, action streams, checks."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import gymnasium
import numpy as np

from robot_learning.clock import seconds_to_ns
from robot_learning.contract import Contract, Feature, StreamSpec
from robot_learning.data.sample import Sample
from robot_learning.errors import SafetyError, UserError
from robot_learning.sim.base import Expert, SimEnv

PICTURES = ("rgb", "depth_mm")
_STAGES = ("commanded", "gated", "executed")


class Adapter(SimEnv):
    """A benchmark environment behind our interface; subclasses add the four methods with an underscore.

    All streams have one rate, that of the policies. An action is checked for shape and finite values
    only: `action_commanded` and `action_gated` are alike, `action_executed` is what the environment
    made of it. An episode terminates with success.

    Args:
        name: the registry's name.
        task: what to do, as one would tell a person.
        actions: lowest and highest action, (Da,) each.
        cameras: without them, `_measure` gives no images and no depth, nor while nobody is `watching`.
    """

    metadata: dict[str, Any] = {"render_modes": ["rgb_array"]}
    render_mode = "rgb_array"

    def __init__(
        self,
        name: str,
        task: str,
        contract: Contract,
        actions: tuple[np.ndarray, np.ndarray],
        max_steps: int,
        cameras: bool,
    ) -> None:
        self.name, self.task, self.contract, self.max_steps = name, task, contract, max_steps
        self.cameras = cameras
        self.action_space = gymnasium.spaces.Box(*actions, dtype=np.float64)
        shown = [contract.stream(f.stream) for f in contract.observations]
        spaces: dict[str, gymnasium.Space] = {
            spec.name: _space(spec) for spec in shown if cameras or spec.unit not in PICTURES
        }
        self.observation_space = gymnasium.spaces.Dict(spaces)  # type: ignore[assignment]  # Dict is a Space of Any

    @property
    def _sees(self) -> bool:
        """Whether `_measure` is to give images and depth now."""
        return self.cameras and self.watching

    def _begin(self, seed: int) -> None:
        """Start an episode; the same seed always gives the same start."""
        raise NotImplementedError

    def _advance(self, action: np.ndarray) -> tuple[np.ndarray, float, dict[str, Any]]:
        """Simulate one period: the action as executed, the reward, and an info dict with `success`."""
        raise NotImplementedError

    def _measure(self) -> dict[str, np.ndarray]:
        """Stream name to value, now; those of the observations, and perhaps more of the contract."""
        raise NotImplementedError

    def _elapsed_s(self) -> float:
        """Simulated time since `_begin` [s]."""
        raise NotImplementedError

    @property
    def now_ns(self) -> int:
        return seconds_to_ns(self._elapsed_s())

    def reset(self, *, seed: int | None = None, options: dict | None = None) -> tuple[dict[str, np.ndarray], dict]:
        """Begin an episode; without a seed, one that follows from the last seed given. `options` is unused."""
        super().reset(seed=seed)
        self._begin(int(self.np_random.integers(2**31)) if seed is None else seed)
        self._steps = 0
        self._samples: list[Sample] = []
        self._sequence: dict[str, int] = {}
        return self._observe(), {"success": False}

    def step(self, action: np.ndarray) -> tuple[dict[str, np.ndarray], float, bool, bool, dict]:
        commanded = self._checked(action)
        began_ns = self.now_ns
        executed, reward, info = self._advance(commanded.copy())
        for stage, value in zip(_STAGES, (commanded, commanded, executed), strict=True):
            self._emit(f"action_{stage}", began_ns, value)
        self._steps += 1
        success = bool(info["success"])
        truncated = not success and self._steps >= self.max_steps
        return self._observe(), float(reward), success, truncated, {**info, "success": success}

    def samples(self) -> list[Sample]:
        out, self._samples = self._samples, []
        return out

    def expert(self) -> Expert:
        raise UserError(
            f"{self.name} has no scripted expert; import demonstrations with 'robot-learning data import', or let a "
            "policy act."
        )

    def _checked(self, action: np.ndarray) -> np.ndarray:
        action = np.array(action, dtype=np.float64)
        if action.shape != self.action_space.shape:
            raise ValueError(f"an action of {self.name} has shape {self.action_space.shape}, got {action.shape}")
        if not np.isfinite(action).all():
            raise SafetyError(f"{self.name} takes finite actions only; got {action.tolist()}.")
        return action

    def _observe(self) -> dict[str, np.ndarray]:
        values, now = self._measure(), self.now_ns
        for name, value in values.items():
            self._emit(name, now, value)
        return {name: values[name] for name in self.observation_space if name in values}  # type: ignore[attr-defined]

    def _emit(self, stream: str, stamp_ns: int, value: np.ndarray) -> None:
        sequence = self._sequence.get(stream, 0)
        self._sequence[stream] = sequence + 1
        self._samples.append(Sample(stream, stamp_ns, stamp_ns, sequence, value))


def build_contract(
    rig: str,
    robot: str,
    rate_hz: float,
    states: Sequence[tuple[str, tuple[int, ...], str]],
    privileged: Sequence[str],
    cameras: Sequence[str],
    size: tuple[int, int],
    action: tuple[tuple[int, ...], str],
) -> Contract:
    """A contract in which everything has one rate and a feature of the same name.

    Args:
        states: name, shape and unit of each vector, in the world's frame.
        privileged: those of them that only a simulator knows.
        cameras: each gives a colour stream of its name and a depth stream `<name>_depth`.
        size: of their images, (height, width).
        action: shape and unit.
    """

    def vector(name: str, shape: tuple[int, ...], unit: str) -> StreamSpec:
        return StreamSpec(name=name, shape=shape, dtype="float64", unit=unit, rate_hz=rate_hz, frame="world")

    specs = [vector(*state) for state in states]
    for camera in cameras:
        frame = f"{camera}_optical"
        specs += [
            StreamSpec(
                name=camera, shape=(*size, 3), dtype="uint8", unit="rgb", rate_hz=rate_hz, frame=frame, codec="jpeg"
            ),
            StreamSpec(
                name=f"{camera}_depth", shape=size, dtype="uint16", unit="depth_mm", rate_hz=rate_hz, frame=frame,
                codec="depth",
            ),
        ]  # fmt: skip
    observed = [(spec.name, spec.name) for spec in specs]
    specs += [vector(f"action_{stage}", *action) for stage in _STAGES]
    return Contract(
        rig=rig,
        robot=robot,
        policy_rate_hz=rate_hz,
        streams=tuple(specs),
        features=tuple(
            Feature(
                name=name, stream=stream, role="action" if name == "action" else "observation",
                alignment="previous", max_age_s=1 / rate_hz, privileged=name in privileged,
            )
            for name, stream in [*observed, ("action", "action_gated")]
        ),
    )  # fmt: skip


def _space(spec: StreamSpec) -> gymnasium.spaces.Box:
    dtype = np.dtype(spec.dtype)
    if dtype.kind == "u":
        return gymnasium.spaces.Box(0, np.iinfo(dtype).max, spec.shape, dtype)  # type: ignore[arg-type]
    return gymnasium.spaces.Box(-np.inf, np.inf, spec.shape, dtype)  # type: ignore[arg-type]
