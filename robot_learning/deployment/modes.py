"""What can be asked of each way of running a rig: the options of `robot-learning up` and of the launch files."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import get_args

from robot_learning.errors import ConfigError, unknown_name
from robot_learning.nodes.declarations import (
    POLICY,
    RECORDER,
    REPLAY,
    ROLLOUT,
    SIM,
    TELEOP,
    Node,
    Parameter,
    Value,
)
from robot_learning.rig import Rig
from robot_learning.rig_parts.teleop import TeleopConfig

_KINDS: dict[type, str] = {bool: "true or false", int: "a whole number", float: "a number", str: "a text"}
_DEVICES = get_args(TeleopConfig.model_fields["device"].annotation)


def _of(node: Node, *names: str) -> tuple[Parameter, ...]:
    """Parameters of a node, which become options."""
    found = {p.name: p for p in node.parameters}
    return tuple(found[name] for name in names)


RIG = Parameter("rig", "", "name of a rig in hardware_configs/, or the path of a rig file")
_NAMESPACE = Parameter("namespace", "", "of the nodes, for several rigs on one machine; empty: the rig's name")
_DEVICE = Parameter("device", "", "input device; empty: the rig's", choices=("", *_DEVICES))
_SIM = _of(SIM, "seed", "cameras")
_RECORDED = _of(SIM, "seed")  # a recording needs the cameras, too
_TELEOP = (_DEVICE, *_of(TELEOP, "speed_scale"))
_SCRIPT = _of(TELEOP, "episodes", "first_seed")
_RECORDER = _of(RECORDER, "task", "operator", "max_gap_s")
_SERVED = ("checkpoint", "backend", "goals", "goal_episode")  # what a server on this machine is told
_DEPLOY = (
    Parameter("checkpoint", "", "folder of the policy that a server on this machine answers with; empty: it runs "
              "elsewhere, at --server"),
    *_of(POLICY, "server"),
    Parameter("backend", "eager", "how the server computes", choices=("eager", "compile", "onnx")),
    Parameter("goals", "", "store of recordings; the end of one is what the server's policy is to reach, if it was "
              "trained with goals; empty: nothing is said"),
    Parameter("goal_episode", "", "the recording's id in 'goals'; empty: the newest that is no failure"),
    *_of(POLICY, "execution", "deadline_s", "start_paused"),
    Parameter("device", "", "input device of the person who may take over; empty: the rig's",
              choices=("", "none", *(name for name in _DEVICES if name != "scripted"))),
    *_of(TELEOP, "speed_scale"),
    Parameter("store", "", "folder in which rollouts are recorded; empty: they are not"),
)  # fmt: skip


@dataclass(frozen=True)
class Mode:
    """One way of running a rig.

    Attributes:
        options: beside `rig` and `namespace`, those of the nodes that run.
        simulated: options that only a simulated rig has.
        required: options that may not be empty, beside the rig.
        rig: which one, where none is named.
    """

    text: str
    options: tuple[Parameter, ...] = ()
    simulated: tuple[Parameter, ...] = _SIM
    required: tuple[str, ...] = ()
    rig: str = ""

    def all_options(self) -> tuple[Parameter, ...]:
        """Every option, in the order in which they are told."""
        return (replace(RIG, default=self.rig), _NAMESPACE, *self.options, *self.simulated)

    def may_be_left_out(self, option: Parameter) -> bool:
        """Whether an option has a default that will do."""
        return option.name not in self.required and (option.name != "rig" or bool(option.default))


MODES = {
    "sim": Mode(
        "a simulated rig by itself: robot and cameras, commanded by whoever publishes targets", rig="panda_sim"
    ),
    "teleop": Mode("robot, cameras and a person at an input device", (*_TELEOP, *_SCRIPT)),
    "collect": Mode(
        "teleop with the recorder: demonstrations into a store",
        (Parameter("store", "", "folder of the store; made if there is none"), *_TELEOP, *_SCRIPT, *_RECORDER),
        simulated=_RECORDED,
        required=("store",),
    ),
    "deploy": Mode("a policy acts; a person may take over, rollouts may be recorded", (*_DEPLOY, *_RECORDER)),
    "rollout": Mode(
        "a policy's closed-loop episodes on a simulated rig, recorded, one for each seed",
        (
            *(option for option in _DEPLOY if option.name in (*_SERVED, "server", "execution", "deadline_s")),
            Parameter("store", "", "folder of the store in which the episodes are recorded"),
            *_of(ROLLOUT, "rollouts", "first_rollout_seed", "results"),
            *_RECORDER,
        ),
        simulated=_RECORDED,
        required=("checkpoint", "store"),
    ),
    "replay": Mode(
        "a recorded episode's actions again, through the gate; reports how far the motion strayed",
        _of(REPLAY, "store", "episode", "speed", "output"),
        required=("store",),
    ),
}


def check_options(mode: str, rig: Rig, values: Mapping[str, Value]) -> dict[str, Value]:
    """Every option of the mode with its value, defaults filled in.

    Raises:
        UnknownName: no such mode or option.
        ConfigError: a value that is not allowed, a required one that is missing, or one that the rig has no use for.
    """
    if mode not in MODES:
        raise unknown_name("mode", mode, MODES)
    known = {option.name: option for option in MODES[mode].all_options()}
    for name in values:
        if name not in known:
            raise unknown_name(f"option of {mode}", name, known)
    full = {n: _checked(option, values[n]) if n in values else option.default for n, option in known.items()}
    for name in MODES[mode].required:
        if not full[name]:
            raise ConfigError(f"{mode} needs the option '{name}': {known[name].text}.")
    if rig.simulation is None:
        for option in MODES[mode].simulated:
            if full[option.name] != option.default:
                raise ConfigError(
                    f"the option '{option.name}' is for simulated rigs; {rig.name} is not one, leave it out."
                )
    return full


def read_option(option: Parameter, text: str) -> Value:
    """An option's value from text, where it comes as text.

    Raises:
        ConfigError: the text is no such value.
    """
    kind = type(option.default)
    try:
        return {"true": True, "false": False}[text.lower()] if kind is bool else kind(text)
    except (KeyError, ValueError):
        raise ConfigError(f"the option '{option.name}' is {_KINDS[kind]}; got '{text}'.") from None


def _checked(option: Parameter, value: Value) -> Value:
    kind = type(option.default)
    if kind is float and type(value) is int:
        value = float(value)
    if type(value) is not kind:
        raise ConfigError(f"the option '{option.name}' is {_KINDS[kind]}; got {value!r}.")
    if option.choices and value not in option.choices:
        allowed = ", ".join(repr(choice) for choice in option.choices)
        raise ConfigError(f"the option '{option.name}' is {value!r}; allowed: {allowed}.")
    if option.low is not None and option.high is not None and not option.low <= float(value) <= option.high:
        raise ConfigError(f"the option '{option.name}' is {value}; allowed: {option.low} to {option.high}.")
    return value
