"""What policy client and server say to each other: five kinds of message, in msgpack, nothing executable.

| from   | message   | says                                                        | is answered with     |
|--------|-----------|-------------------------------------------------------------|----------------------|
| client | `Hello`   | who it is and its rig's contract                            | `Welcome` or `Fault` |
| server | `Welcome` | what the policy sees and predicts                           |                      |
| client | `Ask`     | an observation, its stamp, for how long an answer is of use | `Chunk` or `Fault`   |
| server | `Chunk`   | the actions, the stamp they begin at, how long it took      |                      |
| server | `Fault`   | which kind of fault, and details for people                 |                      |

Ids grow with every message of a client, so that a message that comes twice is known. Clocks of two machines
differ: an `Ask` carries how much time is left, not until when.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields
from typing import Any, TypeAlias, cast

import msgpack
import numpy as np

from robot_learning.errors import UserError

VERSION = 1
DTYPES = ("bool", "uint8", "uint16", "int32", "int64", "float32", "float64")  # little-endian
MAX_NDIM = 6
MAX_TEXT = 100_000  # characters of one string
MAX_ITEMS = 4096  # of one list or map
_LARGEST = 2**63 - 1

FAULTS = {
    "malformed": "not a message of this protocol",
    "version": "another version of the protocol",
    "no_session": "no handshake since the server started",
    "contract": "the client's rig and the policy do not fit together",
    "replayed": "a message id that has been used already",
    "observation": "an observation that is not what the policy sees",
    "prefix": "committed actions that the policy can't begin its chunk with",
    "expired": "no answer within the time that the client gave",
    "superseded": "the same client has asked anew",
    "raised": "the policy raised an error",
    "not_finite": "the policy's chunk has values that are not finite",
    "shape": "the policy's chunk has another shape than it should",
}


class WireError(UserError):
    """Bytes that are no message of this protocol.

    Attributes:
        kind: `malformed` or `version`.
    """

    def __init__(self, detail: str, kind: str = "malformed") -> None:
        self.kind = kind
        super().__init__(detail)


@dataclass(frozen=True)
class ServerInfo:
    """What a policy server serves.

    Attributes:
        policy: the kind of policy, e.g. `diffusion_unet`.
        observations: feature names that each observation must have, `To` steps of each, the newest last.
        actions: feature names that an action is made of, in order.
        To: observation steps.
        Tp: predicted steps, those before the newest observation included.
        executed: (start, stop) of the part of a prediction that training meant to be executed; a reply's chunk
            begins at `start` and goes on to the end.
        image_size: (H, W) [px] that images must have; None: as recorded.
        policy_rate_hz: of the policy's time grid [Hz].
        backend: `eager`, `compile` or `onnx`.
        snapshot: hash of the data that the policy was trained on.
        supports_prefix: whether a chunk can begin with committed actions (real-time chunking).
    """

    policy: str
    observations: tuple[str, ...]
    actions: tuple[str, ...]
    To: int
    Tp: int
    executed: tuple[int, int]
    image_size: tuple[int, int] | None
    policy_rate_hz: float
    backend: str
    snapshot: str
    supports_prefix: bool

    @property
    def chunk_length(self) -> int:
        """Actions in a reply: from the current step on."""
        return self.Tp - self.executed[0]


@dataclass(frozen=True)
class Hello:
    """A client's handshake.

    Attributes:
        contract: the rig's, as JSON.
    """

    id: int
    name: str
    contract: dict[str, Any]


@dataclass(frozen=True)
class Welcome:
    """The server's side of the handshake."""

    id: int
    info: ServerInfo


@dataclass(frozen=True, eq=False)
class Ask:
    """A request for one chunk.

    Attributes:
        stamp_ns: the instant that the observation is about [ns], on the client's clock.
        budget_ns: how long after its arrival an answer is of use [ns].
        observation: feature name to (To, *shape).
        prefix: (d, Da) actions from the current step on that will be executed whatever the answer; None: none.
        instruction: what to do, for policies that listen.
    """

    id: int
    stamp_ns: int
    budget_ns: int
    observation: dict[str, np.ndarray]
    prefix: np.ndarray | None
    instruction: str


