"""Launch descriptions from the same plan as `robot-learning up`: what the files in `launch/` consist of.

Needs `launch` and `launch_ros`, which come with a ROS installation and are not on PyPI.
"""

from __future__ import annotations

import os
import shlex
from collections.abc import Callable
from typing import Any

from launch import LaunchContext, LaunchDescription
from launch.actions import (
    DeclareLaunchArgument,
    ExecuteProcess,
    LogInfo,
    OpaqueFunction,
    RegisterEventHandler,
    SetEnvironmentVariable,
    Shutdown,
)
from launch.event_handlers import OnProcessIO
from launch.substitutions import LaunchConfiguration
from launch_ros.actions import Node
from launch_ros.parameter_descriptions import ParameterValue
from launch_ros.substitutions import ExecutableInPackage

from robot_learning.clock import SystemClock
from robot_learning.deployment.modes import MODES, Mode, read_option
from robot_learning.deployment.plan import Process, environment, plan
from robot_learning.deployment.restarts import FIRST_DELAY_S, Restarts
from robot_learning.deployment.verdict import PATIENCE_S, judge
from robot_learning.nodes.declarations import Parameter

PACKAGE = "robot_learning"


def description(mode: str) -> LaunchDescription:
    """What `<mode>.launch.py` gives: arguments, environment, and the plan's processes."""
    chosen = MODES[mode]
    variables = environment(os.environ) | {"PYTHONUNBUFFERED": "1"}
    return LaunchDescription(
        [
            *(_argument(chosen, option) for option in chosen.all_options()),
            *(SetEnvironmentVariable(name, value) for name, value in variables.items()),
            OpaqueFunction(function=_processes, args=[mode]),
        ]
    )


def _argument(mode: Mode, option: Parameter) -> DeclareLaunchArgument:
    text, more = option.text, dict[str, Any]()
    choices = ("true", "false") if isinstance(option.default, bool) else option.choices
    if choices:
        more["choices"] = list(choices)
    if option.low is not None:
        text = f"{text}; {option.low} to {option.high}"
    if mode.may_be_left_out(option):
        default = str(option.default).lower() if isinstance(option.default, bool) else str(option.default)
        more["default_value"] = default
    return DeclareLaunchArgument(option.name, description=text, **more)


def _processes(context: LaunchContext, mode: str) -> list[Any]:
    values = {o.name: read_option(o, LaunchConfiguration(o.name).perform(context)) for o in MODES[mode].all_options()}
    return _actions(plan(mode, str(values["rig"]), values))


def _actions(processes: list[Process]) -> list[Any]:
    """Actions for processes in their order; those behind one with a `ready` start when it has said so."""
    actions: list[Any] = []
    for i, process in enumerate(processes):
        if process.terminal:
            command = shlex.join(["ros2", "run", PACKAGE, process.executable, *process.ros_arguments()])
            actions.append(LogInfo(msg=f"the keyboard needs a terminal of its own; run there: {command}"))
            continue
        action = _node(process) if process.node else _program(process)
        actions.append(action)
        if process.ready is not None:
            waiting = _actions(processes[i + 1 :])
            handler = OnProcessIO(target_action=action, on_stdout=_once_said(process.ready, waiting))
            return [*actions, RegisterEventHandler(handler)]
    return actions


def _node(process: Process) -> Node:
    # Without its type, launch_ros would read a text such as 1.5 as a number.
    parameters = {name: ParameterValue(value, value_type=type(value)) for name, value in process.parameters.items()}
    return Node(
        package=PACKAGE, executable=process.executable, name=process.node, namespace=process.namespace,
        parameters=[parameters], remappings=list(process.remappings.items()), **_how_to_run(process),
    )  # fmt: skip


def _program(process: Process) -> ExecuteProcess:
    executable = ExecutableInPackage(executable=process.executable, package=PACKAGE)
    return ExecuteProcess(cmd=[executable, *process.arguments], name=process.name, **_how_to_run(process))


def _how_to_run(process: Process) -> dict[str, Any]:
    failures = Restarts(SystemClock())

    def on_exit(event: Any, context: LaunchContext) -> list[Any]:
        if context.is_shutdown:
            return []
        verdict = judge(process, event.returncode, failures)
        told = LogInfo(msg=("!!! " if verdict.loud else "") + verdict.text)
        return [told, Shutdown(reason=verdict.end)] if verdict.end else [told]

    again = process.restart == "on_failure"
    return {
        "output": "screen",
        "on_exit": on_exit,
        "respawn": again,
        "respawn_delay": FIRST_DELAY_S if again else None,
        "sigterm_timeout": str(PATIENCE_S),  # after SIGINT
    }


def _once_said(ready: str, actions: list[Any]) -> Callable[[Any], list[Any] | None]:
    """A handler that gives the actions when a line begins with `ready`, the first time only."""
    heard, done = "", False

    def handle(event: Any) -> list[Any] | None:
        nonlocal heard, done
        heard += event.text.decode(errors="replace")
        if done or not any(line.startswith(ready) for line in heard.splitlines()):
            return None
        done = True
        return actions

    return handle
