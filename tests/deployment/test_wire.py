"""Messages: what goes in comes out, and nothing else is taken for a message."""

from __future__ import annotations

import contextlib

import msgpack
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from robot_learning.deployment.wire import (
    DTYPES,
    FAULTS,
    VERSION,
    Ask,
    Chunk,
    Fault,
    Hello,
    ServerInfo,
    Welcome,
    WireError,
    decode,
    encode,
)

INFO = ServerInfo("p", ("joints", "front"), ("action",), 2, 16, (1, 9), (84, 96), 20.0, "eager", "ab", True)
ASK = Ask(7, 10**18, 10**8, {"joints": np.arange(6.0).reshape(2, 3)}, None, "lift the cube")


def changed(message, **fields):
    """A message's bytes with some of its fields replaced."""
    return msgpack.packb(msgpack.unpackb(encode(message)) | fields)


@pytest.mark.parametrize(
    "message",
    [
        Hello(1, "policy", {"rig": "toy", "streams": [{"shape": [2]}]}),
        Welcome(1, INFO),
        Welcome(2, ServerInfo("p", (), ("action",), 1, 1, (0, 1), None, 10.5, "onnx", "", False)),
        Fault(3, 5, "expired", "it waited", {"queue_ms": 1.5}),
    ],
)
def test_messages_without_arrays_come_back_equal(message):
    assert decode(encode(message)) == message


@pytest.mark.parametrize("dtype", DTYPES)
def test_arrays_keep_shape_dtype_and_bits(dtype):
    values = np.random.default_rng(0).integers(0, 2, (2, 3, 4)).astype(dtype)
    back = decode(encode(Ask(1, 2, 3, {"x": values[:, ::2]}, values[0].astype("float32"), "")))
    assert isinstance(back, Ask)
    assert back.observation["x"].dtype == np.dtype(dtype)
    np.testing.assert_array_equal(back.observation["x"], values[:, ::2])
    np.testing.assert_array_equal(back.prefix, values[0])
    assert (back.id, back.stamp_ns, back.budget_ns) == (1, 2, 3)


def test_big_endian_arrays_arrive_in_the_receiver_s_order():
    back = decode(encode(Chunk(1, 2, np.array([[1.5, -2.0]], ">f8"), {})))
    np.testing.assert_array_equal(back.chunk, [[1.5, -2.0]])


@pytest.mark.parametrize(
    "value", [np.array([object()]), np.array(["text"]), np.zeros((0, 3)), np.zeros((1,) * 7), np.zeros(2, "complex128")]
)
def test_arrays_of_other_kinds_are_not_sent(value):
    with pytest.raises(WireError, match="can't send"):
        encode(Ask(1, 2, 3, {"x": value}, None, ""))


ARRAY = {"dtype": "float64", "shape": [2, 3], "data": bytes(48)}


@pytest.mark.parametrize(
    ("fields", "match"),
    [
        ({"version": VERSION + 1}, f"protocol version {VERSION + 1}, here it is {VERSION}"),
        ({"version": True}, "protocol version True"),
        ({"type": "shutdown"}, "unknown type of message 'shutdown'; allowed: hello, welcome, ask"),
        ({"type": ["ask"]}, "unknown type of message"),
        ({"more": 1}, "'ask' has the fields id, stamp_ns, "),
        ({"id": -1}, "'ask.id' is an integer from 0"),
        ({"id": True}, "'ask.id' is an integer"),
        ({"id": 1.0}, "'ask.id' is an integer"),
        ({"stamp_ns": 2**63}, "'ask.stamp_ns' is an integer"),
        ({"instruction": b"x"}, "'ask.instruction' is text"),
        ({"observation": []}, "'ask.observation' is a map"),
        ({"observation": {b"x": ARRAY}}, "'ask.observation' is a map with names"),
        ({"observation": {"x": [1.0]}}, r"'ask.observation.x' has the fields dtype, shape, data"),
        ({"prefix": ARRAY | {"dtype": "O"}}, "dtype 'O'; allowed: bool, uint8"),
        ({"prefix": ARRAY | {"dtype": "float16"}}, "dtype 'float16'"),
        ({"prefix": ARRAY | {"shape": [2, 4]}}, "48 bytes, which is not float64"),
        ({"prefix": ARRAY | {"shape": [2**32, 2**32, 0]}}, "which is not"),
        ({"prefix": ARRAY | {"shape": [2**62, 2**62]}}, "which is not"),
        ({"prefix": ARRAY | {"shape": [-2, -3]}}, "is an integer from 0"),
        ({"prefix": ARRAY | {"shape": [1] * 5 + [2, 3]}}, "which is not"),
        ({"prefix": ARRAY | {"data": "x" * 48}}, "is bytes"),
        ({"prefix": {"dtype": "bool", "shape": [2], "data": b"\1\2"}}, "neither 0 nor 1"),
    ],
)
def test_a_field_of_another_kind_is_named(fields, match):
    with pytest.raises(WireError, match=match):
        decode(changed(ASK, **fields))


def test_an_unknown_kind_of_fault_or_a_time_that_is_not_finite_is_refused():
    fault = Fault(3, 5, "expired", "it waited", {"queue_ms": 1.5})
    with pytest.raises(WireError, match="is one of malformed, version"):
        decode(changed(fault, kind="surprise"))
    with pytest.raises(WireError, match="is a finite number"):
        decode(changed(fault, timing={"queue_ms": float("nan")}))


def test_another_version_is_told_apart_from_garbage():
    with pytest.raises(WireError) as error:
        decode(changed(ASK, version=2))
    assert error.value.kind == "version"
    with pytest.raises(WireError) as error:
        decode(b"hello")
    assert error.value.kind == "malformed"
    assert {"version", "malformed"} <= set(FAULTS)


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\xc1",  # never used in msgpack
        b"\xdd\xff\xff\xff\xff",  # a list of 2^32 - 1 items that are not there
        b"\xdf\xff\xff\xff\xff",  # a map likewise
        b"\xc6\xff\xff\xff\xff",  # bytes likewise
        b"\x91" * 100_000,  # a list in a list in a list ...
        b"\x81\x01\x01",  # a key that is no text
        msgpack.packb(msgpack.ExtType(5, b"x")),
        msgpack.packb(msgpack.Timestamp(1)),
        msgpack.packb([1, 2]),
        msgpack.packb({}),
        encode(ASK) + b"\0",
        encode(ASK)[:-1],
        b"\x81\xa1\xff\x01",  # text that is no UTF-8
    ],
)
def test_what_is_no_message_is_refused(data):
    with pytest.raises(WireError):
        decode(data)


@given(st.binary(max_size=300))
def test_any_bytes_are_a_message_or_a_wire_error(data):
    with pytest.raises(WireError):
        decode(data)


@given(st.data())
def test_a_message_with_bytes_flipped_is_a_message_or_a_wire_error(data):
    message = bytearray(encode(ASK))
    for place in data.draw(st.lists(st.integers(0, len(message) - 1), min_size=1, max_size=4)):
        message[place] = data.draw(st.integers(0, 255))
    with contextlib.suppress(WireError):
        assert isinstance(decode(bytes(message)), Ask)
