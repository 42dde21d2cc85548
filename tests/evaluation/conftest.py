from __future__ import annotations

from pathlib import Path

import pytest
import torch

from robot_learning.data.windows import WindowSpec
from robot_learning.policies import checkpoint, registry
from robot_learning.policies.diffusion.config import DiffusionUNetConfig
from robot_learning.policies.encode import Encoding
from robot_learning.policies.normalizer import Normalizer
from robot_learning.policies.view import View
from robot_learning.sim.registry import make


@pytest.fixture(scope="session")
def untrained(tmp_path_factory) -> list[Path]:
    """Two checkpoints with random weights that fit panda/lift."""
    env = make("panda/lift", cameras=False)
    contract = env.contract
    env.close()
    view = View(("ee_position", "cube_position"), ("action",), WindowSpec(2, 16))
    names = (*view.observations, *view.actions)
    ones = {name: [1.0] * Encoding(name, contract.spec_of(name)).dim for name in names}
    normalizer = Normalizer(dict.fromkeys(names, "min_max"), ones, {n: [0.0] * len(v) for n, v in ones.items()})
    folders = []
    for seed in range(2):
        torch.manual_seed(seed)
        policy = registry.make(DiffusionUNetConfig(dims=(8,), step_dim=8, groups=4), contract, view, normalizer)
        folders.append(checkpoint.save(tmp_path_factory.mktemp("untrained") / "policy", policy, f"{seed}" * 64))
    return folders
