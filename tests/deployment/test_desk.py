"""What the server decides, on a clock of the test's own and without sockets."""

from __future__ import annotations

import re
from dataclasses import replace

import numpy as np
import pytest
from serving import INFO, OBSERVATION, small_contract

from robot_learning.clock import FakeClock
from robot_learning.deployment.desk import MAX_SESSIONS, Desk
from robot_learning.deployment.wire import Ask, Chunk, Fault, Hello, Welcome, encode

CHUNK = np.ones((15, 2))


@pytest.fixture
def clock():
    return FakeClock(5)


@pytest.fixture
def desk(clock):
    return Desk(INFO, small_contract(), clock)


def greet(desk, client=b"a", id=1):
    [(to, answer)] = desk.receive(client, encode(Hello(id, "policy", small_contract().to_json())))
    assert to == client
    assert answer == Welcome(id, INFO)


def ask(desk, client=b"a", id=2, budget_s=1.0, observation=OBSERVATION, prefix=None):
    return desk.receive(client, encode(Ask(id, 100 + id, round(budget_s * 1e9), observation, prefix, "")))


def fault(answers):
    """Kind of the one fault in a list of answers."""
    [(_, answer)] = answers
    assert isinstance(answer, Fault)
    return answer.kind


def test_a_request_waits_is_computed_and_answered_with_its_times(desk, clock):
    greet(desk)
    assert ask(desk) == []
    clock.advance(0.003)
    job = desk.take()
    clock.advance(0.02)
    client, answer = desk.done(job, CHUNK)
    assert client == b"a"
    assert isinstance(answer, Chunk)
    assert (answer.id, answer.stamp_ns) == (2, 102)
    assert answer.timing == {"queue_ms": 3.0, "inference_ms": 20.0, "total_ms": 23.0}
    assert desk.take() is None


def test_the_newest_request_of_a_client_takes_the_place_of_the_one_that_waits(desk):
    greet(desk)
    ask(desk, id=2)
    [(_, answer)] = ask(desk, id=3)
    assert (answer.id, answer.kind) == (2, "superseded")
    assert desk.take().ask.id == 3
    assert desk.take() is None


def test_a_client_that_asks_often_does_not_push_others_back(desk):
    for client in (b"a", b"b"):
        greet(desk, client)
    ask(desk, b"a", 2)
    ask(desk, b"b", 2)
    ask(desk, b"a", 3)
    ask(desk, b"a", 4)
    first, second = desk.take(), desk.take()
    assert [(j.client, j.ask.id) for j in (first, second)] == [(b"a", 4), (b"b", 2)]


def test_a_request_past_its_deadline_is_answered_and_never_computed(desk, clock):
    greet(desk)
    ask(desk, budget_s=0.1)
    clock.advance(0.1)
    assert desk.expire() == []
    clock.advance(0.001)
    [(_, answer)] = desk.expire()
    assert (answer.id, answer.stamp_ns, answer.kind) == (2, 102, "expired")
    assert answer.timing["queue_ms"] == answer.timing["total_ms"] == 101.0
    assert desk.take() is None


def test_nobody_is_served_without_a_handshake(desk):
    assert fault(ask(desk)) == "no_session"


@pytest.mark.parametrize("id", [1, 2])
def test_an_id_that_does_not_grow_is_a_replay(desk, id):
    greet(desk, id=1)
    ask(desk, id=2)
    assert fault(ask(desk, id=id)) == "replayed"
    assert fault(desk.receive(b"a", encode(Hello(id, "policy", small_contract().to_json())))) == "replayed"


def test_a_contract_that_does_not_fit_is_refused_and_opens_no_session(desk):
    [(_, answer)] = desk.receive(b"a", encode(Hello(1, "left", small_contract(unit="m").to_json())))
    assert answer.kind == "contract"
    assert "the policy has rad, 'left' (toy) has m" in answer.detail
    assert fault(desk.receive(b"a", encode(Hello(2, "left", {"rig": "toy"})))) == "contract"
    assert fault(ask(desk, id=3)) == "no_session"


@pytest.mark.parametrize(
    ("observation", "detail"),
    [
        ({}, r"the policy sees \['joints'\]; got \[\]"),
        (OBSERVATION | {"more": np.ones(1)}, r"got \['joints', 'more'\]"),
        ({"joints": np.zeros((1, 3))}, r"'joints' is float64 \(2, 3\); got float64 \(1, 3\)"),
        ({"joints": np.zeros((2, 3), np.float32)}, r"got float32 \(2, 3\)"),
        ({"joints": np.full((2, 3), np.nan)}, "not finite"),
    ],
)
def test_an_observation_that_the_policy_does_not_see_is_named(desk, observation, detail):
    greet(desk)
    [(_, answer)] = ask(desk, observation=observation)
    assert answer.kind == "observation"
    assert answer.id == 2
    assert re.search(detail, answer.detail)
    assert desk.take() is None


@pytest.mark.parametrize("prefix", [np.zeros(2), np.zeros((3, 3)), np.zeros((16, 2)), np.full((1, 2), np.inf)])
def test_committed_actions_that_do_not_fit_are_refused(desk, prefix):
    greet(desk)
    assert fault(ask(desk, prefix=prefix)) == "prefix"


def test_committed_actions_are_refused_by_a_policy_that_cannot_take_them(clock):
    desk = Desk(replace(INFO, supports_prefix=False), small_contract(), clock)
    desk.receive(b"a", encode(Hello(1, "policy", small_contract().to_json())))
    assert fault(ask(desk, prefix=np.zeros((3, 2)))) == "prefix"
    assert ask(desk, id=3) == []


@pytest.mark.parametrize(
    ("outcome", "kind"),
    [
        (ValueError("no\nidea"), "raised"),
        (CHUNK[:-1], "shape"),
        (CHUNK[:, :1], "shape"),
        (CHUNK.astype(int), "shape"),
        (CHUNK.tolist(), "shape"),
        (None, "shape"),
        (np.where(np.arange(30).reshape(15, 2) == 29, np.nan, 0.0), "not_finite"),
    ],
)
def test_what_a_policy_must_not_return_is_named(desk, outcome, kind):
    greet(desk)
    ask(desk)
    _, answer = desk.done(desk.take(), outcome)
    assert (answer.kind, answer.id, answer.stamp_ns) == (kind, 2, 102)
    assert "\n" not in answer.detail


def test_the_client_that_was_silent_longest_makes_room(desk):
    names = [f"{i}".encode() for i in range(MAX_SESSIONS + 1)]
    for name in names[:-1]:
        greet(desk, name)
    ask(desk, names[0], 2)
    greet(desk, names[-1])
    assert fault(ask(desk, names[0], 3)) == "superseded"
    assert fault(ask(desk, names[1], 2)) == "no_session"


def test_garbage_and_a_server_s_messages_are_malformed(desk):
    assert fault(desk.receive(b"a", b"garbage")) == "malformed"
    assert fault(desk.receive(b"a", encode(Chunk(1, 2, CHUNK, {})))) == "malformed"
    assert desk.counts == {"malformed": 2}
