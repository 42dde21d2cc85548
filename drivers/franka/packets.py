"""What the node's process and the robot's process say to each other: packets of fixed layout, rare requests as JSON.

To the robot's process goes a socket that keeps packets whole (SOCK_SEQPACKET), from it a pipe, to which a packet this
short is written whole or not at all. One reading takes whatever has gathered in the pipe: a node whose interpreter is
hogged gets few turns, and must not fall behind in them. Both end when a process does. Nothing is ever unpickled.
"""

from __future__ import annotations

import json
import os
import select
import socket
import struct
from typing import Any, NamedTuple

import numpy as np

STATE, TARGET, STOP, HEARTBEAT, MESSAGE = b"S", b"T", b"X", b"H", b"J"
LONGEST = 1 << 16
_LENGTH = struct.Struct("<H")
_WHOLE = select.PIPE_BUF - _LENGTH.size  # a longer packet might be written in part
_MANY = 1 << 18

_STATE = struct.Struct("<c qq 7d 7d 7d 7d 7d 3d 9d d 3d BBQ ??")
_TARGET = struct.Struct("<c Q B 12d d")
_STOP = struct.Struct("<c Q")
TOOL, JOINTS = 0, 1


class StatePacket(NamedTuple):
    """One measured state, from the robot's process.

    Attributes:
        stamp_ns: of the monotonic clock.
        robot_ms: the robot's own time.
        q, dq, torque: (7,) measured.
        q_reference, dq_reference: (7,) what our controller tells the joints; as measured where it tells the tool.
        position: (3,), rotation: (3, 3) of the tool.
        gripper_width: [m].
        success_rate: of control commands, 0 to 1; 0 while nothing is commanded.
        success_min: the smallest in this motion since its beginning.
        late_ms: how late the reference came at most since the last packet.
        state: of `states.State`.
        mode: libfranka's robot mode.
        errors: see `errors.mask`.
        limited: whether the reference was held near the arm.
        grasped: whether the hand holds something.
    """

    stamp_ns: int
    robot_ms: int
    q: np.ndarray
    dq: np.ndarray
    torque: np.ndarray
    q_reference: np.ndarray
    dq_reference: np.ndarray
    position: np.ndarray
    rotation: np.ndarray
    gripper_width: float
    success_rate: float
    success_min: float
    late_ms: float
    state: int
    mode: int
    errors: int
    limited: bool
    grasped: bool

    def pack(self) -> bytes:
        return _STATE.pack(
            STATE, self.stamp_ns, self.robot_ms, *self.q, *self.dq, *self.torque, *self.q_reference, *self.dq_reference,
            *self.position, *self.rotation.ravel(), self.gripper_width, self.success_rate, self.success_min,
            self.late_ms, self.state, self.mode, self.errors, self.limited,
            self.grasped,
        )  # fmt: skip

    @classmethod
    def unpack(cls, data: bytes) -> StatePacket:
        values = _STATE.unpack(data)
        seven = [np.array(values[3 + 7 * i : 10 + 7 * i]) for i in range(5)]
        position, rotation = np.array(values[38:41]), np.array(values[41:50]).reshape(3, 3)
        return cls._make((*values[1:3], *seven, position, rotation, *values[50:]))


class TargetPacket(NamedTuple):
    """One gated target, from the node's process.

    Attributes:
        generation: how many stops there had been; the robot's process takes none from before the newest stop.
        kind: `TOOL` or `JOINTS`.
        values: (12,) position and rotation matrix row by row, or 7 joints and zeros.
        gripper_width: [m].
    """

    generation: int
    kind: int
    values: np.ndarray
    gripper_width: float

    def pack(self) -> bytes:
        return _TARGET.pack(TARGET, self.generation, self.kind, *self.values, self.gripper_width)

    @classmethod
    def unpack(cls, data: bytes) -> TargetPacket:
        values = _TARGET.unpack(data)
        return cls(values[1], values[2], np.array(values[3:15]), values[15])


def pack_stop(generation: int) -> bytes:
    """The `generation`th stop."""
    return _STOP.pack(STOP, generation)


def unpack_stop(data: bytes) -> int:
    """Which stop it is."""
    return int(_STOP.unpack(data)[1])


def pack_message(content: dict[str, Any]) -> bytes:
    """A rare request, answer or notice."""
    return MESSAGE + json.dumps(content).encode()


def unpack_message(data: bytes) -> dict[str, Any]:
    """What it says."""
    content: dict[str, Any] = json.loads(data[1:])
    return content


def pair() -> tuple[socket.socket, socket.socket]:
    """Two ends of a channel within this machine."""
    return socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)


def write(pipe: int, data: bytes) -> bool:
    """A packet into a pipe that does not block; False where it is full, or nobody reads it any more."""
    if len(data) > _WHOLE:
        raise ValueError(f"a packet of {len(data)} bytes is too long")
    try:
        os.write(pipe, _LENGTH.pack(len(data)) + data)
    except OSError:
        return False
    return True


class Packets:
    """The other end: packets in the order in which they were written."""

    def __init__(self, pipe: int) -> None:
        self._pipe, self._rest = pipe, b""

    def read(self) -> list[bytes]:
        """Wait for packets, and take all that are there; none once the writer has ended."""
        found: list[bytes] = []
        while not found:
            data = os.read(self._pipe, _MANY)
            if not data:
                break
            data, at = self._rest + data, 0
            while at + _LENGTH.size <= len(data):
                end = at + _LENGTH.size + _LENGTH.unpack_from(data, at)[0]
                if end > len(data):
                    break
                found.append(data[at + _LENGTH.size : end])
                at = end
            self._rest = data[at:]
        return found
