"""The server's sockets: what it refuses, whom it lets in, that inference never keeps it waiting."""

from __future__ import annotations

import os
import threading
import time

import numpy as np
import pytest
import zmq
from serving import OBSERVATION, PATIENCE_S, fake_policy, serving, small_contract, until

from robot_learning.clock import SystemClock
from robot_learning.deployment.client import PolicyClient, PolicyFault
from robot_learning.deployment.keys import is_local, make_keys
from robot_learning.deployment.server import PolicyServer
from robot_learning.errors import DeploymentError


@pytest.fixture
def connect():
    clients = []

    def make(endpoint, keys="", timeout_s=PATIENCE_S):
        clients.append(PolicyClient(endpoint, small_contract(), SystemClock(), keys))
        clients[-1].connect(timeout_s)
        return clients[-1]

    yield make
    for client in clients:
        client.close()


@pytest.mark.parametrize("endpoint", ["tcp://0.0.0.0:5757", "tcp://*:5757", "tcp://192.168.1.4:5757", "tcp://robot:1"])
def test_beyond_the_local_machine_nothing_starts_without_keys(tmp_path, endpoint):
    with pytest.raises(DeploymentError, match=r"beyond this machine .* no keys.*--make-keys"):
        PolicyServer(fake_policy(tmp_path), endpoint)
    with pytest.raises(DeploymentError, match=r"beyond this machine .* no keys.*--make-keys"):
        PolicyClient(endpoint, small_contract(), SystemClock())


@pytest.mark.parametrize(
    ("endpoint", "local"),
    [
        ("tcp://127.0.0.1:5757", True),
        ("tcp://127.3.0.9:*", True),
        ("tcp://localhost:5757", True),
        ("tcp://[::1]:5757", True),
        ("ipc:///tmp/policy", True),
        ("tcp://[::]:5757", False),
        ("tcp://128.0.0.1:5757", False),
        ("tcp://localhost.evil.org:5757", False),
        ("tcp://127.0.0.1.evil.org:5757", False),
    ],
)
def test_what_counts_as_the_local_machine(endpoint, local):
    assert is_local(endpoint) is local


@pytest.mark.parametrize("endpoint", ["", "127.0.0.1:5757", "tcp://127.0.0.1", "tcp://127.0.0.1:99999", "udp://a:1"])
def test_an_endpoint_that_is_none_is_told_how_one_looks(tmp_path, endpoint):
    with pytest.raises(DeploymentError, match=r"an endpoint is tcp://host:port"):
        PolicyServer(fake_policy(tmp_path), endpoint)


def test_an_endpoint_in_use_is_named(tmp_path):
    with serving(fake_policy(tmp_path)) as server, pytest.raises(DeploymentError, match=r"can't serve on .*in use"):
        PolicyServer(fake_policy(tmp_path), server.endpoint)


def test_a_client_with_keys_is_served_and_others_are_not(tmp_path, connect):
    server_keys, client_keys = make_keys(tmp_path / "keys")
    _, strangers = make_keys(tmp_path / "others")
    # A stranger who knows this server's public key, which is no secret.
    (strangers / "server.key").write_bytes((client_keys / "server.key").read_bytes())
    with serving(fake_policy(tmp_path), keys=str(server_keys)) as server:
        for keys in (client_keys, tmp_path / "keys"):
            client = connect(server.endpoint, str(keys))
            client.ask(OBSERVATION, 1, PATIENCE_S)
            assert until(client).stamp_ns == 1
        with pytest.raises(DeploymentError, match="handshake failed; check both sides' keys"):
            connect(server.endpoint, str(strangers), 0.5)
        with pytest.raises(DeploymentError, match="no policy server"):
            connect(server.endpoint, "", 0.5)


def test_a_server_with_other_keys_or_none_is_not_trusted(tmp_path, connect):
    _, mine = make_keys(tmp_path / "mine")
    theirs, _ = make_keys(tmp_path / "theirs")
    for keys in (str(theirs), ""):
        with (
            serving(fake_policy(tmp_path), keys=keys) as server,
            pytest.raises(DeploymentError, match="no policy server"),
        ):
            connect(server.endpoint, str(mine), 0.5)


def test_a_second_client_is_admitted_beside_the_first(tmp_path, connect):
    server_keys, first = make_keys(tmp_path / "keys")
    again, second = make_keys(tmp_path / "keys", "left_arm")
    assert again == server_keys
    with serving(fake_policy(tmp_path), keys=str(tmp_path / "keys")) as server:
        assert connect(server.endpoint, str(first)).connected
        assert connect(server.endpoint, str(second)).connected
        with pytest.raises(DeploymentError, match="several clients; name one of their folders"):
            connect(server.endpoint, str(tmp_path / "keys"))
    with pytest.raises(DeploymentError, match="exists already"):
        make_keys(tmp_path / "keys", "left_arm")


