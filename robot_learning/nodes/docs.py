"""`python -m robot_learning.nodes.docs` writes `docs/ros.md` from the declarations, so that it can't drift.

It needs no ROS: declarations, options and topics are plain data.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable
from pathlib import Path

from robot_learning.deployment.modes import MODES, RIG
from robot_learning.deployment.plan import environment, plan
from robot_learning.nodes.declarations import COMMON, NODES, QOS, Node, Parameter, Service, Topic
from robot_learning.rig import load_rig
from robot_learning.topics import topics

_EXAMPLE = "panda_sim"
_PLANNED = {"checkpoint": "c", "store": "s"}

_INTRO = """\
# ROS 2 nodes

Written by `python -m robot_learning.nodes.docs` from `robot_learning/nodes/declarations.py`,
`robot_learning/deployment/modes.py` and `robot_learning/topics.py`; a test says when it is out of date.

## Start

With nothing but the Python wheels (`pip install "robot_learning[ros,...]"`, x86-64), as supervised processes:

```
robot-learning up sim --rig panda_sim
robot-learning up collect --rig panda_sim --store stores/lift --task "lift the cube"
robot-learning up deploy --rig panda_sim --checkpoint outputs/train/lift
robot-learning up replay --rig panda_sim --store stores/lift
```

With a ROS installation, after `colcon build` and `source install/setup.bash`, the same from the same description:

```
ros2 launch robot_learning sim.launch.py rig:=panda_sim
ros2 launch robot_learning collect.launch.py rig:=panda_sim store:=stores/lift device:=gamepad
ros2 launch robot_learning deploy.launch.py --show-args
```

`up` writes each process's log, and its own, into one folder under `outputs/up`, starts again what fails (never what
would then move a robot by itself), says loudly what a loss means, and on Ctrl-C ends commanders first and the robot
last; a second Ctrl-C kills. Its exit code is 0, or 1 where something failed, 2 for a mistake in what was asked. A
keyboard is read from `up`'s own terminal. `ros2 launch` judges losses in the same way, but interrupts all processes at
once, as it always does, and gives them no terminal: there the keyboard's node is not started, and the command that
starts it in a terminal of its own is printed. End it with Ctrl-C; on SIGTERM it leaves its processes behind.
"""

_NAMES = """\
## Names

All names are relative to a namespace, the rig's name unless `namespace` says another: several rigs run on one machine,
each in its own (and each with its own endpoint of the policy server, option `server`). `~/` stands for the node's own
name. `{camera}` and `{stream}` stand for each camera of the rig and each stream of its task.

A *named vector* is a `sensor_msgs/JointState` whose `name` has the action's components (`x`, `y`, `z`,
`rotation_6d_0` to `rotation_6d_5`, `gripper_width`; or the joints and `gripper_width`), `position` their values, and
`header.stamp` the instant at which the command was made. A message without a stamp is refused by name.

Nodes are lifecycle nodes which configure and activate themselves (`autostart`), unless a lifecycle manager is to do
it. Exactly one publisher of `robot/target*` may speak at a time: a second one stops the robot. In `deploy` that is the
policy's node; a person's targets are remapped to `policy/human_target` and passed on after `~/take_over`.
"""

_ENVIRONMENT = """\
## Environment

`up` and the launch files set these where they are not set already:

{table}
Everything stays on this machine. To reach others, set `ROS_AUTOMATIC_DISCOVERY_RANGE=SUBNET`: the profile, which
carries whole frames through shared memory, speaks to this machine only and is then left out; give one of your own in
`FASTDDS_DEFAULT_PROFILES_FILE`. A policy on another machine needs none of this: it answers over ZeroMQ
([deployment](deployment.md)).

A process that is killed with SIGKILL leaves its shared memory behind, 17 MB of it in `/dev/shm`; `fastdds shm clean`
removes what nobody uses.
"""

_ENVIRONMENT_WHY = {
    "RMW_IMPLEMENTATION": "the middleware that all of this is tested with",
    "ROS_AUTOMATIC_DISCOVERY_RANGE": "nobody else's nodes on the network are heard, nor hear ours",
    "FASTDDS_DEFAULT_PROFILES_FILE": "frames larger than Fast DDS's default segment arrive whole; on Jazzy its name "
    "is FASTRTPS_DEFAULT_PROFILES_FILE",
}

_STREAMS = """\
## Where streams come from

