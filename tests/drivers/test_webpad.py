"""The page's server over real connections on this machine."""

import contextlib
import http.client
import json
import re
import socket
import threading
import time
from urllib.parse import urlsplit

import pytest

from robot_learning.drivers.teleop.hands import DeviceLost, Screen
from robot_learning.drivers.teleop.mapping import Mapping
from robot_learning.drivers.teleop.webpad import WebPad
from robot_learning.errors import ConfigError
from robot_learning.rig_parts.teleop import TeleopConfig, WebConfig
from robot_learning.rig_parts.teleop_inputs import WEB

PATIENCE_S = 10.0


class Browser:
    """A page that was opened at the address."""

    def __init__(self, address, page="a" * 32):
        parts = urlsplit(address)
        self.token, self.page, self.number, self.echo = parts.fragment, page, 0, None
        self.connection = http.client.HTTPConnection(parts.hostname, parts.port, timeout=PATIENCE_S)

    def post(self, body=b"{}", path="/hands", **headers):
        """Status and content of the answer."""
        usual = {"Content-Type": "application/json", "Authorization": f"Bearer {self.token}"}
        sent = {**usual, **{name.replace("_", "-"): value for name, value in headers.items()}}
        sent = {name: value for name, value in sent.items() if value is not None}
        try:
            self.connection.request("POST", path, body, sent)
            answer = self.connection.getresponse()
        except ConnectionError:  # closed after a silence, such as a stall of the machine; browsers ask again, too
            self.connection.close()
            self.connection.request("POST", path, body, sent)
            answer = self.connection.getresponse()
        return answer.status, json.loads(answer.read())

    def say(self, **content):
        self.number += 1
        message = {"page": self.page, "number": self.number, "echo": self.echo, **content}
        status, told = self.post(json.dumps(message).encode())
        assert status == 200
        self.echo = told["now"]
        return told


@pytest.fixture
def pad():
    made = WebPad(WebConfig(port=0), timeout_s=PATIENCE_S)
    made.open()
    yield made
    made.close()


@pytest.fixture
def browser(pad):
    made = Browser(pad.address())
    yield made
    made.connection.close()


def test_a_touched_stick_moves_the_tool_and_buttons_are_words(pad, browser):
    mapping = Mapping(TeleopConfig(), "web")
    mapping.opened(WEB.buttons)
    browser.say()
    assert browser.say()["commands_here"]
    mapping.hands(pad.read(0))
    browser.say(axes={"left_y": 1.0, "left_x": 0.0}, touched=True, words=["start", "gripper"])
    hands = mapping.hands(pad.read(0))
    assert hands.dead_man
    assert hands.motions["x"] == 1
    assert hands.words == ("start", "gripper")


def test_the_page_is_served_and_shows_what_the_node_tells(pad, browser):
    assert isinstance(pad, Screen)
    browser.connection.request("GET", "/")
    answer = browser.connection.getresponse()
    page = answer.read().decode()
    assert answer.status == 200
    assert "frame-ancestors 'none'" in answer.getheader("Content-Security-Policy")
    assert pad._token not in page  # it is in the address only
    assert set(re.findall(r'data-[xy]="(\w+)"', page)) == set(WEB.axes)
    assert set(re.findall(r'data-word="(\w+)"', page)) == set(WEB.words)
    pad.show({"mode": "tool", "recording": "3.2 s"})
    assert browser.say()["recording"] == "3.2 s"


def test_without_the_token_nobody_commands_and_every_node_has_another(pad, browser):
    good = json.dumps({"page": "a" * 32, "number": 1, "words": ["stop"]}).encode()
    token = browser.token
    for wrong in (
        None,
        "",
        "Bearer",
        "Bearer ",
        f"Basic {token}",
        f"Bearer {token}x",
        f"Bearer {token[:-1]}",
        "Bearer \xe9",
    ):
        status, told = browser.post(good, Authorization=wrong)
        assert status == 401
        assert "token" in told["error"]
    assert pad.read(0).pressed == ()
    assert browser.post(good)[0] == 200
    assert pad.read(0).pressed == ("stop",)
    assert len(browser.token) >= 22  # 128 bits
    other = WebPad(WebConfig(port=0), PATIENCE_S)
    assert other._token != pad._token


