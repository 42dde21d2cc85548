"""A fake rig: one process that publishes all streams of a rig file, and goes wrong when told to.

In a test, `FakeRig(graph, rig)` starts it and passes on what it should do. Values are functions of the stamp, so
that a test can say what a sample should be: see `value_at`. Nothing here moves, and nothing listens to targets.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import queue
import subprocess
import sys
import threading
import time
from pathlib import Path

import numpy as np
import yaml

from robot_learning.clock import NS_PER_S
from robot_learning.contract import StreamSpec
from robot_learning.rig import load_rig
from robot_learning.rig_parts.sections import TopicConfig
from robot_learning.sim.station import object_streams, station_contract
from robot_learning.topics import OPTIONAL, topics

CLOCK_START_S = 1000.0  # where simulated time begins


def small_rig(folder: Path, name: str = "small", **changes) -> Path:
    """A rig file like the Panda's, with small cameras and no simulated task; `changes` replace whole sections."""
    content = yaml.safe_load((Path(__file__).parents[2] / "hardware_configs" / "panda_sim.yaml").read_text())
    del content["simulation"]
    content["name"] = name
    content["robot"]["state_rate_hz"] = 50
    camera = {"type": "pattern", "width_px": 32, "height_px": 24, "rate_hz": 20, "codec": "lossless"}
    content["cameras"] = {"front": camera}
    for stream in ("front_depth", "wrist", "wrist_depth"):
        del content["policy"]["alignment"][stream]
    # Wide enough for a machine that does much else; each fault below lasts for much longer.
    for how in content["policy"]["alignment"].values():
        how["max_age_s"] = 0.4
    path = folder / f"{name}.yaml"
    path.write_text(yaml.safe_dump(content | changes))
    return path


def value_at(spec: StreamSpec, stamp_ns: int) -> np.ndarray:
    """What the fake rig publishes for a stream at a stamp."""
    t = (stamp_ns % (1000 * NS_PER_S)) / NS_PER_S
    if spec.unit == "rgb":
        height, width, _ = spec.shape
        ramp = np.add.outer(np.arange(height), np.arange(width))
        return ((ramp[..., None] + np.array([0, 40, 80]) + int(10 * t)) % 256).astype(np.uint8)
    if spec.unit == "depth_mm":
        return np.full(spec.shape, 500 + int(10 * t) % 500, np.uint16)
    wave = 0.1 * np.sin(t + np.arange(spec.shape[0]))
    if spec.unit == "quaternion_wxyz":
        q = wave + np.array([1.0, 0, 0, 0])
        return q / np.linalg.norm(q)
    if spec.name.startswith("action_") and len(wave) == 10:
        wave[:3] += [0.5, 0.0, 0.3]
        wave[3:9] = [1, 0, 0, 0, -1, 0]
    return wave


