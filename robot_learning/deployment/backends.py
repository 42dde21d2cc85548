"""What a policy server asks for chunks."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

import numpy as np

from robot_learning.contract import Contract
from robot_learning.deployment.wire import ServerInfo


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