@dataclass(frozen=True, eq=False)
class Chunk:
    """The answer to an `Ask`.

    Attributes:
        stamp_ns: the request's.
        chunk: (n, Da) float64; action k is meant for `stamp_ns + k * dt`.
        timing: `queue_ms` until inference began, `inference_ms`, `total_ms` from arrival to answer.
    """

    id: int
    stamp_ns: int
    chunk: np.ndarray
    timing: dict[str, float]


@dataclass(frozen=True)
class Fault:
    """Why there is no `Welcome` or `Chunk`.

    Attributes:
        id: of the message that it answers; 0 where that could not be read.
        stamp_ns: the request's; 0 where there is none.
        kind: one of `FAULTS`.
        detail: a sentence.
    """

    id: int
    stamp_ns: int
    kind: str
    detail: str
    timing: dict[str, float]


Message: TypeAlias = Hello | Welcome | Ask | Chunk | Fault


def encode(message: Message) -> bytes:
    """A message as bytes; arrays of another dtype than `DTYPES` are refused with WireError."""
    body = {f.name: getattr(message, f.name) for f in fields(message)}
    head = {"version": VERSION, "type": type(message).__name__.lower()}
    return msgpack.packb(head | body, default=_pack, use_bin_type=True)


def decode(data: bytes) -> Message:
    """The message in `data`; its arrays are read-only views of `data`.

    Raises:
        WireError: anything else than a whole message, with every field of its type and no other.
    """
    try:
        content = msgpack.unpackb(
            data, raw=False, strict_map_key=True, ext_hook=_no_extension, max_str_len=MAX_TEXT,
            max_array_len=MAX_ITEMS, max_map_len=MAX_ITEMS, max_bin_len=len(data), max_ext_len=0,
        )  # fmt: skip
    except (ValueError, TypeError, RecursionError, OverflowError, msgpack.UnpackException) as error:
        raise WireError(f"not msgpack of this protocol: {type(error).__name__} {error}") from None
    if not isinstance(content, dict):
        raise WireError(f"a message is a map; got {type(content).__name__}")
    version = content.pop("version", None)
    if version != VERSION or isinstance(version, bool):
        raise WireError(f"the message has protocol version {_short(version)}, here it is {VERSION}", "version")
    kind = content.pop("type", None)
    if not isinstance(kind, str) or kind not in _MESSAGES:
        raise WireError(f"unknown type of message {_short(kind)}; allowed: {', '.join(_MESSAGES)}")
    message_class, readers = _MESSAGES[kind]
    return cast(Message, message_class(**_read(content, readers, kind)))


def _pack(value: object) -> dict[str, Any]:
    if isinstance(value, ServerInfo):
        return dict(vars(value))
    if not isinstance(value, np.ndarray) or value.dtype.name not in DTYPES or value.ndim > MAX_NDIM or not value.size:
        what = f"{value.dtype} {value.shape}" if isinstance(value, np.ndarray) else type(value).__name__
        raise WireError(f"can't send {what}; allowed are arrays of {', '.join(DTYPES)} that are not empty.")
    little = np.ascontiguousarray(value, value.dtype.newbyteorder("<"))
    return {"dtype": value.dtype.name, "shape": list(value.shape), "data": little.tobytes()}


def _no_extension(code: int, data: bytes) -> None:
    raise ValueError(f"extension type {code}")


Reader = Callable[[Any, str], Any]


def _read(content: Any, readers: Mapping[str, Reader], where: str) -> dict[str, Any]:
    """Each field of a map through its reader; no field may be missing, none is unknown."""
    if not isinstance(content, dict) or set(content) != set(readers):
        found = sorted(map(str, content)) if isinstance(content, dict) else type(content).__name__
        raise WireError(f"'{where}' has the fields {', '.join(readers)}; got {_short(found)}")
    return {name: read(content[name], f"{where}.{name}") for name, read in readers.items()}


