"""What every simulated task offers beyond Gymnasium: a contract, stamped samples, an expert."""

from __future__ import annotations

from typing import Any, Protocol

import gymnasium
import numpy as np

from robot_learning.contract import Contract
from robot_learning.data.sample import Sample


class Expert(Protocol):
    """A scripted demonstrator; it may read the simulator's true state."""

    def reset(self) -> None:
        """Begin a new episode; called after the environment's own reset."""
        ...

    def act(self) -> np.ndarray:
        """The next action, of the environment's action space."""
        ...


class SimEnv(gymnasium.Env[dict[str, np.ndarray], np.ndarray]):
    """A Gymnasium environment on a simulated clock.

    `step(action)` takes one action of the policy's rate: the concatenation of the contract's
    action features. Observations are a dict, stream name to newest value. `info["success"]` is
    decided from the simulator's state.

    Attributes:
        contract: all streams and features; set before the first reset.
        name: the registry's name, e.g. `panda/lift`.
        task: what to do, as one would tell a person.
        max_steps: steps after which an episode is truncated.
        watching: while False, cameras take no frames, which saves most of a step's time where nobody looks.
    """

    contract: Contract
    name: str
    task: str
    max_steps: int
    watching: bool = True

    @property
    def now_ns(self) -> int:
        """The simulated clock [ns]; starts again at each reset."""
        raise NotImplementedError

    def samples(self) -> list[Sample]:
        """All samples since the last call, in stamp order, each stream at its native rate.

        After `reset`: the first sample of each observation stream. After `step`: also the actions
        as commanded, gated and executed, stamped when the step began.
        """
        raise NotImplementedError

    def expert(self) -> Expert:
        """The scripted expert of this task."""
        raise NotImplementedError

    def render(self) -> Any:
        """An RGB picture for videos, (H, W, 3) uint8."""
        raise NotImplementedError
