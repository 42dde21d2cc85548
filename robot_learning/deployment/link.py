"""One connection of a policy client, which is thrown away when anything goes wrong on it."""

from __future__ import annotations

import contextlib

import zmq
from zmq.utils.monitor import recv_monitor_message

from robot_learning.deployment.keys import ClientKeys
from robot_learning.deployment.wire import Message, WireError, decode, encode
from robot_learning.errors import DeploymentError

_HANDSHAKE_FAILED = (
    zmq.EVENT_HANDSHAKE_FAILED_AUTH | zmq.EVENT_HANDSHAKE_FAILED_PROTOCOL | zmq.EVENT_HANDSHAKE_FAILED_NO_DETAIL
)
_WATCHED = zmq.EVENT_CONNECTED | zmq.EVENT_DISCONNECTED | zmq.EVENT_HANDSHAKE_SUCCEEDED | _HANDSHAKE_FAILED


class Link:
    """A socket that tells when its connection is lost, and why it never was one.

    Attributes:
        lost: whether it was established and is not any more.
        trouble: why it is not established, as far as is known.
    """

    def __init__(self, context: zmq.Context, endpoint: str, keys: ClientKeys | None) -> None:
        self.socket = context.socket(zmq.DEALER)
        self.socket.linger = 0
        self.socket.sndhwm = self.socket.rcvhwm = 4
        self.socket.heartbeat_ivl, self.socket.heartbeat_timeout = 1000, 3000
        self.socket.reconnect_ivl = 50
        self.lost = False
        self.trouble = "nothing listens there"
        self._established = False
        try:
            if keys:
                keys.secure(self.socket)
            self._monitor = self.socket.get_monitor_socket(_WATCHED)
            self.socket.connect(endpoint)
        except zmq.ZMQError as error:
            self.close()
            raise DeploymentError(f"can't connect to {endpoint}: {error.strerror}; check the address.") from None
        except BaseException:
            self.close()
            raise

    def send(self, message: Message) -> bool:
        """Queue a message; False where the queue is full."""
        try:
            self.socket.send(encode(message), zmq.NOBLOCK)
        except zmq.Again:
            return False
        return True

    def receive(self) -> Message | None:
        """The next message, or None; what is not of the protocol is skipped."""
        self._watch()
        while True:
            try:
                return decode(self.socket.recv(zmq.NOBLOCK))
            except zmq.Again:
                return None
            except WireError as error:
                self.trouble = f"what answers is no policy server of this version ({error})"

    def close(self) -> None:
        """Drop it, with whatever is still on its way."""
        with contextlib.suppress(zmq.ZMQError):
            self.socket.disable_monitor()
        self.socket.close(0)

    def _watch(self) -> None:
        while True:
            try:
                event = recv_monitor_message(self._monitor, zmq.NOBLOCK)["event"]
            except zmq.Again:
                return
            if event == zmq.EVENT_CONNECTED:
                self.trouble = "it accepts the connection and does not answer"
            elif event == zmq.EVENT_HANDSHAKE_SUCCEEDED:
                self._established = True
            elif event & _HANDSHAKE_FAILED:
                self.trouble = "the encrypted handshake failed; check both sides' keys"
            elif event == zmq.EVENT_DISCONNECTED:
                self.lost = self._established