def _count(value: Any, where: str) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value <= _LARGEST:
        raise WireError(f"'{where}' is an integer from 0 to 2^63 - 1; got {_short(value)}")
    return value


def _real(value: Any, where: str) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise WireError(f"'{where}' is a finite number; got {_short(value)}")
    return float(value)


def _text(value: Any, where: str) -> str:
    if not isinstance(value, str):
        raise WireError(f"'{where}' is text; got {_short(value)}")
    return value


def _flag(value: Any, where: str) -> bool:
    if not isinstance(value, bool):
        raise WireError(f"'{where}' is true or false; got {_short(value)}")
    return value


def _map(value: Any, where: str) -> dict[str, Any]:
    if not isinstance(value, dict) or not all(isinstance(key, str) for key in value):
        raise WireError(f"'{where}' is a map with names as keys; got {_short(value)}")
    return value


def _array(value: Any, where: str) -> np.ndarray:
    parts = _read(value, {"dtype": _text, "shape": _list_of(_count), "data": _bytes}, where)
    dtype, shape, data = parts["dtype"], parts["shape"], parts["data"]
    if dtype not in DTYPES:
        raise WireError(f"'{where}' has dtype {_short(dtype)}; allowed: {', '.join(DTYPES)}")
    itemsize = np.dtype(dtype).itemsize
    if len(shape) > MAX_NDIM or not all(shape) or math.prod(shape) * itemsize != len(data):
        raise WireError(f"'{where}' has {len(data)} bytes, which is not {dtype} {_short(shape)}")
    if dtype == "bool" and data.strip(b"\0\1"):
        raise WireError(f"'{where}' has booleans that are neither 0 nor 1")
    return np.frombuffer(data, np.dtype(dtype).newbyteorder("<")).reshape(shape)


def _bytes(value: Any, where: str) -> bytes:
    if not isinstance(value, bytes):
        raise WireError(f"'{where}' is bytes; got {_short(value)}")
    return value


def _list_of(read: Reader, length: int | None = None) -> Reader:
    def reader(value: Any, where: str) -> tuple[Any, ...]:
        if not isinstance(value, list) or (length is not None and len(value) != length):
            raise WireError(f"'{where}' is a list{f' of {length}' if length else ''}; got {_short(value)}")
        return tuple(read(item, where) for item in value)

    return reader


def _map_of(read: Reader) -> Reader:
    return lambda value, where: {k: read(v, f"{where}.{k}") for k, v in _map(value, where).items()}


def _optional(read: Reader) -> Reader:
    return lambda value, where: None if value is None else read(value, where)


def _info(value: Any, where: str) -> ServerInfo:
    names, pair = _list_of(_text), _list_of(_count, 2)
    readers = {
        "policy": _text, "observations": names, "actions": names, "To": _count, "Tp": _count, "executed": pair,
        "image_size": _optional(pair), "policy_rate_hz": _real, "backend": _text, "snapshot": _text,
        "supports_prefix": _flag,
    }  # fmt: skip
    return ServerInfo(**_read(value, readers, where))


def _fault(value: Any, where: str) -> str:
    if not isinstance(value, str) or value not in FAULTS:
        raise WireError(f"'{where}' is one of {', '.join(FAULTS)}; got {_short(value)}")
    return value


_ANSWER: dict[str, Reader] = {"id": _count, "stamp_ns": _count}
_MESSAGES: dict[str, tuple[type, dict[str, Reader]]] = {
    "hello": (Hello, {"id": _count, "name": _text, "contract": _map}),
    "welcome": (Welcome, {"id": _count, "info": _info}),
    "ask": (
        Ask,
        _ANSWER
        | {"budget_ns": _count, "observation": _map_of(_array), "prefix": _optional(_array), "instruction": _text},
    ),
    "chunk": (Chunk, _ANSWER | {"chunk": _array, "timing": _map_of(_real)}),
    "fault": (Fault, _ANSWER | {"kind": _fault, "detail": _text, "timing": _map_of(_real)}),
}


def _short(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 80 else f"{text[:77]}..."
