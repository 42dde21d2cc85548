"""The client against a real server process: what a policy runner depends on."""

from __future__ import annotations

import socket
from dataclasses import replace

import numpy as np
import pytest
import zmq
from fake_server import FakeServer
from serving import INFO, OBSERVATION, PATIENCE_S, small_contract, until

from robot_learning.clock import FakeClock
from robot_learning.deployment.client import ATTEMPT_S, PolicyClient, PolicyFault
from robot_learning.deployment.wire import Ask, Chunk, Fault, Hello, Welcome, decode, encode
from robot_learning.errors import DeploymentError


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    with FakeServer(small_contract(), tmp_path_factory.mktemp("server"), slope=0.5) as running:
        yield running


@pytest.fixture
def clock():
    return FakeClock(10**18)


@pytest.fixture
def client(server, clock):
    server.behave("good")
    client = PolicyClient(server.endpoint, small_contract(), clock)
    client.connect(PATIENCE_S)
    yield client
    client.close()


def test_the_handshake_tells_what_is_served(client):
    info = client.info
    assert (info.policy, info.observations, info.actions) == ("fake", ("joints",), ("action",))
    assert (info.To, info.Tp, info.executed, info.chunk_length) == (2, 16, (1, 9), 15)
    assert client.connected


def test_a_reply_names_its_question_and_how_long_it_took(client):
    assert client.poll() is None
    id = client.ask(OBSERVATION, stamp_ns=77, deadline_s=1.0)
    assert client.waiting
    reply = until(client)
    assert (reply.id, reply.stamp_ns) == (id, 77)
    assert reply.chunk.dtype == np.float64
    np.testing.assert_array_equal(reply.chunk[:, 0], 0.5 * np.arange(15))
    assert set(reply.timing) == {"queue_ms", "inference_ms", "total_ms", "round_trip_ms"}
    assert not client.waiting


@pytest.mark.parametrize(
    ("behaviour", "kind"), [("raise", "raised"), ("nan", "not_finite"), ("shape", "shape"), ("empty", "shape")]
)
def test_a_policy_that_fails_is_told_by_name_and_the_connection_stays(server, client, behaviour, kind):
    server.behave(behaviour)
    client.ask(OBSERVATION, 1, 1.0)
    with pytest.raises(PolicyFault) as fault:
        until(client)
    assert fault.value.kind == kind
    server.behave("good")
    client.ask(OBSERVATION, 2, 1.0)
    assert until(client).stamp_ns == 2


def test_a_late_answer_is_a_timeout_and_never_taken_for_the_next_one(server, client, clock):
    server.behave("stall 0.5")
    client.ask(OBSERVATION, 1, 0.2)
    clock.advance(0.3)
    with pytest.raises(PolicyFault) as fault:
        until(client)
    assert fault.value.kind == "timeout"
    assert not client.connected
    server.behave("good")
    until(client, lambda _: client.connected)
    client.ask(OBSERVATION, 2, 1.0)
    assert until(client).stamp_ns == 2


def test_a_killed_server_is_noticed_and_found_again(tmp_path, clock):
    with FakeServer(small_contract(), tmp_path) as server:
        client = PolicyClient(server.endpoint, small_contract(), clock)
        client.connect(PATIENCE_S)
        server.behave("stall 60")
        client.ask(OBSERVATION, 1, 100.0)
        server.kill()
        with pytest.raises(PolicyFault) as fault:
            until(client)
        assert fault.value.kind == "disconnected"
        with pytest.raises(PolicyFault, match="disconnected"):
            client.ask(OBSERVATION, 2, 1.0)
        server.behave("good")
        server.start()
        until(client, lambda _: client.connected)
        client.ask(OBSERVATION, 3, 1.0)
        assert until(client).stamp_ns == 3
        client.close()


def test_a_contract_that_does_not_fit_is_refused_with_both_sides(server, clock):
    client = PolicyClient(server.endpoint, small_contract(unit="m"), clock)
    with pytest.raises(DeploymentError, match=r"unit of feature 'joints': the policy has rad, 'policy' \(toy\) has m"):
        client.connect(PATIENCE_S)
    assert not client.connected
    client.close()


def test_a_server_that_is_not_there_is_named(clock):
    client = PolicyClient("tcp://127.0.0.1:9", small_contract(), clock)
    with pytest.raises(DeploymentError, match=r"no policy server at tcp://127\.0\.0\.1:9 .*nothing listens"):
        client.connect(0.2)
    client.close()


def test_a_process_that_stands_still_is_a_timeout_and_is_found_again_when_it_goes_on(tmp_path, clock):
    with FakeServer(small_contract(), tmp_path) as server:
        client = PolicyClient(server.endpoint, small_contract(), clock)
        client.connect(PATIENCE_S)
        server.freeze()
        client.ask(OBSERVATION, 1, 0.2)
        for _ in range(10):
            assert client.poll() is None
        clock.advance(0.21)
        with pytest.raises(PolicyFault) as fault:
            client.poll()
        assert fault.value.kind == "timeout"
        for _ in range(5):  # attempts on a half-open connection come to nothing, and to no error either
            clock.advance(ATTEMPT_S + 0.1)
            assert client.poll() is None
            assert not client.connected
        server.thaw()
        until(client, lambda _: client.connected)
        client.ask(OBSERVATION, 2, 1.0)
        assert until(client).stamp_ns == 2
        client.close()


def test_a_server_that_accepts_and_never_answers_is_named(clock):
    with socket.create_server(("127.0.0.1", 0)) as deaf:
        client = PolicyClient(f"tcp://127.0.0.1:{deaf.getsockname()[1]}", small_contract(), clock)
        with pytest.raises(DeploymentError, match="accepts the connection and does not answer"):
            client.connect(0.3)
        client.close()