class FakeRig:
    """The test's side: starts the process and tells it what to do. Streams of one topic go wrong together."""

    def __init__(self, graph, rig: Path | str, namespace: str, without=(), clock: bool = False) -> None:
        """
        Args:
            graph: of the fixture; it ends the process.
            without: streams that are not published.
            clock: publish /clock, simulated time, and stamp with it.
        """
        from harness import Process

        command = [sys.executable, __file__, str(rig), namespace, "--without", ",".join(without)]
        log = graph.folder / f"fake_rig-{len(graph.processes)}.log"
        with open(log, "w") as out:
            popen = subprocess.Popen(
                command + ["--clock"] * clock, stdin=subprocess.PIPE, stdout=out, stderr=subprocess.STDOUT,
                env=graph.env, text=True,
            )  # fmt: skip
        self.process = Process("fake_rig", popen, log)
        graph.processes.append(self.process)

    def freeze(self, stream: str) -> None:
        """Nothing more comes."""
        self._tell(stream, frozen=True)

    def gap(self, stream: str, seconds: float) -> None:
        """Nothing comes for so long."""
        self._tell(stream, gap_s=seconds)

    def slow(self, stream: str, rate_hz: float) -> None:
        """It comes at another rate."""
        self._tell(stream, rate_hz=rate_hz)

    def jump(self, stream: str, seconds: float) -> None:
        """Its stamps are so much ahead of the clock, or behind."""
        self._tell(stream, ahead_s=seconds)

    def unstamp(self, stream: str) -> None:
        """Its headers are no longer stamped."""
        self._tell(stream, unstamped=True)

    def resize(self, stream: str, height: int, width: int) -> None:
        """Its images have another size."""
        self._tell(stream, size=[height, width])

    def restart(self, stream: str) -> None:
        """Its publisher is destroyed and made anew, as if its driver had been restarted."""
        self._tell(stream, restart=True)

    def well(self, stream: str) -> None:
        """All is as it should be again."""
        self._tell(stream, well=True)

    def gate(self, state: str, reason: str = "") -> None:
        """What robot/gate says."""
        self._say({"gate": [state, reason]})

    def set_clock(self, seconds: float) -> None:
        """Simulated time goes on from there."""
        self._say({"clock": seconds})

    def kill(self) -> None:
        """SIGKILL."""
        self.process.kill()

    def _tell(self, stream: str, **what) -> None:
        self._say({"stream": stream, **what})

    def _say(self, what: dict) -> None:
        self.process.popen.stdin.write(json.dumps(what) + "\n")
        self.process.popen.stdin.flush()


class _Source:
    """One topic with its streams."""

    def __init__(self, node, topic: str, readers: list[tuple[StreamSpec, TopicConfig]]) -> None:
        self.readers = readers
        self._node, self._topic = node, topic
        self.well()
        self.next_s = time.monotonic()
        self._make()

    def _make(self) -> None:
        from robot_learning.nodes.base import _type
        from robot_learning.nodes.qos import profile

        config = self.readers[0][1]
        kind = "image" if config.field == "image" else "state"
        qos = profile(kind, config.reliability)
        self._publisher = self._node.create_publisher(_type(config.type, "msg"), self._topic, qos)

    def well(self) -> None:
        self.rate_hz, self.ahead_s = self.readers[0][0].rate_hz, 0.0
        self.frozen = self.unstamped = False
        self.size: list[int] | None = None
        self.silent_until = 0.0

    def restart(self) -> None:
        self._node.destroy_publisher(self._publisher)
        self._make()

    def publish(self, now_ns: int) -> None:
        self.next_s = max(self.next_s + 1 / self.rate_hz, time.monotonic() - 0.1)
        if not self.frozen and time.monotonic() >= self.silent_until:
            stamp = now_ns + int(self.ahead_s * NS_PER_S)
            message = self._message(stamp)
            if self.unstamped:
                message.header.stamp.sec = message.header.stamp.nanosec = 0
            self._publisher.publish(message)

    def _message(self, stamp: int):
        from robot_learning.nodes import messages

        (spec, config), *_ = self.readers
        values = {c.field: value_at(s, stamp) for s, c in self.readers}
        if config.type == "sensor_msgs/JointState":
            first = next(iter(values.values()))
            names = config.names or [f"{spec.name}_{i}" for i in range(len(first))]
            return messages.vector(stamp, names, **{"position": ()} | values)
        if config.type == "geometry_msgs/PoseStamped":
            orientation = values.get("orientation", np.array([1.0, 0, 0, 0]))
            return messages.pose(stamp, "base", values.get("position", np.zeros(3)), orientation)
        if config.type == "geometry_msgs/TwistStamped":
            twist = values.get("twist", np.zeros(6))
            return messages.twist(stamp, "base", values.get("linear", twist[:3]), values.get("angular", twist[3:]))
        if config.type == "geometry_msgs/WrenchStamped":
            wrench = values.get("wrench", np.zeros(6))
            return messages.wrench(stamp, "base", values.get("force", wrench[:3]), values.get("torque", wrench[3:]))
        pixels = values["image"]
        if self.size:
            pixels = np.zeros((*self.size, *pixels.shape[2:]), pixels.dtype)
        if config.type == "sensor_msgs/CompressedImage":
            import simplejpeg

            return messages.compressed(stamp, spec.frame, simplejpeg.encode_jpeg(pixels, 92, "RGB"))
        return messages.image(stamp, spec.frame, pixels)


