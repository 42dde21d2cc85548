"""Whether this computer can drive a rig's Franka: kernel, priority, CPU, network, versions. Nothing moves.

What is asked for is Franka's own: https://frankarobotics.github.io/docs/requirements.html and .../compatibility.html.
"""

from __future__ import annotations

import contextlib
import os
import re
import resource
import socket
import struct
import subprocess
import sys
import time
from collections.abc import Iterator
from importlib import metadata
from importlib.util import find_spec
from pathlib import Path

import numpy as np

from robot_learning.doctor import Finding
from robot_learning.drivers.franka import limits
from robot_learning.errors import ConfigError
from robot_learning.rig import Rig
from robot_learning.rig_parts.franka import FrankaConfig

PORT = 1337
PINGS = 1000
GUIDE = "docs/hardware/franka.md, 'The computer'"
# What a round trip may take of the millisecond in which an answer is due, and how many may be lost of 1000.
LATENCY_P99_MS, LOST_MAX = 0.5, 1
_PROBES = 100
_TIMEOUT_S = 1.0
_LOST_ENOUGH = 3
# libfranka's own words for what it found, printed by a process of its own: a broken library must not end the doctor.
_ASK = """
import sys, franky
robot = franky.Robot(sys.argv[1], realtime_config=franky.RealtimeConfig.Ignore)
state = robot.state
print("mode", state.robot_mode.name, "errors", state.current_errors)
"""


def findings(rig: Rig) -> Iterator[Finding]:
    """All checks of a rig whose robot is a Franka, one finding at a time."""
    try:
        config = limits.check(rig)
    except ConfigError as error:
        yield Finding("FAIL", "franka limits", str(error), "mend the rig file")
        return
    yield Finding("ok", "franka limits", f"within those of a {limits.ARMS[config.model].name}")
    yield library(config)
    need = config.realtime == "strict"
    yield kernel(need)
    yield priority(need)
    yield governor()
    reachable = port(config)
    yield reachable
    if reachable.mark == "ok":
        yield network(config)
        yield server(config)


def library(config: FrankaConfig) -> Finding:
    """franky, and whether the libfranka within it is for this model: a Panda speaks those before 0.10 alone."""
    if find_spec("franky") is None:
        return Finding("FAIL", "franky", "is not installed", "pip install franky-control==2.0.0 (make hardware)")
    versions = [carried(str(file)) for file in metadata.files("franky-control") or []]
    libfranka = next((version for version in versions if version), ())
    detail = (
        f"franky-control {metadata.version('franky-control')} with libfranka {'.'.join(map(str, libfranka)) or '?'}"
    )
    if libfranka and (libfranka < (0, 10)) != (config.model == "panda"):
        return Finding(
            "FAIL",
            "franky",
            f"{detail} does not speak to a {limits.ARMS[config.model].name}",
            "install franky's wheel with libfranka "
            + ("before 0.10, for instance 0.9.2" if config.model == "panda" else "0.10 or later")
            + ": https://timschneider42.github.io/franky/",
        )
    return Finding("ok", "franky", detail)


def carried(file: str) -> tuple[int, ...]:
    """The version of a libfranka by its file's name, such as libfranka-b351eea7.so.0.21.2; empty: none."""
    match = re.search(r"libfranka-?\w*\.so\.(\d+)\.(\d+)\.(\d+)$", file)
    return tuple(map(int, match.groups())) if match else ()


def kernel(need: bool, flag: Path = Path("/sys/kernel/realtime")) -> Finding:
    """A kernel with PREEMPT_RT."""
    if flag.exists() and flag.read_text().strip() == "1":
        return Finding("ok", "real-time kernel", os.uname().release)
    return Finding(
        "FAIL" if need else "--",
        "real-time kernel",
        f"{os.uname().release} is not one: other work of this computer may stop the arm at any time",
        f"install a kernel with PREEMPT_RT (Ubuntu: `pro enable realtime-kernel`); {GUIDE}",
    )


def priority(need: bool, allowed: int | None = None) -> Finding:
    """Whether this user may run threads with real-time priority."""
    limit = resource.getrlimit(resource.RLIMIT_RTPRIO)[0] if allowed is None else allowed
    # A number says what an account may; for root only trying tells, since a container may lack the right.
    if limit == resource.RLIM_INFINITY or limit >= 80 or (allowed is None and _may_be_first()):
        return Finding("ok", "real-time priority", "allowed")
    return Finding(
        "FAIL" if need else "--",
        "real-time priority",
        f"this user may have rtprio {limit}, libfranka asks for 99",
        "in /etc/security/limits.conf: `@realtime soft rtprio 99`, the same with hard, and memlock 102400; "
        "`addgroup realtime; usermod -a -G realtime $USER`; log in anew",
    )


def _may_be_first() -> bool:
    code = "import os; os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(80))"
    return subprocess.run([sys.executable, "-c", code], capture_output=True, check=False).returncode == 0


def governor(folder: Path = Path("/sys/devices/system/cpu")) -> Finding:
    """A CPU that does not save power: changing its frequency costs milliseconds."""
    found = {p.read_text().strip() for p in sorted(folder.glob("cpu[0-9]*/cpufreq/scaling_governor"))}
    if not found:
        return Finding("--", "CPU governor", "this machine does not tell (a virtual machine?)", "see the host")
    if found == {"performance"}:
        return Finding("ok", "CPU governor", "performance")
    return Finding("--", "CPU governor", ", ".join(sorted(found)), "`cpupower frequency-set -g performance`, as root")


