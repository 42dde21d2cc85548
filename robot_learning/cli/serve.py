"""`robot-learning serve`: answer a robot's observations with a policy's chunks, in a process of its own."""

from __future__ import annotations

import os
import signal
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated

import tyro

from robot_learning.cli import main as command_line
from robot_learning.deployment.backends import BackendName
from robot_learning.errors import UserError
from robot_learning.policies.sampling import Sampling


@dataclass(frozen=True)
class ServeConfig:
    """Serve a checkpoint's policy, or make the keys that this needs beyond one machine.

    Attributes:
        checkpoint: a checkpoint's folder, or the output of robot-learning train (its newest checkpoint).
        endpoint: where to serve; `tcp://0.0.0.0:5757` is every network interface and needs keys.
        keys: the folder that --make-keys made, or its folder server; empty: none, for the local machine only.
        backend: PyTorch as in training, torch.compile, or ONNX Runtime (the quickest on CPUs).
        device: torch device, e.g. cpu or cuda.
        threads: for inference on a CPU.
        seed: of the sampling noise.
        goals: a store of recordings; the end of one of them is what the policy is to reach, if it was trained with
            goals. Empty: nothing is said.
        goal_episode: the recording's id; empty: the newest that is no failure.
        sampling: how the policy draws its chunks.
        make_keys: a folder for keys: makes them and ends. Bring its folder server to the server's machine and
            the client's to the robot's. In a folder that has the server's keys already, one more client is admitted.
        client: with --make-keys: the client's name.
    """

    checkpoint: Path | None = None
    endpoint: str = "tcp://127.0.0.1:5757"
    keys: str = ""
    backend: BackendName = "eager"
    device: str = "cpu"
    threads: int = 1
    seed: int = 0
    goals: str = ""
    goal_episode: str = ""
    sampling: Annotated[Sampling, tyro.conf.arg(name="")] = field(default_factory=Sampling)
    make_keys: Path | None = None
    client: str = "rig"

    def __post_init__(self) -> None:
        if self.threads < 1:
            raise UserError(f"--threads must be at least 1; got {self.threads}.")
        if self.goal_episode and not self.goals:
            raise UserError(f"--goal-episode {self.goal_episode} is in which store? Say it with --goals.")


def main(arguments: list[str]) -> int:
    """Serve until SIGINT or SIGTERM, or make keys."""
    config = tyro.cli(ServeConfig, prog="robot-learning serve", args=arguments)
    if config.make_keys is not None:
        return _make_keys(config.make_keys, config.client)
    if config.checkpoint is None:
        raise UserError("serve needs a policy; give one with --checkpoint (or make keys with --make-keys).")
    return _serve(config, config.checkpoint)


def entry() -> None:
    """The console script `policy_server`, the same as `robot-learning serve`; ROS arguments are left out."""
    arguments = sys.argv[1:]
    if "--ros-args" in arguments:  # `ros2 run` and launch files add them to whatever they start
        arguments = arguments[: arguments.index("--ros-args")]
    sys.argv[1:] = ["serve", *arguments]
    command_line.main()


def _make_keys(folder: Path, client: str) -> int:
    from robot_learning.deployment.keys import make_keys

    server_dir, client_dir = make_keys(folder, client)
    print(f"{server_dir}: for the policy server's machine; robot-learning serve --keys {server_dir}")
    print(f"{client_dir}: for the robot's machine; in the rig file, server: {{keys: {client_dir}}}")
    return 0


def _serve(config: ServeConfig, checkpoint: Path) -> int:
    from robot_learning.deployment.keys import require_keys

    require_keys(config.endpoint, config.keys)  # before the seconds that loading takes
    os.environ.setdefault("OMP_NUM_THREADS", str(config.threads))
    import torch

    from robot_learning.deployment.backends import load_backend
    from robot_learning.deployment.server import PolicyServer
    from robot_learning.policies.checkpoint import describe, find
    from robot_learning.policies.goals import recording

    torch.set_num_threads(config.threads)
    checkpoint = find(checkpoint)
    goal = recording(Path(config.goals), config.goal_episode) if config.goals else None
    backend = load_backend(checkpoint, config.backend, config.device, config.seed, config.sampling, goal)
    seconds = backend.warm_up()
    server = PolicyServer(backend, config.endpoint, config.keys)
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: server.stop())
    print(f"a chunk takes {1000 * seconds:.1f} ms ({config.backend}, {config.device})")
    if changed := config.sampling.changes():
        print("samples otherwise than trained: " + ", ".join(f"{name} {value}" for name, value in changed.items()))
    if caution := config.sampling.caution(describe(checkpoint)["config"]):
        print(f"caution: {caution}")
    if goal is not None:
        print(f"towards the end of recording {goal.id}")
    print(f"serving {checkpoint} on {server.endpoint}", flush=True)
    server.run()
    told = ", ".join(f"{count} {what}" for what, count in server.desk.counts.most_common()) or "nothing"
    print(f"stopped; answered: {told}")
    return 0


if __name__ == "__main__":
    entry()