A rig file's `topics` may name another topic for any stream, with its message, field and reliability: that of another
maker's driver, whose node is then started by its own means. Otherwise, here for `{rig}`:

{table}
Actions, and who commands (`commander`), come while somebody commands; all others come all the time, and must when a
recording starts.
"""

_NODES = """\
## Nodes

Each is also `ros2 run robot_learning <executable> --ros-args -p rig:=<rig>`. All of them have these parameters:

{table}"""


def text() -> str:
    """The whole page, as Markdown."""
    rig = load_rig(_EXAMPLE)
    found = topics(rig)
    streams = _table(
        ("stream", "topic", "message", "field"),
        ((_code(name), _code(t.topic), _code(t.type), t.field) for name, t in found.items()),
    )
    parts = [
        _INTRO,
        _modes(),
        _NAMES,
        _ENVIRONMENT.format(table=_environment()),
        _qos(),
        _STREAMS.format(rig=_EXAMPLE, table=streams),
        _NODES.format(table=_options(COMMON)),
        *map(_node, NODES),
    ]
    return "\n".join(parts)


def _modes() -> str:
    lines = ["## Modes and their options\n", _options([RIG, MODES["sim"].all_options()[1]])]
    for name, mode in MODES.items():
        given = {option.name: _PLANNED[option.name] for option in mode.options if option.name in _PLANNED}
        roles = [process.name for process in plan(name, _EXAMPLE, given)]
        lines.append(f"### {name}\n\n{mode.text[0].upper()}{mode.text[1:]}. Processes: {', '.join(roles)}.\n")
        lines.append(_options(mode.all_options()[2:]))
    return "\n".join(lines)


def _options(options: Iterable[Parameter]) -> str:
    return _table(("option", "default", "allowed", "meaning"), (_parameter(o) for o in options))


def _parameter(parameter: Parameter) -> tuple[str, str, str, str]:
    allowed = {bool: "true, false", int: "whole number", float: "number", str: "text"}[type(parameter.default)]
    if parameter.choices:
        allowed = ", ".join(_code(c) if c else "empty" for c in parameter.choices)
    elif parameter.low is not None:
        allowed = f"{parameter.low} to {parameter.high}"
    default = str(parameter.default).lower() if isinstance(parameter.default, bool) else str(parameter.default)
    return _code(parameter.name), _code(default) if default else "empty", allowed, parameter.text


def _environment() -> str:
    values = {name: Path(value).name for name, value in environment({}).items()}
    return _table(("variable", "value", "why"), ((_code(n), _code(v), _ENVIRONMENT_WHY[n]) for n, v in values.items()))


def _qos() -> str:
    rows = ((_code(n), q.reliability, q.durability, str(q.depth), q.why) for n, q in QOS.items())
    return "## Quality of service\n\nA mismatch is told by name, in the log and in `/diagnostics`.\n\n" + _table(
        ("name", "reliability", "durability", "depth", "why"), rows
    )


def _node(node: Node) -> str:
    parts = [f"### {node.executable}\n\n{node.text} Its name, unless it is renamed: `{node.name}`.\n"]
    if rows := [(*_parameter(p), "yes" if p.changeable else "") for p in node.parameters if p not in COMMON]:
        parts.append(_table(("parameter", "default", "allowed", "meaning", "may change while it runs"), rows))
    for title, topics_ in (("publishes", node.publishes), ("subscribes to", node.subscribes)):
        if topics_:
            parts.append(_table((title, "message", "QoS", "meaning"), map(_topic, topics_)))
    for title, services in (("serves", node.serves), ("calls", node.calls)):
        if services:
            parts.append(_table((title, "type", "meaning"), map(_service, services)))
    return "\n".join(parts)


def _service(service: Service) -> tuple[str, str, str]:
    return _code(service.name), _code(service.type), service.text


def _topic(topic: Topic) -> tuple[str, str, str, str]:
    kind = _code(topic.type) if "/" in topic.type else topic.type
    return _code(topic.name), kind, topic.qos, topic.text


def _code(text: object) -> str:
    return f"`{text}`"


def _table(head: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> str:
    lines = [head, ("---",) * len(head), *rows]
    return "\n".join("| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |" for line in lines) + "\n"


def main(arguments: list[str]) -> None:
    """Write the page; its path may be given."""
    path = Path(arguments[0] if arguments else "docs/ros.md")
    path.write_text(text())
    print(f"written: {path}")


if __name__ == "__main__":
    main(sys.argv[1:])
