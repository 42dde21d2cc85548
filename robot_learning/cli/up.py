"""`robot-learning up <mode>`: a rig's nodes as supervised processes, the same ones as the launch files start."""

from __future__ import annotations

import sys
from dataclasses import MISSING, field, make_dataclass
from datetime import datetime
from importlib.util import find_spec
from pathlib import Path
from typing import Annotated, Any, Literal

import tyro

from robot_learning.deployment.modes import MODES, Mode
from robot_learning.errors import ConfigError, unknown_name
from robot_learning.nodes.declarations import Parameter

_LOGS = Parameter("logs", "outputs/up", "a folder is made in it for each run, with the log of each process")


def main(arguments: list[str]) -> int:
    """Start what the mode needs, keep it running, end it in order."""
    if not arguments or arguments[0] in ("-h", "--help"):
        width = max(map(len, MODES))
        print("usage: robot-learning up <mode> --rig NAME [options]     (each mode has --help)\n")
        print("\n".join(f"  {name:<{width}}  {mode.text}" for name, mode in MODES.items()))
        return 0
    name, *rest = arguments
    if name not in MODES:
        raise unknown_name("mode", name, MODES)
    prog = f"robot-learning up {name}"
    config: Any = tyro.cli(_config(name, MODES[name]), prog=prog, description=MODES[name].text + ".", args=rest)
    values: dict[str, Any] = dict(vars(config))
    return _run(name, Path(values.pop("logs")), values)


def _run(mode: str, logs: Path, values: dict[str, Any]) -> int:
    from robot_learning.deployment.plan import plan
    from robot_learning.deployment.supervisor import Supervisor

    processes = plan(mode, values["rig"], values)
    if find_spec("rclpy") is None:
        raise ConfigError("ROS 2 is not installed: source your ROS installation, or pip install 'robot_learning[ros]'.")
    if any(p.terminal for p in processes) and not sys.stdin.isatty():
        raise ConfigError("the keyboard is read from a terminal, and there is none; give another --device.")
    folder = logs / datetime.now().strftime("%Y-%m-%d_%H-%M-%S")
    print(f"{mode} {values['rig']}: {', '.join(p.name for p in processes)}; logs in {folder}; Ctrl-C ends all")
    return Supervisor(processes, folder, say=_say).run()


def _say(line: str) -> None:
    print(line, flush=True)


def _config(name: str, mode: Mode) -> type:
    """The mode's options as a dataclass, which is what tyro reads."""
    options = (*mode.all_options(), _LOGS)
    fields = [_field(option, mode.may_be_left_out(option)) for option in options]
    return make_dataclass(f"{name.title()}Config", fields, kw_only=True)


def _field(option: Parameter, may_be_left_out: bool) -> tuple[str, Any, Any]:
    kind: Any = Literal[option.choices] if option.choices else type(option.default)
    text = option.text if option.low is None else f"{option.text}; {option.low} to {option.high}"
    default = option.default if may_be_left_out else MISSING
    return option.name, Annotated[kind, tyro.conf.arg(help=text)], field(default=default)
