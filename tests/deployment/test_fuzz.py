"""10,000 hostile messages to a real server process: each is answered by name, none ends or hangs it."""

from __future__ import annotations

import os
import random
import socket
from collections import Counter

import msgpack
import numpy as np
import pytest
import zmq
from fake_server import FakeServer
from serving import OBSERVATION, PATIENCE_S, small_contract, until

from robot_learning.clock import SystemClock
from robot_learning.deployment.client import PolicyClient
from robot_learning.deployment.wire import Ask, Fault, Hello, decode, encode

BATCHES, BATCH = 100, 100
HELLO = encode(Hello(1, "fuzz", small_contract().to_json()))


def ask(id):
    return encode(Ask(id, id, 10**10, OBSERVATION, np.zeros((3, 2)), "go"))


def garbage(rng, id):
    return rng.randbytes(rng.choice((0, 1, 5, 100, 5000)))


def flipped(rng, id):
    message = bytearray(rng.choice((ask(id), HELLO)))
    for _ in range(rng.randint(1, 8)):
        message[rng.randrange(len(message))] = rng.randrange(256)
    return bytes(message)


def truncated(rng, id):
    message = ask(id)
    return message[: rng.randrange(len(message))]


def replayed(rng, id):
    return rng.choice((ask(1), HELLO))


def lying(rng, id):
    """msgpack that announces more than it has, or nests without end."""
    return rng.choice((b"\xdd\xff\xff\xff\xff", b"\xdf\xff\xff\xff\xff", b"\xc6\xff\xff\xff\xff", b"\x91" * 3000))


def mistyped(rng, id):
    """One field of a good message is something else."""
    message = msgpack.unpackb(ask(id))
    other = (
        None,
        True,
        -1,
        2**64 - 1,
        1e308,
        float("nan"),
        "x" * 300,
        b"\0",
        [],
        {},
        [[]] * 50,
        msgpack.Timestamp(1, 1),
    )
    key = rng.choice(list(message))
    if rng.random() < 0.5:
        inner = rng.choice((message["observation"]["joints"], message["prefix"]))
        inner[rng.choice(list(inner))] = rng.choice(other)
    elif rng.random() < 0.2:
        del message[key]
    else:
        message[key] = rng.choice(other)
    return msgpack.packb(message)


KINDS = (garbage, flipped, truncated, replayed, lying, mistyped)


@pytest.fixture
def server(tmp_path):
    with FakeServer(small_contract(), tmp_path) as running:
        yield running


def memory_mb(pid):
    with open(f"/proc/{pid}/statm") as file:
        return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 2**20


def hostile_batch(context, endpoint, rng):
    """Send a batch on a connection of its own and return its answers; the last message is too large."""
    dealer = context.socket(zmq.DEALER)
    dealer.linger = 0
    dealer.connect(endpoint)
    dealer.send(HELLO)
    answers = []
    for id in range(2, BATCH + 1):
        message = rng.choice(KINDS)(rng, id)
        if rng.random() < 0.02:
            dealer.send_multipart([b"", message, b"more"])
        else:
            dealer.send(message)
    for _ in range(BATCH):
        assert dealer.poll(1000 * PATIENCE_S), f"only {len(answers)} of {BATCH} messages were answered"
        answers.append(decode(dealer.recv()))
    monitor = dealer.get_monitor_socket(zmq.EVENT_DISCONNECTED)
    dealer.send(rng.randbytes(2 * 2**20))
    assert monitor.poll(1000 * PATIENCE_S), "a message that is too large did not end its connection"
    dealer.disable_monitor()
    dealer.close()
    return answers


def test_ten_thousand_hostile_messages_are_answered_and_survived(server):
    rng = random.Random(0)
    context = zmq.Context()
    good = PolicyClient(server.endpoint, small_contract(), SystemClock())
    good.connect(PATIENCE_S)
    pid, before_mb = server.pid, memory_mb(server.pid)
    kinds: Counter[str] = Counter()
    for batch in range(BATCHES):
        answers = hostile_batch(context, server.endpoint, rng)
        kinds.update(a.kind if isinstance(a, Fault) else type(a).__name__ for a in answers)
        if batch % 20 == 0:
            good.ask(OBSERVATION, batch, PATIENCE_S)
            assert until(good).stamp_ns == batch
    assert kinds.total() == BATCHES * BATCH
    assert {"malformed", "version", "replayed", "observation", "Welcome"} <= set(kinds)
    good.ask(OBSERVATION, 1, PATIENCE_S)
    assert until(good).stamp_ns == 1
    assert server.pid == pid
    assert memory_mb(pid) < before_mb + 100
    assert "Traceback" not in server.log
    good.close()
    context.destroy(linger=0)


def test_bytes_that_are_not_even_zeromq_are_survived(server):
    rng = random.Random(1)
    host, port = server.endpoint.removeprefix("tcp://").split(":")
    greeting = b"\xff" + bytes(8) + b"\x7f\x03\x01NULL" + bytes(16) + b"\0" + bytes(31)
    held = []
    for i in range(60):
        connection = socket.create_connection((host, int(port)), PATIENCE_S)
        connection.sendall(
            (rng.randbytes(200), b"GET / HTTP/1.1\r\n\r\n", greeting[: i % 64], greeting + rng.randbytes(90))[i % 4]
        )
        held.append(connection)  # half-open, all of them
    good = PolicyClient(server.endpoint, small_contract(), SystemClock())
    good.connect(PATIENCE_S)
    good.ask(OBSERVATION, 1, PATIENCE_S)
    assert until(good).stamp_ns == 1
    good.close()
    for connection in held:
        connection.close()
