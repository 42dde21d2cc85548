"""The launch files without `launch`: what they would start is what `robot-learning up` starts."""

import configparser
import os
import runpy
from pathlib import Path
from types import SimpleNamespace

import fake_launch
import pytest

from robot_learning.deployment.modes import MODES
from robot_learning.deployment.plan import environment, plan
from robot_learning.deployment.restarts import LIMIT
from robot_learning.errors import ConfigError
from robot_learning.nodes.declarations import NODES

FOLDER = Path(__file__).parents[2] / "launch"
NEEDED = {"rig": "panda_sim", "store": "s", "checkpoint": "c"}


@pytest.fixture(autouse=True)
def fake():
    with fake_launch.installed():
        yield fake_launch


def described(mode):
    return runpy.run_path(str(FOLDER / f"{mode}.launch.py"))["generate_launch_description"]().actions


def of(kind, actions):
    return [action for action in actions if isinstance(action, kind)]


def given(mode, **options):
    """The mode's options, with what it needs."""
    names = {option.name for option in MODES[mode].all_options()}
    return {name: value for name, value in NEEDED.items() if name in names} | options


def started(mode, **options):
    """The actions that the launch file makes of its arguments, as text."""
    actions = described(mode)
    defaults = {a.positional[0]: a.named.get("default_value") for a in of(fake_launch.DeclareLaunchArgument, actions)}
    (opaque,) = of(fake_launch.OpaqueFunction, actions)
    return opaque.run(fake_launch.LaunchContext(**(defaults | given(mode, **options))))


def exits(action, code):
    """The reason for which everything ends after this process ended with `code`, if it does."""
    found = action.named["on_exit"](SimpleNamespace(returncode=code), fake_launch.LaunchContext())
    ends = of(fake_launch.Shutdown, found)
    return ends[0].named["reason"] if ends else ""


def test_each_mode_has_a_launch_file():
    assert {path.name.removesuffix(".launch.py") for path in FOLDER.glob("*.launch.py")} == set(MODES)


def test_ros_finds_every_executable_of_a_plan_and_every_declared_node():
    setup = configparser.ConfigParser()
    setup.read(FOLDER.parent / "setup.cfg")
    scripts = dict(line.split(" = ") for line in setup["options.entry_points"]["console_scripts"].strip().splitlines())
    for mode in MODES:
        for process in plan(mode, "panda_sim", given(mode)):
            assert scripts[process.executable].split(":")[0] == process.module
    assert {node.executable for node in NODES} <= set(scripts)


@pytest.mark.parametrize("mode", MODES)
def test_every_argument_says_what_it_means_and_what_it_may_be(mode):
    arguments = of(fake_launch.DeclareLaunchArgument, described(mode))
    assert [a.positional[0] for a in arguments] == [option.name for option in MODES[mode].all_options()]
    for argument, option in zip(arguments, MODES[mode].all_options(), strict=True):
        assert option.text in argument.named["description"]
        if option.choices:
            assert argument.named["choices"] == list(option.choices)
        if "default_value" in argument.named:
            assert isinstance(argument.named["default_value"], str)
            assert argument.named["default_value"] in argument.named.get("choices", [argument.named["default_value"]])


def test_an_argument_without_which_nothing_can_start_has_no_default():
    without = {
        mode: [a.positional[0] for a in of(fake_launch.DeclareLaunchArgument, described(mode)) if len(a.named) == 1]
        for mode in MODES
    }
    assert without["sim"] == []
    assert without["collect"] == ["rig", "store"]