def _commands() -> queue.SimpleQueue:
    """Lines from standard input, as they come."""
    lines: queue.SimpleQueue = queue.SimpleQueue()

    def read() -> None:
        for line in sys.stdin:
            lines.put(json.loads(line))

    threading.Thread(target=read, daemon=True).start()
    return lines


class _Clock:
    """System time, or simulated time that is published."""

    def __init__(self, node, simulated: bool) -> None:
        from rosgraph_msgs.msg import Clock

        self._start_s, self._set_at = CLOCK_START_S, time.monotonic()
        self._publisher = node.create_publisher(Clock, "/clock", 10) if simulated else None
        self._next_s = 0.0

    def set(self, seconds: float) -> None:
        self._start_s, self._set_at = seconds, time.monotonic()

    def now_ns(self) -> int:
        if self._publisher is None:
            return time.time_ns()
        return int((self._start_s + time.monotonic() - self._set_at) * NS_PER_S)

    def publish(self) -> None:
        from rosgraph_msgs.msg import Clock

        from robot_learning.nodes import messages

        if self._publisher is not None and time.monotonic() >= self._next_s:
            self._next_s = time.monotonic() + 0.01
            self._publisher.publish(Clock(clock=messages.to_time(self.now_ns())))


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("rig")
    parser.add_argument("namespace")
    parser.add_argument("--without", default="")
    parser.add_argument("--clock", action="store_true")
    options = parser.parse_args()

    import rclpy
    from rclpy.node import Node

    from robot_learning.nodes import messages
    from robot_learning.nodes.base import _type
    from robot_learning.nodes.qos import profile

    rig = load_rig(options.rig)
    contract, configs = station_contract(rig), topics(rig, object_streams(rig))
    skip = {*options.without.split(","), *OPTIONAL}
    commands = _commands()
    with rclpy.init(args=[]):
        node = Node("fake_rig", namespace=options.namespace)
        grouped: dict[str, list[tuple[StreamSpec, TopicConfig]]] = {}
        for spec in contract.streams:
            if spec.name not in skip:
                grouped.setdefault(configs[spec.name].topic, []).append((spec, configs[spec.name]))
        sources = [_Source(node, topic, readers) for topic, readers in grouped.items()]
        by_stream = {spec.name: source for source in sources for spec, _ in source.readers}
        gate = node.create_publisher(_type("diagnostic_msgs/DiagnosticStatus", "msg"), "robot/gate", profile("latched"))
        clock = _Clock(node, options.clock)

        def say_gate(state: str, reason: str) -> None:
            level = messages.OK if state == "active" else messages.ERROR
            gate.publish(messages.status("gate", level, reason or state, {"state": state, "reason": reason}))

        say_gate("active", "")
        print("ready", flush=True)
        while True:
            while not commands.empty():
                command = commands.get()
                if "gate" in command:
                    say_gate(*command["gate"])
                elif "clock" in command:
                    clock.set(command["clock"])
                else:
                    _apply(by_stream[command.pop("stream")], command)
            clock.publish()
            due = [source for source in sources if source.next_s <= time.monotonic()]
            for source in due:
                source.publish(clock.now_ns())
            pause = min(source.next_s for source in sources) - time.monotonic()
            time.sleep(min(max(pause, 0.0), 0.01))


def _apply(source: _Source, command: dict) -> None:
    if "well" in command:
        source.well()
    elif "restart" in command:
        source.restart()
    elif "gap_s" in command:
        source.silent_until = time.monotonic() + command["gap_s"]
    else:
        for key, value in command.items():
            setattr(source, key, value)


if __name__ == "__main__":
    with contextlib.suppress(KeyboardInterrupt):
        main()
