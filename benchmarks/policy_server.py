"""What a policy server costs: the way there and back for several observations, and a chunk on each back end.

    python benchmarks/policy_server.py                            round trips, without and with encryption
    python benchmarks/policy_server.py --checkpoint outputs/demo  and the back ends, for that policy

Round trips go to a server process on the same machine whose policy takes no time.
"""

from __future__ import annotations

import argparse
import multiprocessing
import statistics
import tempfile
import time

import numpy as np

from robot_learning.clock import SystemClock
from robot_learning.contract import Contract, Feature, StreamSpec
from robot_learning.deployment.client import PolicyClient
from robot_learning.deployment.keys import make_keys
from robot_learning.deployment.server import PolicyServer
from robot_learning.deployment.wire import ServerInfo

IMAGES = {"state only": None, "state, 2 cameras 84x84": (84, 84), "state, 2 cameras 640x480": (480, 640)}


def contract(size: tuple[int, int] | None) -> Contract:
    shapes = {"joints": ((14,), "float64", "rad"), "action": ((10,), "float64", "m")}
    if size:
        shapes |= dict.fromkeys(("front", "wrist"), ((*size, 3), "uint8", "rgb"))
    streams = tuple(StreamSpec(name=n, shape=s, dtype=d, unit=u, rate_hz=30) for n, (s, d, u) in shapes.items())
    roles = {name: "action" if name == "action" else "observation" for name in shapes}
    features = tuple(
        Feature.model_validate({"name": n, "stream": n, "role": r, "alignment": "previous", "max_age_s": 0.1})
        for n, r in roles.items()
    )
    return Contract(rig="bench", robot="arm", policy_rate_hz=20, streams=streams, features=features)


class Instant:
    """A policy that takes no time."""

    def __init__(self, size: tuple[int, int] | None) -> None:
        self.contract = contract(size)
        names = tuple(f.name for f in self.contract.observations)
        self.info = ServerInfo("none", names, ("action",), 2, 16, (1, 9), size, 20.0, "none", "", True)

    def infer(self, observation, prefix, instruction):
        return np.zeros((15, 10))


def serve(size, keys, endpoint) -> None:
    server = PolicyServer(Instant(size), "tcp://127.0.0.1:*", keys)
    endpoint.send(server.endpoint)
    server.run()


def round_trips(size, keys: tuple[str, str], count: int) -> tuple[list[float], list[float], int]:
    """Milliseconds of `count` round trips and of the asks alone, and bytes of an observation."""
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    process = context.Process(target=serve, args=(size, keys[0], theirs), daemon=True)
    process.start()
    backend = Instant(size)
    client = PolicyClient(ours.recv(), backend.contract, SystemClock(), keys[1])
    client.connect(20)
    rng = np.random.default_rng(0)
    shapes = {n: backend.contract.spec_of(n) for n in backend.info.observations}
    seen = {n: rng.integers(0, 255, (2, *s.shape)).astype(s.dtype) for n, s in shapes.items()}
    trips, asks = [], []
    for i in range(count):
        began = time.perf_counter()
        client.ask(seen, i, 20.0)
        asks.append(1000 * (time.perf_counter() - began))
        while (reply := client.poll()) is None:
            client._link.socket.poll(1000)
        trips.append(1000 * (time.perf_counter() - began))
        assert reply.stamp_ns == i
        time.sleep(0.005)
    client.close()
    process.kill()
    process.join()
    return trips, asks, sum(v.nbytes for v in seen.values())


def spread(values: list[float]) -> str:
    """Median, 99th percentile and maximum."""
    ordered = sorted(values)
    return f"{statistics.median(ordered):7.2f} {ordered[int(0.99 * len(ordered))]:7.2f} {ordered[-1]:7.2f}"


def backends(checkpoint: str, count: int) -> None:
    import torch

    from robot_learning.deployment.backends import load_backend

    torch.set_num_threads(1)
    print(f"\nchunk of {checkpoint} [ms]       p50     p99     max   CPU time   start [s]")
    for name in ("eager", "compile", "onnx"):
        began = time.perf_counter()
        backend = load_backend(checkpoint, name)
        backend.warm_up()
        start = time.perf_counter() - began
        seen, times = backend.blank(), []
        cpu = time.process_time()
        for _ in range(count):
            began = time.perf_counter()
            backend.infer(seen, None, "")
            times.append(1000 * (time.perf_counter() - began))
        cpu = 1000 * (time.process_time() - cpu) / count
        print(f"{name:<30} {spread(times)}    {cpu:7.2f}     {start:7.1f}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--checkpoint", default="")
    parser.add_argument("--count", type=int, default=300)
    arguments = parser.parse_args()
    print("round trip [ms]                       KiB     p50     p99     max    ask alone")
    with tempfile.TemporaryDirectory() as folder:
        both = tuple(map(str, make_keys(f"{folder}/keys")))
        for keys, said in ((("", ""), ""), (both, ", CURVE")):
            for name, size in IMAGES.items():
                trips, asks, nbytes = round_trips(size, keys, arguments.count)
                print(f"{name + said:<33} {nbytes / 1024:7.1f} {spread(trips)}     {statistics.median(asks):7.2f}")
    if arguments.checkpoint:
        backends(arguments.checkpoint, arguments.count // 3)


if __name__ == "__main__":
    main()
