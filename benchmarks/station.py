"""A whole station for benchmarks: rig file, nodes as processes, an observing node, CPU and memory of each."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import rclpy
import yaml
from rclpy.executors import SingleThreadedExecutor
from rclpy.node import Node
from std_srvs.srv import Trigger

from robot_learning.deployment.plan import Process, environment, plan
from robot_learning.rig import load_rig

HERE = Path(__file__).parent
STATE_HZ, CAMERA_HZ, WIDTH, HEIGHT = 200, 30, 640, 480
_TICKS = os.sysconf("SC_CLK_TCK")
_PAGE = os.sysconf("SC_PAGE_SIZE")


def write_rig(folder: Path, name: str, cameras: str = "pattern") -> Path:
    """panda_sim with state at 200 Hz and two 640x480 colour cameras at 30 Hz, as a file.

    Args:
        cameras: `pattern`: processes of their own with a synthetic picture, as real cameras are; `mujoco`: rendered.
    """
    content = load_rig("panda_sim").model_dump(mode="json", exclude_none=True)
    content["name"] = name
    content["robot"]["state_rate_hz"] = STATE_HZ
    for camera in content["cameras"].values():
        camera |= {"type": cameras, "width_px": WIDTH, "height_px": HEIGHT, "rate_hz": CAMERA_HZ, "depth": False}
    alignment = content["policy"]["alignment"]
    content["policy"]["alignment"] = {k: v for k, v in alignment.items() if not k.endswith("_depth")}
    content["recording"]["disk_reserve_gb"] = 0.2
    path = folder / f"{name}.yaml"
    path.write_text(yaml.safe_dump(content))
    return path


@dataclass
class Usage:
    """What a process has used so far."""

    cpu_s: float
    rss_mb: float


@dataclass
class Station:
    """Processes and an observing node; a context manager. `folder` is for logs."""

    folder: Path
    running: dict[str, subprocess.Popen] = field(default_factory=dict)
    clients: dict[str, Any] = field(default_factory=dict)

    def __enter__(self) -> Station:
        os.environ |= {"OMP_NUM_THREADS": "1"} | environment(os.environ)
        rclpy.init()
        self.node = Node("benchmark")
        self._executor = SingleThreadedExecutor()
        self._executor.add_node(self.node)
        return self

    def __exit__(self, *_: object) -> None:
        self.node.destroy_node()
        rclpy.try_shutdown()
        for process in reversed(self.running.values()):
            process.send_signal(signal.SIGINT)
        for process in self.running.values():
            try:
                process.wait(20)
            except subprocess.TimeoutExpired:
                process.kill()

    def start(self, name: str, command: list[str]) -> None:
        """Start a process; its log is `<folder>/<name>.log`."""
        log = open(self.folder / f"{name}.log", "w")  # noqa: SIM115 - the process keeps it
        self.running[name] = subprocess.Popen(command, stdout=log, stderr=subprocess.STDOUT)

    def start_plan(self, mode: str, rig: Path, without: tuple[str, ...] = (), **options: Any) -> list[Process]:
        """Start what `robot-learning up` would, except for some."""
        processes = [p for p in plan(mode, rig, options) if p.name not in without]
        for process in processes:
            self.start(process.name, process.command())
        return processes

    def start_circle(self, rig: Path, endpoint: str) -> None:
        """The policy server of `circle_server.py`."""
        self.start("server", [sys.executable, str(HERE / "circle_server.py"), str(rig), endpoint])

    def until(self, condition: Callable[[], Any], timeout_s: float, what: str) -> Any:
        """Spin until `condition()` is true; ends the benchmark where it never is."""
        end = time.monotonic() + timeout_s
        while not (value := condition()):
            if time.monotonic() > end:
                sys.exit(f"{what} did not come within {timeout_s:.0f} s; see the logs in {self.folder}")
            self.spin(0.005)
        return value

    def spin(self, seconds: float) -> None:
        """Let callbacks run for a while."""
        end = time.monotonic() + seconds
        while (left := end - time.monotonic()) > 0:
            self._executor.spin_once(timeout_sec=left)

    def call(self, service: str, timeout_s: float = 30.0) -> Trigger.Response:
        """Call a Trigger service."""
        if service not in self.clients:
            self.clients[service] = client = self.node.create_client(Trigger, service)
            self.until(client.service_is_ready, timeout_s, f"the service {service}")
            self.spin(0.3)  # ROS loses the answer of a service that has not discovered its client's side yet
        future = self.clients[service].call_async(Trigger.Request())
        self.until(future.done, timeout_s, f"the answer of {service}")
        return future.result()

    def insist(self, service: str, timeout_s: float = 30.0) -> None:
        """Call until it says yes."""
        end = time.monotonic() + timeout_s
        while not (answer := self.call(service)).success:
            if time.monotonic() > end:
                sys.exit(f"{service} refuses: {answer.message}")
            self.spin(0.3)

    def usage(self) -> dict[str, Usage]:
        """CPU time and resident memory of each process."""
        found = {}
        for name, process in self.running.items():
            fields = Path(f"/proc/{process.pid}/stat").read_text().rsplit(")", 1)[1].split()
            resident = int(Path(f"/proc/{process.pid}/statm").read_text().split()[1])
            found[name] = Usage((int(fields[11]) + int(fields[12])) / _TICKS, resident * _PAGE / 1e6)
        return found

    def alive(self) -> None:
        """End the benchmark where a process has died."""
        for name, process in self.running.items():
            if process.poll() is not None:
                sys.exit(f"{name} ended with {process.returncode}; see {self.folder / name}.log")