def test_it_listens_on_this_machine_only_unless_the_rig_file_says_otherwise():
    assert WebConfig().host == "127.0.0.1"
    pad = WebPad(WebConfig(host="0.0.0.0", port=0), PATIENCE_S)
    pad.open()
    try:
        port = urlsplit(pad.address()).port
        browser = Browser(f"http://127.0.0.1:{port}/#")
        assert browser.post(Authorization=None)[0] == 401  # never without the token
        assert Browser(f"http://127.0.0.1:{port}/#{urlsplit(pad.address()).fragment}").post()[0] == 400
    finally:
        pad.close()


@pytest.mark.parametrize(
    ("request_", "status"),
    [
        ({"body": b"x" * 5000}, 413), ({"body": b"{", "Content_Length": "9" * 5000}, 413),
        ({"body": b"{}", "Content_Length": "-1"}, 411), ({"body": b"{}", "Transfer_Encoding": "chunked"}, 411),
        ({"path": "/other"}, 404), ({"Content_Type": "text/plain"}, 415), ({"body": b"{"}, 400), ({"body": b"[]"}, 400),
        ({"body": b""}, 400), ({"body": b'{"page": 1}'}, 400),
    ],
)  # fmt: skip
def test_requests_that_are_malformed_or_too_large_are_refused_and_the_page_goes_on(pad, browser, request_, status):
    stranger = Browser(pad.address(), "b" * 32)
    got, told = stranger.post(**request_)
    assert got == status
    assert told["error"].endswith(".")
    stranger.connection.close()
    browser.say()
    assert browser.say()["commands_here"]


def test_other_paths_and_methods_do_nothing(pad, browser):
    for method, path in (("GET", "/hands"), ("GET", "/../etc/passwd"), ("PUT", "/hands"), ("OPTIONS", "/hands")):
        connection = http.client.HTTPConnection(browser.connection.host, browser.connection.port, timeout=PATIENCE_S)
        connection.request(method, path)
        answer = connection.getresponse()
        answer.read()
        assert answer.status in (404, 501)
        assert answer.getheader("Access-Control-Allow-Origin") is None
        connection.close()


def test_bytes_that_are_no_http_and_connections_that_only_wait_do_not_disturb_who_commands(pad, browser, capfd):
    browser.say()
    host, port = browser.connection.host, browser.connection.port
    with contextlib.ExitStack() as stack:
        for data in (
            b"\x00\xff\n\n",
            b"POST /hands HTTP/1.1\r\nContent-Length: 100\r\n\r\n{",
            b"GET / HTTP/1.1\r\n" * 200,
        ):
            stranger = stack.enter_context(socket.create_connection((host, port), PATIENCE_S))
            stranger.sendall(data)
        for _ in range(30):  # more than are admitted at once
            stack.enter_context(socket.create_connection((host, port), PATIENCE_S))
        for _ in range(20):
            assert browser.say()["commands_here"]
    assert "Traceback" not in capfd.readouterr().err


def test_closing_ends_open_connections_the_server_and_the_device(pad, browser):
    browser.say()
    count = threading.active_count()
    pad.close()
    pad.close()
    with pytest.raises(DeviceLost, match="ended"):
        pad.read(0)
    with pytest.raises((http.client.HTTPException, OSError)):
        browser.say()
    end = time.monotonic() + PATIENCE_S
    while threading.active_count() >= count and time.monotonic() < end:
        time.sleep(0.01)
    assert threading.active_count() < count


def test_opened_again_it_has_the_same_token(pad):
    token = urlsplit(pad.address()).fragment
    pad.open()
    assert urlsplit(pad.address()).fragment == token
    browser = Browser(pad.address())
    assert not browser.say()["commands_here"]
    assert browser.say()["commands_here"]


def test_a_port_that_is_taken_is_told_with_what_to_do(pad):
    port = urlsplit(pad.address()).port
    with pytest.raises(ConfigError, match=rf"can't listen on 127\.0\.0\.1:{port}.*another teleop\.web\.host or port"):
        WebPad(WebConfig(port=port), PATIENCE_S).open()
