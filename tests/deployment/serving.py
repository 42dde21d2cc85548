"""A small rig's contract, its observation, and a policy server in a thread of the test."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Iterator

import numpy as np
from fake_server import FakePolicy, resting_action

from robot_learning.contract import Contract, Feature, StreamSpec
from robot_learning.deployment.server import PolicyServer
from robot_learning.deployment.wire import ServerInfo

PATIENCE_S = 30.0
OBSERVATION = {"joints": np.zeros((2, 3))}
INFO = ServerInfo("fake", ("joints",), ("action",), 2, 16, (1, 9), None, 20.0, "fake", "0" * 64, True)


def small_contract(robot: str = "arm", unit: str = "rad") -> Contract:
    streams = (
        StreamSpec(name="joints", shape=(3,), dtype="float64", unit=unit, rate_hz=20),
        StreamSpec(name="action_gated", shape=(2,), dtype="float64", unit="m", rate_hz=20),
    )
    features = (
        Feature(name="joints", stream="joints", role="observation", alignment="previous", max_age_s=0.1),
        Feature(name="action", stream="action_gated", role="action", alignment="previous", max_age_s=0.1),
    )
    return Contract(rig="toy", robot=robot, policy_rate_hz=20, streams=streams, features=features)


def fake_policy(folder, info: ServerInfo = INFO) -> FakePolicy:
    contract = small_contract()
    (folder / "behaviour").write_text("good")
    return FakePolicy(contract, info, resting_action(contract), 0.5, folder / "behaviour")


@contextlib.contextmanager
def serving(backend, endpoint: str = "tcp://127.0.0.1:*", keys: str = "") -> Iterator[PolicyServer]:
    """A running server."""
    server = PolicyServer(backend, endpoint, keys)
    thread = threading.Thread(target=server.run)
    thread.start()
    try:
        yield server
    finally:
        server.stop()
        thread.join(PATIENCE_S)
        assert not thread.is_alive()


def until(client, condition=lambda reply: reply is not None):
    """Poll a client until the condition holds of what `poll` gives, and return that."""
    end = time.monotonic() + PATIENCE_S
    while time.monotonic() < end:
        reply = client.poll()
        if condition(reply):
            return reply
        time.sleep(0.002)
    raise AssertionError("it did not come")
