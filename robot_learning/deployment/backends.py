"""What a policy server asks for chunks: any `Backend`; policies of checkpoints run in one of three ways.

| backend   | how                                                | good for                                    |
|-----------|----------------------------------------------------|---------------------------------------------|
| `eager`   | PyTorch as in training                             | everything; starts at once                  |
| `compile` | `torch.compile`, at start                          | GPUs, and CPUs where there is a C++ compiler |
| `onnx`    | networks exported at start and run by ONNX Runtime | CPUs                                        |

The sampling loop is the same in all three, so that they differ by rounding only.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Literal, Protocol, get_args

import numpy as np

from robot_learning.contract import Contract
from robot_learning.deployment.desk import expected_observation
from robot_learning.deployment.wire import ServerInfo
from robot_learning.errors import ConfigError
from robot_learning.policies.sampling import Sampling

if TYPE_CHECKING:
    from robot_learning.data.store import Episode
    from robot_learning.policies.base import Policy

BackendName = Literal["eager", "compile", "onnx"]


class Backend(Protocol):
    """Anything that predicts chunks."""

    @property
    def info(self) -> ServerInfo:
        """What it sees and predicts."""
        ...

    @property
    def contract(self) -> Contract:
        """The contract that it was made for."""
        ...

    def infer(self, observation: Mapping[str, np.ndarray], prefix: np.ndarray | None, instruction: str) -> np.ndarray:
        """One chunk.

        Args:
            observation: feature name to (To, *shape), in the contract's units and dtypes, images at `image_size`.
            prefix: (d, Da) committed actions that the chunk is to begin with; None: none.

        Returns:
            (info.chunk_length, Da) actions from the current step on, in the contract's units.
        """
        ...


class PolicyBackend:
    """A policy on a device, with a noise source of its own.

    Args:
        snapshot: hash of the data that the policy was trained on.
        seed: of the sampling noise.
        goal: what to reach, goal feature to (G, *shape); None: nothing is said.

    Raises:
        ConfigError: the backend can't run this policy here.
    """

    def __init__(
        self,
        policy: Policy,
        name: BackendName = "eager",
        snapshot: str = "",
        seed: int = 0,
        goal: Mapping[str, np.ndarray] | None = None,
    ) -> None:
        import torch

        if name not in get_args(BackendName):
            raise ConfigError(f"a backend is one of {', '.join(get_args(BackendName))}; got '{name}'.")
        self.contract = policy.contract
        view, executed = policy.view, policy.executed
        self.info = ServerInfo(
            policy=policy.config.policy,
            observations=view.observations,
            actions=view.actions,
            To=view.spec.To,
            Tp=view.spec.Tp,
            executed=(executed.start, executed.stop),
            image_size=view.image_size,
            policy_rate_hz=policy.contract.policy_rate_hz,
            backend=name,
            snapshot=snapshot,
            supports_prefix=policy.supports_prefix,
        )
        self._device = policy.device
        self._generator = torch.Generator().manual_seed(seed)
        if name == "onnx":
            from robot_learning.deployment.onnx_runtime import use_onnx

            use_onnx(policy, self.blank())
        elif name == "compile":
            from robot_learning.policies.compiled import compile_parts

            window = {n: torch.from_numpy(v[None]).to(policy.device) for n, v in self.blank().items()}
            policy.eval()
            with torch.no_grad():
                names = policy.networks(window)
            compile_parts([getattr(policy, name) for name in names], "--backend onnx or eager")
        self._policy = policy.eval()
        told = {name: torch.from_numpy(value[None].copy()).to(self._device) for name, value in (goal or {}).items()}
        self._more = {"goal": told} if told else {}

    def infer(self, observation: Mapping[str, np.ndarray], prefix: np.ndarray | None, instruction: str) -> np.ndarray:
        """See `Backend`; the instruction is not used, for these policies know one task."""
        import torch

        batch = {name: torch.from_numpy(value[None].copy()).to(self._device) for name, value in observation.items()}
        begin = None if prefix is None else torch.from_numpy(prefix[None].copy()).float().to(self._device)
        chunk = self._policy.predict(batch, [self._generator], begin, **self._more)[0, self.info.executed[0] :]
        return chunk.double().cpu().numpy()

    def blank(self) -> dict[str, np.ndarray]:
        """An observation of the right names, shapes and dtypes."""
        expected = expected_observation(self.info, self.contract)
        return {name: np.zeros(shape, dtype) for name, (dtype, shape) in expected.items()}

    def warm_up(self) -> float:
        """Predict twice on blanks, the first time for what is done once only, and return the second's time [s]."""
        for _ in range(2):
            began = time.perf_counter()
            self.infer(self.blank(), None, "")
        return time.perf_counter() - began


def load_backend(
    checkpoint: Path | str,
    name: BackendName,
    device: str = "cpu",
    seed: int = 0,
    sampling: Sampling | None = None,
    goal: Episode | None = None,
) -> PolicyBackend:
    """The backend for a checkpoint's policy, which is to sample as the checkpoint says, or with changes.

    Args:
        goal: a recording whose end is to be reached.

    Raises:
        StoreError: missing, damaged or of another version.
        ConfigError: the backend or the device can't be had, or the policy can't sample so.
        UserError: the policy takes no goal, or the recording has none for it.
    """
    import torch

    from robot_learning.policies import checkpoint as checkpoints
    from robot_learning.policies.goals import goal_at_end

    if device.startswith("cuda") and not torch.cuda.is_available():
        raise ConfigError(f"there is no CUDA device for --device {device}; choose --device cpu.")
    if name == "onnx" and device != "cpu":
        raise ConfigError(f"backend onnx runs on the CPU only; got --device {device}, choose eager or compile there.")
    record = checkpoints.describe(checkpoint)
    policy = (sampling or Sampling()).of(checkpoints.load(checkpoint, device=device))
    told = None if goal is None else goal_at_end(policy, goal)
    return PolicyBackend(policy, name, record["snapshot"], seed, told)
