"""`robot-learning <command>`: each command is a module with `main(arguments)`, loaded when called."""

from __future__ import annotations

import importlib
import os
import sys
import textwrap

from robot_learning import __version__
from robot_learning.errors import UserError, unknown_name

COMMANDS = {
    "demo": "collect, check, train and evaluate in one go; the result is one HTML page",
    "collect": "record demonstrations of a simulated task, by its expert or by a policy",
    "data": "look at, check, recover, import, export, edit a store",
    "train": "train a policy on a store",
    "import-policy": "a LeRobot checkpoint as one of ours",
    "evaluate": "roll a policy out on unseen seeds; success with its interval",
    "probe": "what a representation (act_jepa, act) tells of the future state, beside the input itself",
    "benchmark": "run a suite of tasks, policies and seeds; one table with intervals",
    "serve": "answer a robot's observations with a policy's chunks, in a process of its own",
    "up": "start a rig's nodes: sim, teleop, collect, deploy, replay",
    "live": "watch a running rig in the browser: cameras, joints, gate, recorder",
    "ros-demo": "the demo over ROS: simulated rig, recorder, policy server and policy as nodes",
    "calibrate": "where cameras are, and how late cameras, joints and gripper are; into the rig file",
    "doctor": "what is installed, what is missing, how to mend it",
}


def _help() -> str:
    width = max(map(len, COMMANDS))
    lines = [f"  {name:<{width}}  {text}" for name, text in COMMANDS.items()]
    return textwrap.dedent(
        """\
        robot-learning {version}: record demonstrations, train policies, run them safely.

        usage: robot-learning <command> [options]     (each command has --help)

        {commands}
        """
    ).format(version=__version__, commands="\n".join(lines).replace("\n", "\n        ").strip("\n"))


def run(arguments: list[str]) -> int:
    """Run one command and return its exit code; UserError is left to the caller."""
    if not arguments or arguments[0] in ("-h", "--help", "help"):
        print(_help().replace("\n        ", "\n"))
        return 0
    if arguments[0] in ("-V", "--version"):
        print(__version__)
        return 0
    name, *rest = arguments
    if name not in COMMANDS:
        raise unknown_name("command", name, COMMANDS)
    return importlib.import_module(f"robot_learning.cli.{name.replace('-', '_')}").main(rest) or 0


def main() -> None:
    """Entry point: a user's mistake is one sentence and exit code 2, Ctrl-C is 130."""
    try:
        code = run(sys.argv[1:])
        sys.stdout.flush()
    except UserError as error:
        print(f"robot-learning: {error}", file=sys.stderr)
        code = error.exit_code
    except KeyboardInterrupt:
        print("\nrobot-learning: stopped by Ctrl-C.", file=sys.stderr)
        code = 130
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        code = 141
    sys.exit(code)


if __name__ == "__main__":
    main()
