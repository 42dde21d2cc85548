"""A page for a phone or a browser: two sticks, two sliders and buttons, served by the node itself.

Nothing but the standard library: a page asks some thirty times a second with its connection kept open, which needs no
WebSocket. Only who has the token may command, also on this machine, where every program and every other page in the
same browser could reach the port. It travels in the part of the address that browsers don't send, and from there in a
header. Beyond this machine it travels unencrypted: use an ssh tunnel, or a network whose members you trust.
"""

from __future__ import annotations

import contextlib
import hmac
import json
import secrets
import socket
import threading
import time
from collections.abc import Callable, Collection, Mapping
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from socketserver import TCPServer
from typing import Any

from robot_learning.drivers.teleop.hands import DeviceLost, Reading
from robot_learning.drivers.teleop.weblink import BadSaying, Link, parse
from robot_learning.errors import ConfigError
from robot_learning.rig_parts.teleop import WebConfig
from robot_learning.rig_parts.teleop_inputs import WEB

_BODY_MAX = 4096  # bytes; a message has some 300
_DIGITS = 9  # of a length that is worth reading
_CONNECTIONS = 16  # at once
_IDLE_S = 5.0  # a connection that says nothing for so long is closed
_ANY = "0.0.0.0"
_HEADERS = {
    "Cache-Control": "no-store",
    "Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'; "
    "connect-src 'self'; img-src data:; frame-ancestors 'none'; base-uri 'none'; form-action 'none'",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
}


class WebPad:
    """The page's server, and what its page says.

    Args:
        timeout_s: without news from the page for so long, the dead-man is open.
        clock: a steady one [ns].
    """

    def __init__(self, config: WebConfig, timeout_s: float, clock: Callable[[], int] = time.monotonic_ns) -> None:
        self._config, self._timeout_s, self._clock = config, timeout_s, clock
        self._token = secrets.token_urlsafe(16)  # 128 bits
        self._server: _Server | None = None
        self._shown: dict[str, Any] = {}

    def open(self) -> Collection[str]:
        self.close()
        self._link = Link(self._timeout_s, self._clock)
        self._link.show(self._shown)
        host, port = self._config.host, self._config.port
        try:
            self._server = _Server((host, port), self._link, self._token)
        except OSError as error:
            raise ConfigError(
                f"the teleoperation page can't listen on {host}:{port}: {error.strerror or error}; "
                "give another teleop.web.host or port (0: any that is free)."
            ) from None
        self._thread = threading.Thread(
            target=self._server.serve_forever, kwargs={"poll_interval": 0.1}, name="webpad", daemon=True
        )
        self._thread.start()
        return WEB.buttons

    def address(self) -> str:
        """Of the page, with the token that admits to it; known once it is open."""
        assert self._server is not None
        host, port = self._server.server_address[:2]
        seen = socket.gethostname() if host == _ANY else str(host)
        return f"http://{seen}:{port}/#{self._token}"

    def show(self, told: Mapping[str, Any]) -> None:
        self._shown |= told
        if self._server is not None:
            self._link.show(told)

    def read(self, now_ns: int) -> Reading:
        if self._server is None or not self._thread.is_alive():
            raise DeviceLost("the teleoperation page's server has ended.")
        return self._link.read()

    def close(self) -> None:
        if self._server is not None:
            server, self._server = self._server, None
            server.shutdown()
            server.server_close()
            self._thread.join()


class _Server(ThreadingHTTPServer):
    """One thread for each connection, of which there are a few at most."""

    daemon_threads = True
    block_on_close = False

    def __init__(self, address: tuple[str, int], link: Link, token: str) -> None:
        self.link, self.token = link, token.encode()
        self.page = Path(__file__).with_name("webpad.html").read_bytes()
        self._free = threading.BoundedSemaphore(_CONNECTIONS)
        self._sockets: set[Any] = set()
        super().__init__(address, _Handler)

    def server_bind(self) -> None:
        TCPServer.server_bind(self)  # HTTPServer's would ask the network for this machine's name

    def process_request(self, request: Any, client_address: Any) -> None:
        if not self._free.acquire(blocking=False):
            self.shutdown_request(request)  # whoever is inside goes on undisturbed
            return
        self._sockets.add(request)
        super().process_request(request, client_address)

    def process_request_thread(self, request: Any, client_address: Any) -> None:
        try:
            super().process_request_thread(request, client_address)
        finally:
            self._sockets.discard(request)
            self._free.release()

    def server_close(self) -> None:
        super().server_close()
        for request in list(self._sockets):  # or those that are kept open would be answered still
            with contextlib.suppress(OSError):
                request.shutdown(socket.SHUT_RDWR)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A connection that breaks is nothing to be told: the link notices the silence."""


class _Handler(BaseHTTPRequestHandler):
    server: _Server
    protocol_version = "HTTP/1.1"  # keeps connections open
    timeout = _IDLE_S
    server_version, sys_version = "robot_learning", ""
    disable_nagle_algorithm = True

    def do_GET(self) -> None:
        if self.path != "/":
            self._answer(HTTPStatus.NOT_FOUND, {"error": "there is only / here."})
            return
        self._send(HTTPStatus.OK, "text/html; charset=utf-8", self.server.page)

    def do_POST(self) -> None:
        length = self.headers.get("Content-Length", "")
        if self.headers.get("Transfer-Encoding") or not (length.isascii() and length.isdigit()):
            self._refuse(HTTPStatus.LENGTH_REQUIRED, "a Content-Length is needed.")
        elif len(length) > _DIGITS or int(length) > _BODY_MAX:
            self._refuse(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, f"at most {_BODY_MAX} bytes are taken.")
        elif self.path != "/hands":
            self._refuse(HTTPStatus.NOT_FOUND, "messages go to /hands.")
        elif not self._admitted():
            self._refuse(HTTPStatus.UNAUTHORIZED, "the token is missing or another; open the address printed last.")
        elif self.headers.get_content_type() != "application/json":
            self._refuse(HTTPStatus.UNSUPPORTED_MEDIA_TYPE, "messages are application/json.")
        else:
            self._hear(self.rfile.read(int(length)))

    def log_message(self, format: str, *args: Any) -> None:
        """Nothing: thirty lines a second help nobody."""

    # Inside

    def _admitted(self) -> bool:
        kind, _, token = self.headers.get("Authorization", "").partition(" ")
        same = hmac.compare_digest(token.encode("utf-8", "surrogateescape"), self.server.token)
        return same and kind == "Bearer"

    def _hear(self, body: bytes) -> None:
        try:
            answer = self.server.link.hear(parse(body))
        except BadSaying as error:
            self._answer(HTTPStatus.BAD_REQUEST, {"error": str(error)})
        else:
            self._answer(HTTPStatus.OK, answer)

    def _refuse(self, status: HTTPStatus, why: str) -> None:
        """Without reading the body, after which nothing on this connection could be understood."""
        self.close_connection = True
        self._answer(status, {"error": why})

    def _answer(self, status: HTTPStatus, content: Mapping[str, Any]) -> None:
        self._send(status, "application/json", json.dumps(content).encode())

    def _send(self, status: HTTPStatus, kind: str, body: bytes) -> None:
        self.send_response(status)
        for name, value in {"Content-Type": kind, "Content-Length": str(len(body)), **_HEADERS}.items():
            self.send_header(name, value)
        if self.close_connection:
            self.send_header("Connection", "close")
        self.end_headers()
        self.wfile.write(body)
