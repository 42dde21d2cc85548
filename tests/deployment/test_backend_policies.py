"""Every kind of policy predicts the same through ONNX Runtime as through PyTorch."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from test_backends import camera_contract, observation

from robot_learning.deployment.backends import PolicyBackend
from robot_learning.policies import registry
from robot_learning.policies.beso.config import BesoConfig
from robot_learning.policies.encode import Encoding
from robot_learning.policies.normalizer import Normalizer
from robot_learning.policies.presets import PRESETS
from robot_learning.policies.view import View

NAMES = ("joints", "orientation")
SMALL = [p.name for p in PRESETS if p.name.endswith("state_small")]


def small_policy(name):
    config = next(p.config for p in PRESETS if p.name == name)
    if hasattr(config, "dims"):
        config = replace(config, dims=(16, 32), step_dim=16)
    spec = config.spec
    return made(config, View(NAMES, ("action",), spec, futures=NAMES if spec.future else ()))


def made(config, view):
    contract = camera_contract()
    dims = {n: Encoding(n, contract.spec_of(n)).dim for n in view.vectors(contract)}
    ones = {n: np.ones(dim) for n, dim in dims.items()}
    torch.manual_seed(0)
    normalizer = Normalizer(dict.fromkeys(dims, "min_max"), ones, {n: np.zeros(d) for n, d in dims.items()})
    return registry.make(config, contract, view, normalizer).eval()


def goal_policy():
    config = replace(BesoConfig(layers=1, heads=2, dim=16), goal=1, guidance=1.5)
    view = View(NAMES, ("action",), config.spec, goals=NAMES)
    return made(config, view)


@pytest.mark.parametrize("name", SMALL)
def test_onnx_predicts_what_pytorch_does(name):
    eager, other = PolicyBackend(small_policy(name)), PolicyBackend(small_policy(name), "onnx")
    To = eager.info.To
    for seed in range(2):
        window = {n: np.resize(v, (To, *v.shape[1:])) for n, v in observation(seed, NAMES).items()}
        a, b = (backend.infer(window, None, "") for backend in (eager, other))
        np.testing.assert_allclose(b, a, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("name", ["onnx", "compile"])
def test_a_back_end_s_goal_is_heeded_and_the_same_in_all(name):
    goal = {n: v[:1] for n, v in observation(7, NAMES).items()}
    eager, other = PolicyBackend(goal_policy(), goal=goal), PolicyBackend(goal_policy(), name, goal=goal)
    window = observation(0, NAMES)
    towards, elsewhere = eager.infer(window, None, ""), PolicyBackend(goal_policy()).infer(window, None, "")
    assert abs(towards - elsewhere).max() > 1e-3
    np.testing.assert_allclose(other.infer(window, None, ""), towards, rtol=1e-4, atol=1e-4)
