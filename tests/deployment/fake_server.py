"""A real policy server process around a scripted policy that misbehaves when told to.

    with FakeServer(contract, tmp_path, observations=("joint_position",)) as server:
        client = PolicyClient(server.endpoint, contract, clock)
        server.behave("nan")

Behaviours: `good`, `stall <seconds>`, `raise`, `nan`, `shape`, `empty`. `freeze` stops the whole process, as half-open
connections are: the kernel accepts, nobody answers. `kill` is SIGKILL; `start` brings it back on the same port.
"""

from __future__ import annotations

import json
import os
import select
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from robot_learning.contract import Contract, parse_unit
from robot_learning.deployment.desk import action_width
from robot_learning.deployment.server import PolicyServer
from robot_learning.deployment.wire import ServerInfo

READY_S = 40.0


class FakePolicy:
    """A backend whose chunk begins with the prefix, if any, and is else `action + slope * k` in the first value."""

    def __init__(self, contract: Contract, info: ServerInfo, action: Sequence[float], slope: float, behaviour: Path):
        self.contract, self.info = contract, info
        self._action, self._slope, self._behaviour = np.asarray(action, float), slope, behaviour

    def infer(self, observation, prefix, instruction):
        chunk = np.tile(self._action, (self.info.chunk_length, 1))
        chunk[:, 0] += self._slope * np.arange(len(chunk))
        if prefix is not None:
            chunk[: len(prefix)] = prefix
        word, *rest = self._behaviour.read_text().split()
        if word == "stall":
            time.sleep(float(rest[0]))
        elif word == "raise":
            raise RuntimeError("scripted to fail")
        elif word == "nan":
            chunk[-1, -1] = np.nan
        elif word == "shape":
            chunk = chunk[:, :-1]
        elif word == "empty":
            chunk = chunk[:0]
        return chunk


def resting_action(contract: Contract, actions: Sequence[str] = ("action",)) -> list[float]:
    """Zeros, and identity rotations."""
    values: list[float] = []
    for name in actions:
        spec = contract.spec_of(name)
        for unit, count in parse_unit(spec.unit, spec.shape):
            values += [1.0, 0, 0, 0, 1.0, 0] * (count // 6) if unit == "rotation_6d" else [0.0] * count
    return values


class FakeServer:
    """The process. Starts with the `with` statement and is gone after it, whatever happens.

    Args:
        action: the first action of each chunk; default: zeros and identity rotations.
        slope: added to the action's first value at each further step.
    """

    def __init__(
        self,
        contract: Contract,
        folder: Path,
        observations: Sequence[str] | None = None,
        actions: Sequence[str] = ("action",),
        To: int = 2,
        Tp: int = 16,
        Ta: int = 8,
        image_size: tuple[int, int] | None = None,
        action: Sequence[float] | None = None,
        slope: float = 0.0,
        supports_prefix: bool = True,
        keys: str = "",
    ) -> None:
        self.endpoint = "tcp://127.0.0.1:*"
        self._keys = keys
        self._folder = folder / "fake_server"
        self._folder.mkdir(parents=True, exist_ok=True)
        vectors = [f.name for f in contract.observations if contract.spec_of(f.name).unit not in ("rgb", "depth_mm")]
        self._script = {
            "contract": contract.to_json(),
            "info": {
                "policy": "fake",
                "observations": list(observations if observations is not None else vectors),
                "actions": list(actions),
                "To": To,
                "Tp": Tp,
                "executed": [To - 1, To - 1 + Ta],
                "image_size": list(image_size) if image_size else None,
                "policy_rate_hz": contract.policy_rate_hz,
                "backend": "fake",
                "snapshot": "0" * 64,
                "supports_prefix": supports_prefix,
            },
            "action": list(action if action is not None else resting_action(contract, actions)),
            "slope": slope,
        }
        self.behave("good")
        self._process: subprocess.Popen[str] | None = None

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    @property
    def log(self) -> str:
        """What it has written to stderr."""
        return (self._folder / "log").read_text()

    def behave(self, behaviour: str) -> None:
        """What inference does from now on."""
        partial = self._folder / "behaviour.part"
        partial.write_text(behaviour)
        partial.replace(self._folder / "behaviour")

    def start(self) -> None:
        """Start it, on the port that it had before if any, and wait until it serves."""
        (self._folder / "script.json").write_text(json.dumps(self._script))
        with open(self._folder / "log", "a") as log:
            self._process = subprocess.Popen(
                [sys.executable, __file__, str(self._folder), self.endpoint, self._keys],
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
            )
        assert self._process.stdout is not None
        ready, _, _ = select.select([self._process.stdout], [], [], READY_S)
        line = self._process.stdout.readline() if ready else ""
        if not line.startswith("serving fake on "):
            raise RuntimeError(f"the fake server did not start: {line!r}\n{self.log}")
        self.endpoint = line.split()[-1]

    def kill(self) -> None:
        """SIGKILL, and wait until it is gone."""
        assert self._process is not None
        self._process.kill()
        self._process.wait()
        assert self._process.stdout is not None
        self._process.stdout.close()

    def freeze(self) -> None:
        """Connections stay, nothing is answered."""
        os.kill(self.pid, signal.SIGSTOP)

    def thaw(self) -> None:
        """Go on after `freeze`."""
        os.kill(self.pid, signal.SIGCONT)

    def __enter__(self) -> FakeServer:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self._process is not None and self._process.poll() is None:
            self.kill()


def main() -> None:
    folder, endpoint, keys = Path(sys.argv[1]), sys.argv[2], sys.argv[3]
    script = json.loads((folder / "script.json").read_text())
    tuples = {k: tuple(v) if isinstance(v, list) else v for k, v in script["info"].items()}
    contract, info = Contract.model_validate(script["contract"]), ServerInfo(**tuples)
    assert len(script["action"]) == action_width(info, contract)
    policy = FakePolicy(contract, info, script["action"], script["slope"], folder / "behaviour")
    server = PolicyServer(policy, endpoint, keys)
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: server.stop())
    print(f"serving fake on {server.endpoint}", flush=True)
    server.run()


if __name__ == "__main__":
    main()