def port(config: FrankaConfig) -> Finding:
    """Whether anything listens where the robot should."""
    try:
        with socket.create_connection((config.address, PORT), _TIMEOUT_S):
            return Finding("ok", "control box", f"{config.address} listens on port {PORT}")
    except OSError as error:
        return Finding(
            "FAIL",
            "control box",
            f"{config.address}:{PORT}: {error}",
            "switch it on, put the cable into the control box's (not the arm's) port, give this computer an address in "
            "the same network, unlock the joints and activate FCI in Desk",
        )


def network(config: FrankaConfig) -> Finding:
    """1000 echoes, one each millisecond; where pings are not allowed, the time that TCP connections take."""
    try:
        times = echo(config.address)
    except PermissionError:
        return _verdict(connects(config.address), _PROBES, "TCP connections (pings are not allowed here)")
    except OSError as error:
        return Finding("--", "network", f"no echo: {error}", "see the cable and this computer's address")
    if not times:
        return _verdict(connects(config.address), _PROBES, "TCP connections (it does not answer pings)")
    return _verdict(times, PINGS, "echoes at 1 kHz")


def _verdict(times: list[float], sent: int, what: str) -> Finding:
    if not times:
        return Finding("FAIL", "network", f"none of {sent} {what} was answered", "see the cable")
    p50, p99, worst = np.percentile(times, [50, 99, 100])
    lost = sent - len(times)
    detail = f"{sent} {what}: {lost} lost, {p50:.2f} ms, p99 {p99:.2f}, longest {worst:.2f}"
    if lost <= LOST_MAX and p99 < LATENCY_P99_MS:
        return Finding("ok", "network", detail)
    return Finding(
        "FAIL",
        "network",
        f"{detail}; at most {LATENCY_P99_MS} ms (p99) and {LOST_MAX} lost leave the loop enough of its millisecond",
        "connect the control box directly to a network card of this computer, without switch, USB adapter or wireless; "
        "switch its power saving off (`ethtool -s <card> wol d; ethtool --set-eee <card> eee off`)",
    )


def echo(address: str, count: int = PINGS) -> list[float]:
    """Round trips of ICMP echoes sent each millisecond [ms]; lost ones are left out. PermissionError where not allowed.

    The socket needs no root where net.ipv4.ping_group_range has this user's group.
    """
    sent: dict[int, float] = {}
    times: list[float] = []
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM, socket.IPPROTO_ICMP) as icmp:
        icmp.connect((address, 0))
        icmp.setblocking(False)
        begin = time.perf_counter()
        for i in range(count):
            sent[i] = time.perf_counter()
            with contextlib.suppress(BlockingIOError):
                icmp.send(_request(i))
            while time.perf_counter() < begin + (i + 1) / 1000:
                _receive(icmp, sent, times)
        end = time.perf_counter() + 0.2
        while time.perf_counter() < end and sent:
            _receive(icmp, sent, times)
    return times


def _request(number: int) -> bytes:
    """ICMP echo request (RFC 792) with the size of libfranka's commands; the kernel fills in the identifier."""
    head, body = struct.pack("!BBHHH", 8, 0, 0, 0, number), bytes(360)
    words = struct.unpack(f"!{(len(head) + len(body)) // 2}H", head + body)
    total = sum(words)
    total = (total >> 16) + (total & 0xFFFF)
    return struct.pack("!BBHHH", 8, 0, ~(total + (total >> 16)) & 0xFFFF, 0, number) + body


def _receive(icmp: socket.socket, sent: dict[int, float], times: list[float]) -> None:
    try:
        data = icmp.recv(2048)
    except BlockingIOError:
        return
    if len(data) >= 8 and data[0] == 0:
        began = sent.pop(struct.unpack("!H", data[6:8])[0], None)
        if began is not None:
            times.append(1000 * (time.perf_counter() - began))


def connects(address: str, count: int = _PROBES) -> list[float]:
    """How long TCP connections to a port take that nobody listens on, or somebody: a round trip [ms] either way."""
    times: list[float] = []
    for i in range(count):
        if i - len(times) > _LOST_ENOUGH:
            break
        began = time.perf_counter()
        try:
            socket.create_connection((address, 9), _TIMEOUT_S).close()  # discard: refused at once
        except ConnectionRefusedError:
            pass
        except OSError:
            continue
        times.append(1000 * (time.perf_counter() - began))
    return times


def server(config: FrankaConfig) -> Finding:
    """Whether libfranka and the robot's firmware speak the same version, by connecting; and what the robot says."""
    if find_spec("franky") is None:
        return Finding("--", "firmware", "unknown without franky")
    try:
        done = subprocess.run(
            [sys.executable, "-c", _ASK, config.address],
            capture_output=True, text=True, timeout=config.connect_timeout_s, check=False,
        )  # fmt: skip
    except subprocess.TimeoutExpired:
        return Finding(
            "--", "firmware", "it listens and does not answer", "end the other program that is connected to it"
        )
    if done.returncode == 0:
        told = done.stdout.strip()
        if match := re.search(r'errors \["', told):
            return Finding("--", "firmware", f"compatible; {told[: match.end() + 200]}", "~/recover, or look into Desk")
        return Finding("ok", "firmware", f"compatible with this libfranka; {told}")
    last = (done.stderr.strip().splitlines() or ["it ended"])[-1]
    if "IncompatibleVersion" in last:
        return Finding(
            "FAIL",
            "firmware",
            last,
            "update the robot, or install the franky of its libfranka: "
            "https://frankarobotics.github.io/docs/compatibility.html",
        )
    return Finding("FAIL", "firmware", last, "unlock the joints and activate FCI in Desk")
