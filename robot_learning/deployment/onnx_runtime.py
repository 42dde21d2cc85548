"""Policies' networks through ONNX Runtime: quicker than PyTorch on CPUs."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence

import numpy as np
import onnxruntime
import torch
from torch import Tensor, nn

from robot_learning.policies.base import Policy


def use_onnx(policy: Policy, observation: Mapping[str, np.ndarray]) -> None:
    """Put exported networks in the place of a policy's own; its sampling loop stays as it is.

    Args:
        observation: an example, feature name to (To, *shape).
    """
    policy.eval()
    window = {name: torch.from_numpy(observation[name][None]) for name in policy.observations}
    with torch.no_grad():
        networks = policy.networks(window)
    for name, example in networks.items():
        network = getattr(policy, name)
        if isinstance(example[0], Mapping):  # the observation encoder: ONNX knows no maps
            names = tuple(example[0])
            session = _session(_Named(network, names), tuple(example[0].values()))
            setattr(policy, name, _Observe(session, names))
        else:
            setattr(policy, name, _Run(_session(network, example)))


class _Named(nn.Module):
    """An observation encoder that takes its features in order, for ONNX knows no maps."""

    def __init__(self, observe: nn.Module, names: Sequence[str]) -> None:
        super().__init__()
        self.observe, self.names = observe, names

    def forward(self, *values: Tensor) -> Tensor:
        return self.observe(dict(zip(self.names, values, strict=True)))


class _Run(nn.Module):
    """An exported network in the place of the original."""

    def __init__(self, session: onnxruntime.InferenceSession) -> None:
        super().__init__()
        self._session = session
        self._inputs = [i.name for i in session.get_inputs()]

    def forward(self, *values: Tensor) -> Tensor:
        feed = {name: value.detach().contiguous().numpy() for name, value in zip(self._inputs, values, strict=True)}
        return torch.from_numpy(self._session.run(None, feed)[0])


class _Observe(nn.Module):
    """The exported observation encoder, called as the original is."""

    def __init__(self, session: onnxruntime.InferenceSession, names: Sequence[str]) -> None:
        super().__init__()
        self._run, self._names = _Run(session), names

    def forward(self, observation: Mapping[str, Tensor]) -> Tensor:
        return self._run(*(observation[name] for name in self._names))


def _session(module: nn.Module, example: tuple[Tensor, ...]) -> onnxruntime.InferenceSession:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)  # the exporter warns of its own code
        program = torch.onnx.export(module.eval(), example, dynamo=True, verbose=False)
    assert program is not None
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = torch.get_num_threads()
    return onnxruntime.InferenceSession(program.model_proto.SerializeToString(), options, ["CPUExecutionProvider"])
