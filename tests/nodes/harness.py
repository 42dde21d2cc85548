"""A real ROS graph for one test: a domain of its own, nodes as real processes, nothing left behind."""

from __future__ import annotations

import contextlib
import fcntl
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

rclpy = pytest.importorskip("rclpy", reason="ROS 2 is not installed: pip install robot_learning[ros]")

from rclpy.executors import SingleThreadedExecutor  # noqa: E402
from rclpy.node import Node as RosNode  # noqa: E402
from std_srvs.srv import Trigger  # noqa: E402

PATIENCE_S = 40.0  # for what surely comes, on a machine with other work; no test waits so long when all is well


@contextlib.contextmanager
def free_domain() -> Iterator[int]:
    """A ROS domain that no other test on this machine uses, held by a file lock."""
    for domain in range(1, 100):
        path = Path(tempfile.gettempdir()) / f"robot_learning_ros_domain_{domain}"
        with open(path, "w") as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                continue
            yield domain
            return
    raise RuntimeError("all ROS domains are taken")


class Process:
    """One node, as a process of its own."""

    def __init__(self, name: str, popen: subprocess.Popen, log: Path) -> None:
        self.name, self.popen, self._log = name, popen, log

    @property
    def pid(self) -> int:
        return self.popen.pid

    @property
    def log(self) -> str:
        """What it has printed so far."""
        return self._log.read_text(errors="replace")

    def kill(self) -> None:
        """SIGKILL, and wait until it is gone."""
        self.popen.kill()
        self.popen.wait()

    def stop(self, timeout_s: float = PATIENCE_S) -> int:
        """SIGINT, and its exit code."""
        if self.popen.poll() is None:
            self.popen.send_signal(signal.SIGINT)
        return self.popen.wait(timeout_s)


class Graph:
    """Processes and one observing node in this process."""

    def __init__(self, domain: int, folder: Path) -> None:
        self.domain, self.folder = domain, folder
        self.env = dict(os.environ) | {
            "ROS_DOMAIN_ID": str(domain),
            "ROS_AUTOMATIC_DISCOVERY_RANGE": "LOCALHOST",
            "ROS_PYTHON_CHECK_FIELDS": "1",
            "ROS_LOG_DIR": str(folder / "log"),
            "OMP_NUM_THREADS": "1",
            "PYTHONUNBUFFERED": "1",
        }
        self.processes: list[Process] = []
        self._clients: dict[str, Any] = {}
        self.context = rclpy.Context()
        os.environ |= {k: self.env[k] for k in ("ROS_AUTOMATIC_DISCOVERY_RANGE", "ROS_LOG_DIR")}
        rclpy.init(context=self.context, domain_id=domain)
        self.node = RosNode("observer", context=self.context)
        self._executor = SingleThreadedExecutor(context=self.context)
        self._executor.add_node(self.node)

    def start(self, module: str, name: str | None = None, namespace: str = "", remap: dict[str, str] | None = None,
              env: dict[str, str] | None = None, **parameters: Any) -> Process:  # fmt: skip
        """Start `python -m module` as a node; parameters as keywords."""
        command = [sys.executable, "-m", module, "--ros-args"]
        if name:
            command += ["-r", f"__node:={name}"]
        if namespace:
            command += ["-r", f"__ns:={namespace}"]
        for old, new in (remap or {}).items():
            command += ["-r", f"{old}:={new}"]
        for key, value in parameters.items():
            text = str(value).lower() if isinstance(value, bool) else f"'{value}'" if value == "" else str(value)
            command += ["-p", f"{key}:={text}"]
        return self.spawn(command, name or module.rsplit(".", 1)[-1], env)

    def spawn(
        self, command: list[str], name: str, env: dict[str, str] | None = None, stdin: int | None = None
    ) -> Process:
        """Start any command with this graph's environment."""
        log = self.folder / f"{name}-{len(self.processes)}.log"
        with open(log, "w") as out:
            popen = subprocess.Popen(
                command, stdin=stdin, stdout=out, stderr=subprocess.STDOUT, env=self.env | (env or {})
            )
        process = Process(name, popen, log)
        self.processes.append(process)
        return process

    def spin(self, seconds: float) -> None:
        """Let callbacks of the observing node run for a while."""
        self.until(lambda: False, seconds, required=False)

    def until(self, condition: Callable[[], Any], timeout_s: float = PATIENCE_S, required: bool = True) -> Any:
        """Spin until `condition()` is true and return its value; fail with all logs where it never is."""
        end = time.monotonic() + timeout_s
        while True:
            value = condition()
            if value or time.monotonic() > end:
                break
            self._executor.spin_once(timeout_sec=0.02)
        if required and not value:
            logs = "\n".join(f"--- {p.name} (exit {p.popen.poll()})\n{p.log[-3000:]}" for p in self.processes)
            pytest.fail(f"it did not come within {timeout_s:.0f} s\n{logs}")
        return value

    def collect(self, type: Any, topic: str, qos: Any = 50) -> list[Any]:
        """Subscribe; messages are appended to the returned list."""
        messages: list[Any] = []
        self.node.create_subscription(type, topic, messages.append, qos)
        return messages

    def call(self, service: str, timeout_s: float = PATIENCE_S) -> Trigger.Response:
        """Call a Trigger service and return its answer; asked again where that got lost."""
        if service not in self._clients:
            self._clients[service] = client = self.node.create_client(Trigger, service)
            self.until(client.service_is_ready, timeout_s)
            self.spin(0.3)  # ROS loses the answer of a service that has not discovered its client's side yet
        future = self._clients[service].call_async(Trigger.Request())
        if not self.until(future.done, min(timeout_s, 8.0), required=False):  # a busy machine needs longer for that
            future = self._clients[service].call_async(Trigger.Request())
            self.until(future.done, timeout_s)
        return future.result()

    def close(self) -> None:
        """End everything; whatever does not end by itself is killed and told."""
        self.node.destroy_node()
        rclpy.shutdown(context=self.context)
        for process in self.processes:
            if process.popen.poll() is None:
                process.popen.send_signal(signal.SIGINT)
        stubborn = []
        for process in self.processes:
            try:
                process.popen.wait(20)
            except subprocess.TimeoutExpired:
                stubborn.append(f"{process.name}: {process.log[-2000:]}")
                process.kill()
        assert not stubborn, f"processes that did not end on SIGINT: {stubborn}"


@contextlib.contextmanager
def graph_of(folder: Path) -> Iterator[Graph]:
    """A graph for one test."""
    with free_domain() as domain:
        graph = Graph(domain, folder)
        try:
            yield graph
        finally:
            graph.close()