@pytest.mark.parametrize("mode", MODES)
def test_the_nodes_are_those_of_the_plan(mode):
    device = {"device": "gamepad"} if "device" in {o.name for o in MODES[mode].options} else {}
    actions = started(mode, **device)
    for registered in of(fake_launch.RegisterEventHandler, actions):
        on_stdout = registered.positional[0].named["on_stdout"]
        actions = actions + on_stdout(SimpleNamespace(text=b"a chunk takes 3 ms\nserving it on tcp://...\n"))
    nodes = of(fake_launch.Node, actions)
    planned = [p for p in plan(mode, "panda_sim", given(mode, **device)) if p.node]
    assert [n.named["name"] for n in nodes] == [p.node for p in planned]
    for node, process in zip(nodes, planned, strict=True):
        assert node.named["package"] == "robot_learning"
        assert node.named["executable"] == process.executable
        assert node.named["namespace"] == "/panda_sim"
        assert node.named["remappings"] == list(process.remappings.items())
        values = {name: value.positional[0] for name, value in node.named["parameters"][0].items()}
        assert values == process.parameters
        types = {name: value.named["value_type"] for name, value in node.named["parameters"][0].items()}
        assert types == {name: type(value) for name, value in process.parameters.items()}


def test_the_policys_node_starts_once_and_only_when_the_server_listens():
    actions = started("deploy", device="none")
    (server,) = of(fake_launch.ExecuteProcess, actions)
    assert server.named["cmd"][1:3] == ["--checkpoint", "c"]
    assert [n.named["name"] for n in of(fake_launch.Node, actions)] == ["robot", "recorder"]
    (registered,) = of(fake_launch.RegisterEventHandler, actions)
    handler = registered.positional[0]
    assert handler.named["target_action"] is server
    said = handler.named["on_stdout"]
    assert said(SimpleNamespace(text=b"a chunk takes 3 ms\nserv")) is None
    (policy,) = said(SimpleNamespace(text=b"ing outputs/run on tcp://127.0.0.1:5757\n"))
    assert policy.named["name"] == "policy"
    assert said(SimpleNamespace(text=b"serving again\n")) is None


def test_arguments_are_read_as_what_they_are():
    (robot,) = of(fake_launch.Node, started("sim", seed="7", cameras="false"))
    values = {name: value.positional[0] for name, value in robot.named["parameters"][0].items()}
    assert values == {"rig": "panda_sim", "seed": 7, "cameras": False}


def test_an_argument_that_cannot_be_read_is_refused():
    with pytest.raises(ConfigError, match="'seed' is a whole number; got 'seven'"):
        started("sim", seed="seven")


def test_the_keyboards_node_is_not_started_but_its_command_is_told():
    actions = started("teleop", device="keyboard")
    assert [n.named["name"] for n in of(fake_launch.Node, actions)] == ["robot"]
    (told,) = of(fake_launch.LogInfo, actions)
    assert "ros2 run robot_learning teleop_node --ros-args" in told.named["msg"]
    assert "__ns:=/panda_sim" in told.named["msg"]


def test_variables_that_are_set_already_stay_as_they_are(monkeypatch):
    monkeypatch.setenv("RMW_IMPLEMENTATION", "rmw_cyclonedds_cpp")
    variables = dict(a.positional for a in of(fake_launch.SetEnvironmentVariable, described("sim")))
    assert "RMW_IMPLEMENTATION" not in variables
    assert set(environment(os.environ)) <= set(variables)


def test_what_an_end_means_is_the_same_as_under_up():
    robot, recorder, teleop = of(fake_launch.Node, started("collect", device="gamepad"))
    assert exits(robot, -9) == "robot is not started again"
    assert exits(teleop, 0) == "teleop is done"
    assert exits(recorder, 2) == "recorder refused to run"
    assert exits(recorder, 1) == ""
    assert recorder.named["respawn"]
    assert not robot.named["respawn"]


def test_what_fails_too_often_ends_everything():
    recorder = of(fake_launch.Node, started("collect", device="gamepad"))[1]
    assert [exits(recorder, 1) for _ in range(LIMIT + 1)] == [""] * LIMIT + ["recorder failed too often"]


def test_an_end_that_was_asked_for_is_no_failure():
    (robot,) = of(fake_launch.Node, started("sim"))
    context = fake_launch.LaunchContext()
    context.is_shutdown = True
    assert robot.named["on_exit"](SimpleNamespace(returncode=-2), context) == []