def test_secret_keys_are_for_their_owner_alone(tmp_path, connect):
    server_keys, client_keys = make_keys(tmp_path / "keys")
    secrets = [p for p in (tmp_path / "keys").rglob("*") if p.suffix == ".key_secret"]
    assert sorted(p.parent.name for p in secrets) == ["rig", "server"]
    assert [oct(p.stat().st_mode & 0o777) for p in secrets] == ["0o600", "0o600"]
    os.chmod(client_keys / "rig.key_secret", 0o644)
    with serving(fake_policy(tmp_path), keys=str(server_keys)) as server:
        with pytest.raises(DeploymentError, match=r"can be read by others; .*chmod 600"):
            connect(server.endpoint, str(client_keys))
        with pytest.raises(DeploymentError, match="holds a server's keys"):
            connect(server.endpoint, str(server_keys))
    with pytest.raises(DeploymentError, match="no client's public key"):
        PolicyServer(fake_policy(tmp_path), "tcp://127.0.0.1:*", str(tmp_path / "nothing"))


class Held:
    """Passes inference on to a backend once it is let."""

    def __init__(self, backend):
        self.info, self.contract, self._infer = backend.info, backend.contract, backend.infer
        self.begun, self.go_on = threading.Semaphore(0), threading.Semaphore(0)

    def infer(self, observation, prefix, instruction):
        self.begun.release()
        self.go_on.acquire()
        return self._infer(observation, prefix, instruction)


def test_while_one_client_s_inference_runs_others_are_greeted_and_told_that_theirs_is_late(tmp_path, connect):
    held = Held(fake_policy(tmp_path))
    with serving(held) as server:
        try:
            slow = connect(server.endpoint)
            slow.ask(OBSERVATION, 1, PATIENCE_S)
            assert held.begun.acquire(timeout=PATIENCE_S)
            other = connect(server.endpoint)
            other._clock = Behind(SystemClock())  # its own patience is endless: the server must tell it
            other.ask(OBSERVATION, 2, 0.05)
            with pytest.raises(PolicyFault, match="expired: it waited"):
                until(other)
        finally:
            held.go_on.release()
        assert until(slow).stamp_ns == 1
    assert not held.begun.acquire(blocking=False)


class Behind:
    """A clock that stands still."""

    def __init__(self, clock):
        self._now = clock.now_ns()

    def now_ns(self):
        return self._now


def test_a_message_larger_than_any_good_one_ends_its_connection_and_nothing_else(tmp_path, connect):
    with serving(fake_policy(tmp_path)) as server:
        good = connect(server.endpoint)
        context = zmq.Context()
        socket = context.socket(zmq.DEALER)
        monitor = socket.get_monitor_socket(zmq.EVENT_DISCONNECTED)
        socket.connect(server.endpoint)
        socket.send(bytes(3 * 2**20))
        assert monitor.poll(1000 * PATIENCE_S)
        context.destroy(linger=0)
        good.ask(OBSERVATION, 1, PATIENCE_S)
        assert until(good).stamp_ns == 1


def test_a_client_that_never_reads_does_not_stop_the_server(tmp_path, connect):
    with serving(fake_policy(tmp_path)) as server:
        context = zmq.Context()
        deaf = context.socket(zmq.DEALER)
        deaf.rcvhwm = 1
        deaf.connect(server.endpoint)
        for _ in range(5000):
            deaf.send(b"what?")
        good = connect(server.endpoint)
        good.ask(OBSERVATION, 1, PATIENCE_S)
        assert until(good).stamp_ns == 1
        context.destroy(linger=0)


def test_two_clients_get_their_own_answers(tmp_path, connect):
    with serving(fake_policy(tmp_path)) as server:
        clients = [connect(server.endpoint) for _ in range(2)]
        for round in range(20):
            for i, client in enumerate(clients):
                prefix = np.full((3, 2), float(10 * round + i))
                client.ask(OBSERVATION, 100 * round + i, PATIENCE_S, prefix)
            for i, client in enumerate(clients):
                reply = until(client)
                assert reply.stamp_ns == 100 * round + i
                assert (reply.chunk[:3] == 10 * round + i).all()


def test_stop_ends_a_running_server_soon(tmp_path):
    with serving(fake_policy(tmp_path)) as server:
        began = time.monotonic()
        server.stop()
    assert time.monotonic() - began < PATIENCE_S
