"""The client against a real server process: what a policy runner depends on."""

from __future__ import annotations

import numpy as np
import pytest
from fake_server import FakeServer
from serving import OBSERVATION, PATIENCE_S, small_contract, until

from robot_learning.clock import FakeClock
from robot_learning.deployment.client import PolicyClient, PolicyFault
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
