"""A policy's parts through torch.compile, for training and for use."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterable

from torch import nn

from robot_learning.errors import ConfigError


def compile_parts(parts: Iterable[nn.Module], instead: str) -> None:
    """Compile modules in their places, for inputs of one shape; the work is done when each is first called.

    Noise stays outside (see `policies.noise`), so that the results are those of the uncompiled modules.

    Args:
        instead: what to choose where there is no C++ compiler, for the message.

    Raises:
        ConfigError: no C++ compiler.
    """
    compiler = os.environ.get("CXX", "g++")
    if shutil.which(compiler) is None:
        raise ConfigError(
            f"torch.compile needs a C++ compiler and there is no '{compiler}'; "
            f"install one (apt-get install g++) or choose {instead}."
        )
    for part in parts:
        part.compile(dynamic=False)


def trained_parts(policy: nn.Module) -> list[nn.Module]:
    """The children of a policy that have weights: what training spends its time in."""
    return [child for child in policy.children() if any(True for _ in child.parameters())]
