"""A policy server whose policy leads the arm around a slow circle; its inference time is that of a real network.

    python benchmarks/circle_server.py RIG ENDPOINT

Not a trained policy: the network is a small diffusion policy's with random weights, through ONNX Runtime; it is run for
its time, and what it says is thrown away.
"""

from __future__ import annotations

import math
import signal
import sys
from collections.abc import Mapping
from dataclasses import replace

import numpy as np
import onnxruntime
import torch

from robot_learning.contract import Contract
from robot_learning.deployment.server import PolicyServer
from robot_learning.deployment.wire import ServerInfo
from robot_learning.policies.diffusion.config import DiffusionUNetConfig
from robot_learning.policies.diffusion.unet import ConditionalUNet
from robot_learning.policies.presets import preset
from robot_learning.rig import load_rig
from robot_learning.rotation import matrix_to_rotation_6d, quaternion_to_matrix
from robot_learning.sim.station import station_contract

PRESET = "diffusion_unet_state_small"
CENTRE, RADIUS_M, SPEED_M_S = np.array([0.50, 0.0, 0.30]), 0.06, 0.10
IMAGE = (96, 96)
_INPUTS = (torch.zeros(1, 16, 10), torch.tensor([0]), torch.zeros(1, 40))


class Circle:
    """A backend: the present tool pose, led towards and around a circle in the x-y plane."""

    def __init__(self, contract: Contract) -> None:
        self.contract = contract
        config = preset(PRESET).config
        assert isinstance(config, DiffusionUNetConfig)
        self._steps = config.inference_steps
        network = ConditionalUNet(10, 40, replace(config, Tp=16)).eval()
        program = torch.onnx.export(network, _INPUTS, dynamo=True, verbose=False)
        assert program is not None
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1
        self._network = onnxruntime.InferenceSession(program.model_proto.SerializeToString(), options)
        self._feed = {i.name: x.numpy() for i, x in zip(self._network.get_inputs(), _INPUTS, strict=True)}
        self.info = ServerInfo(
            policy="circle",
            observations=("ee_position", "ee_orientation", "gripper_width", "front", "wrist"),
            actions=("action",),
            To=2,
            Tp=16,
            executed=(1, 9),
            image_size=IMAGE,
            policy_rate_hz=contract.policy_rate_hz,
            backend="onnx",
            snapshot="0" * 64,
            supports_prefix=False,
        )

    def infer(self, observation: Mapping[str, np.ndarray], prefix: np.ndarray | None, instruction: str) -> np.ndarray:
        """One chunk, after as much work as a small diffusion policy has."""
        for _ in range(self._steps):
            self._network.run(None, self._feed)
        p = np.asarray(observation["ee_position"][-1], dtype=np.float64)
        rotation = matrix_to_rotation_6d(quaternion_to_matrix(observation["ee_orientation"][-1]))
        chunk = np.empty((self.info.Tp - self.info.executed[0], 10))
        step = SPEED_M_S / self.contract.policy_rate_hz
        for row in chunk:
            angle = math.atan2(p[1] - CENTRE[1], p[0] - CENTRE[0]) + 2 * step / RADIUS_M
            goal = CENTRE + RADIUS_M * np.array([math.cos(angle), math.sin(angle), 0.0])
            away = goal - p
            p = p + away * min(1.0, step / max(float(np.linalg.norm(away)), 1e-9))
            row[:] = [*p, *rotation, observation["gripper_width"][-1][0]]
        return chunk


def main() -> None:
    rig, endpoint = sys.argv[1:]
    torch.set_num_threads(1)
    server = PolicyServer(Circle(station_contract(load_rig(rig))), endpoint)
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: server.stop())
    print(f"serving circle on {server.endpoint}", flush=True)
    server.run()


if __name__ == "__main__":
    main()
