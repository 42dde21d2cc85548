"""What runs where: the one description from which the launch files and `robot-learning up` are both made."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from robot_learning import nodes
from robot_learning.deployment.modes import check_options
from robot_learning.errors import ConfigError
from robot_learning.nodes import declarations as declared
from robot_learning.nodes.declarations import Value
from robot_learning.rig import Rig, load_rig

Role = Literal["simulator", "robot", "camera", "recorder", "server", "commander"]
SERVER_READY = "serving "  # begins the line that a policy server prints when it listens
SIMULATOR_READY = "ready: "  # likewise, of a simulated Franka


@dataclass(frozen=True)
class Process:
    """One process of a rig.

    Attributes:
        name: in logs and on the terminal; one of a kind within a plan.
        role: decides how its death is told, and when it is ended: commanders first, the robot last, and after it only
            what plays the robot's part.
        executable: what `ros2 run robot_learning` calls it.
        module: what `python -m` calls it.
        node: its ROS node's name; empty: it is no ROS node.
        namespace: absolute; several rigs on one machine differ in it.
        arguments: of the executable, where it is no ROS node.
        restart: whether it is started again after it failed. Whatever moves a robot by itself is not.
        ready: the beginning of a line that it prints when those behind it in the plan may start.
        leads: its end is the end of all, and its exit code theirs.
        terminal: it reads keys from the terminal.
    """

    name: str
    role: Role
    executable: str
    module: str
    node: str = ""
    namespace: str = ""
    parameters: dict[str, Value] = field(default_factory=dict)
    remappings: dict[str, str] = field(default_factory=dict)
    arguments: tuple[str, ...] = ()
    restart: Literal["never", "on_failure"] = "on_failure"
    ready: str | None = None
    leads: bool = False
    terminal: bool = False

    def command(self, python: str = sys.executable) -> list[str]:
        """How it is started without `ros2`."""
        return [python, "-m", self.module, *self.arguments, *self.ros_arguments()]

    def ros_arguments(self) -> list[str]:
        """Node name, namespace, remappings and parameters, as ROS nodes take them."""
        if not self.node:
            return []
        rules = {"__node": self.node, "__ns": self.namespace} | self.remappings
        found = ["--ros-args", *(word for old, new in rules.items() for word in ("-r", f"{old}:={new}"))]
        for name, value in self.parameters.items():
            # JSON is YAML in which a text that looks like a number stays a text.
            found += ["-p", f"{name}:={json.dumps(value, ensure_ascii=False)}"]
        return found


def plan(mode: str, rig: str | Path, options: Mapping[str, Value] | None = None) -> list[Process]:
    """The processes of a rig in a mode, in the order in which they start.

    Args:
        mode: a key of `modes.MODES`.
        rig: name or path, as the nodes get it.
        options: as declared for the mode; defaults for the rest.

    Raises:
        UnknownName, ConfigError: as :func:`modes.check_options`; or the mode and the rig do not go together.
    """
    loaded = load_rig(rig)
    return _Plan(mode, str(rig), loaded, check_options(mode, loaded, {"rig": str(rig)} | dict(options or {}))).make()


def environment(present: Mapping[str, str]) -> dict[str, str]:
    """Variables that all processes need and that `present` does not set.

    Everything stays on this machine unless ROS_AUTOMATIC_DISCOVERY_RANGE says otherwise; then Fast DDS has its own
    defaults, since our profile, which lets whole frames through shared memory, speaks to this machine only.
    """
    wanted = {"RMW_IMPLEMENTATION": "rmw_fastrtps_cpp", "ROS_AUTOMATIC_DISCOVERY_RANGE": "LOCALHOST"}
    if present.get("ROS_AUTOMATIC_DISCOVERY_RANGE", "LOCALHOST") == "LOCALHOST":
        jazzy = present.get("ROS_DISTRO") == "jazzy"
        variable = "FASTRTPS_DEFAULT_PROFILES_FILE" if jazzy else "FASTDDS_DEFAULT_PROFILES_FILE"
        wanted[variable] = str(Path(nodes.__path__[0]) / "fastdds.xml")
    return {name: value for name, value in wanted.items() if name not in present}


class _Plan:
    """Makes one plan; `value` gives the options."""

    def __init__(self, mode: str, rig_name: str, rig: Rig, values: dict[str, Value]) -> None:
        self.mode, self.rig_name, self.rig, self.value = mode, rig_name, rig, values
        namespace = str(values["namespace"]) or rig.name
        if not re.fullmatch(r"/?[A-Za-z_]\w*(/[A-Za-z_]\w*)*", namespace):
            raise ConfigError(
                f"the namespace '{namespace}' is no ROS name; give --namespace with letters, digits and underscores."
            )
        self.namespace = "/" + namespace.removeprefix("/")

    def make(self) -> list[Process]:
        """Robot and cameras first, then who records, then who commands."""
        found = self._robot()
        if self.mode in ("collect", "rollout") or (self.mode == "deploy" and self.value["store"]):
            found.append(self._recorder())
        if self.mode in ("teleop", "collect"):
            found.append(self._teleop())
        if self.mode == "deploy":
            found += [*self._intervener(), *self._policy()]
        if self.mode == "rollout":
            found += [*self._policy(), self._node(declared.ROLLOUT, "commander", restart="never", leads=True)]
        if self.mode == "replay":
            found.append(self._replay())
        return found

    def _node(self, declaration: declared.Node, role: Role, name: str = "", **more: Any) -> Process:
        """One of our nodes with those options that are its parameters."""
        ours = {p.name: self.value[p.name] for p in declaration.parameters if p.name in self.value}
        parameters = ours | {"rig": self.rig_name} | more.pop("parameters", {})
        return Process(
            name=name or declaration.name, role=role, executable=declaration.executable,
            module=f"robot_learning.nodes.{declaration.executable}", node=name or declaration.name,
            namespace=self.namespace, parameters=parameters, **more,
        )  # fmt: skip

    def _robot(self) -> list[Process]:
        if self.rig.simulation is not None:
            return [self._node(declared.SIM, "robot", restart="never"), *self._cameras()]
        if self.mode in ("sim", "rollout"):
            raise ConfigError(f"{self.rig_name} is not a simulated rig; use teleop, collect or deploy with it.")
        return [*self._simulator(), self._node(declared.ROBOT, "robot", restart="never"), *self._cameras()]

    def _simulator(self) -> list[Process]:
        """What speaks a robot's own protocol in its place, for rigs that ask for it."""
        franka = self.rig.franka
        if franka is None or franka.simulator is None:
            return []
        return [
            Process(
                "simulator", "simulator", "simulated_franka", "robot_learning.drivers.franka.simulate",
                arguments=("--simulator", franka.simulator, "--timing", franka.simulator_timing),
                restart="never", ready=SIMULATOR_READY,
            )
        ]  # fmt: skip

    def _cameras(self) -> list[Process]:
        # Where the rig takes a stream from the driver of another maker, that driver is started by its own means.
        elsewhere = {*self.rig.topics, *(self.rig.rendered_cameras if self.rig.simulation else ())}
        names = [name for name in self.rig.cameras if name not in elsewhere]
        return [self._node(declared.CAMERA, "camera", name, parameters={"camera": name}) for name in names]

    def _recorder(self) -> Process:
        return self._node(declared.RECORDER, "recorder")

    def _device(self) -> str:
        return str(self.value["device"]) or self.rig.teleop.device

    def _teleop(self, **more: Any) -> Process:
        device = self._device()
        return self._node(
            declared.TELEOP, "commander", leads=self.mode != "deploy", terminal=device == "keyboard",
            # A script goes through seeds by itself: begun again from the first, it would record them twice.
            restart="never" if device == "scripted" else "on_failure",
            parameters={"device": device, "record": self.mode == "collect"}, **more,
        )  # fmt: skip

    def _intervener(self) -> list[Process]:
        if self._device() == "scripted":
            raise ConfigError(
                "a script can't take over from a policy; give --device keyboard, gamepad, spacemouse, web or none."
            )
        if self._device() == "none":
            return []
        # What a person commands goes through the policy's node, which decides who is heard.
        return [self._teleop(remappings={"robot/target": "policy/human_target"})]

    def _policy(self) -> list[Process]:
        checkpoint, endpoint = str(self.value["checkpoint"]), str(self.value["server"] or self.rig.server.endpoint)
        found = []
        goals, episode = str(self.value["goals"]), str(self.value["goal_episode"])
        if goals and not checkpoint:
            raise ConfigError(
                f"goals are told to a server on this machine; one at {endpoint} gets them as robot-learning serve "
                "--goals. Give --checkpoint, or leave --goals out."
            )
        if episode and not goals:
            raise ConfigError(f"the recording {episode} is in which store? Say it with --goals.")
        if checkpoint:
            arguments = ["--checkpoint", checkpoint, "--endpoint", endpoint, "--backend", str(self.value["backend"])]
            if goals:
                arguments += ["--goals", goals, *(["--goal-episode", episode] if episode else [])]
            if self.rig.server.keys:
                arguments += ["--keys", self.rig.server.keys]
            found.append(
                Process("server", "server", "policy_server", "robot_learning.cli.serve", arguments=tuple(arguments),
                        ready=SERVER_READY)
            )  # fmt: skip
        # One that was told to act at once must not begin to act again by itself after it died.
        restart: Any = "on_failure" if self.value.get("start_paused", True) else "never"
        return [*found, self._node(declared.POLICY, "commander", restart=restart, parameters={"server": endpoint})]

    def _replay(self) -> Process:
        return self._node(declared.REPLAY, "commander", restart="never", leads=True)