def test_a_server_that_dies_while_nothing_is_asked_is_noticed_without_a_fault(tmp_path, clock):
    with FakeServer(small_contract(), tmp_path) as server:
        client = PolicyClient(server.endpoint, small_contract(), clock)
        client.connect(PATIENCE_S)
        server.kill()
        until(client, lambda _: not client.connected)
        assert not client.waiting
        client.close()


class FakeRouter:
    """A server whose every answer the test writes itself."""

    def __init__(self):
        self._context = zmq.Context()
        self._socket = self._context.socket(zmq.ROUTER)
        self._socket.bind("tcp://127.0.0.1:*")
        self.endpoint = self._socket.getsockopt_string(zmq.LAST_ENDPOINT)
        self.peer = b""

    def receive(self, kind):
        """The next message of a kind."""
        while True:
            assert self._socket.poll(1000 * PATIENCE_S)
            self.peer, data = self._socket.recv_multipart()
            message = decode(data)
            if isinstance(message, kind):
                return message

    def send(self, *messages):
        for message in messages:
            data = message if isinstance(message, bytes) else encode(message)
            self._socket.send_multipart([self.peer, data])

    def close(self):
        self._context.destroy(linger=0)


@pytest.fixture
def router():
    router = FakeRouter()
    yield router
    router.close()


@pytest.fixture
def greeted(router, clock):
    """A client that has shaken hands with a scripted server, without waiting."""
    client = PolicyClient(router.endpoint, small_contract(), clock)
    client.begin()
    client.poll()
    router.send(Welcome(router.receive(Hello).id, INFO))
    until(client, lambda _: client.connected)
    yield client
    client.close()


def test_answers_that_belong_to_nothing_are_dropped_and_counted(router, greeted):
    id = greeted.ask(OBSERVATION, 50, 1.0)
    router.receive(Ask)
    stale = np.full((15, 2), 9.0)
    router.send(Chunk(id - 1, 50, stale, {}), Chunk(id, 49, stale, {}), Fault(0, 0, "malformed", "", {}), b"garbage")
    router.send(Welcome(id, INFO), Chunk(id, 50, np.ones((15, 2)), {}))
    reply = until(greeted)
    assert (reply.chunk == 1).all()
    assert greeted.dropped == 4


def test_an_answer_after_the_deadline_is_not_taken_though_it_is_the_right_one(router, greeted, clock):
    id = greeted.ask(OBSERVATION, 50, 0.1)
    router.receive(Ask)
    router.send(Chunk(id, 50, np.ones((15, 2)), {}))
    clock.advance(0.11)
    with pytest.raises(PolicyFault, match="timeout"):
        until(greeted)
    assert greeted.poll() is None


@pytest.mark.parametrize(
    ("chunk", "kind"),
    [
        (np.ones((15, 3)), "shape"),
        (np.ones((16, 2)), "shape"),
        (np.ones(15), "shape"),
        (np.where(np.eye(15, 2) > 0, np.inf, 0.0), "not_finite"),
    ],
)
def test_a_chunk_that_the_server_should_have_refused_is_refused_here(router, greeted, chunk, kind):
    id = greeted.ask(OBSERVATION, 50, 1.0)
    router.receive(Ask)
    router.send(Chunk(id, 50, chunk, {}))
    with pytest.raises(PolicyFault) as fault:
        until(greeted)
    assert fault.value.kind == kind


@pytest.mark.parametrize(
    ("sent", "kind"), [("expired", "timeout"), ("observation", "refused"), ("no_session", "disconnected")]
)
def test_faults_come_by_the_kind_that_a_runner_acts_on(router, greeted, sent, kind):
    id = greeted.ask(OBSERVATION, 50, 1.0)
    router.receive(Ask)
    router.send(Fault(id, 50, sent, "because", {}))
    with pytest.raises(PolicyFault) as fault:
        until(greeted)
    assert fault.value.kind == kind
    assert not greeted.waiting
    assert greeted.connected == (sent != "no_session")


def test_a_server_that_returns_with_another_policy_is_refused_once_and_left_alone(router, greeted):
    greeted.ask(OBSERVATION, 50, 1.0)
    router.send(Fault(router.receive(Ask).id, 50, "no_session", "", {}))
    with pytest.raises(PolicyFault, match="disconnected"):
        until(greeted)
    greeted.poll()
    router.send(Welcome(router.receive(Hello).id, replace(INFO, snapshot="1" * 64)))
    with pytest.raises(PolicyFault, match=r"refused: the server that returned serves another policy.*1111"):
        until(greeted)
    for _ in range(3):
        assert greeted.poll() is None
        assert not greeted.connected


def test_a_server_that_speaks_of_actions_that_the_rig_does_not_have_is_refused(router, clock):
    client = PolicyClient(router.endpoint, small_contract(), clock)
    client.begin()
    client.poll()
    router.send(Welcome(router.receive(Hello).id, replace(INFO, actions=("wings",))))
    with pytest.raises(PolicyFault, match="refused: unknown feature 'wings'"):
        until(client)
    client.close()


def test_asking_anew_gives_up_the_older_question(router, greeted):
    old = greeted.ask(OBSERVATION, 50, 1.0)
    new = greeted.ask(OBSERVATION, 51, 1.0)
    router.receive(Ask)
    router.send(Chunk(old, 50, np.ones((15, 2)), {}), Chunk(new, 51, np.zeros((15, 2)), {}))
    assert until(greeted).stamp_ns == 51
    assert greeted.dropped == 1
