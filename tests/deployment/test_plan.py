"""What runs where: each mode's processes, their options, what is refused."""

from pathlib import Path

import pytest
import yaml

from robot_learning.cli.main import main
from robot_learning.deployment.modes import MODES
from robot_learning.deployment.plan import environment, plan
from robot_learning.errors import ConfigError, UnknownName, UserError
from robot_learning.nodes.declarations import NODES
from robot_learning.rig import rig_folder

NEEDED = {"collect": {"store": "s"}, "replay": {"store": "s"}, "deploy": {"checkpoint": "c", "store": "s"},
          "rollout": {"checkpoint": "c", "store": "s"}}  # fmt: skip


def names(mode, rig="panda_sim", **options):
    return [p.name for p in plan(mode, rig, options)]


def one(name, mode, rig="panda_sim", **options):
    return next(p for p in plan(mode, rig, options) if p.name == name)


@pytest.fixture
def real_rig(tmp_path):
    """A rig that is not simulated, with two cameras, as a file."""
    content = yaml.safe_load((rig_folder() / "panda_sim.yaml").read_text())
    del content["simulation"]
    content["name"] = "real"

    def write(**changes):
        path = tmp_path / "real.yaml"
        path.write_text(yaml.safe_dump(content | changes))
        return str(path)

    return write


def test_a_simulated_rig_is_one_process_with_its_cameras():
    assert names("sim") == ["robot"]
    assert one("robot", "sim", seed=4, cameras=False).parameters == {"rig": "panda_sim", "seed": 4, "cameras": False}


def test_each_mode_starts_the_robot_first_and_commanders_last():
    assert names("teleop") == ["robot", "teleop"]
    assert names("collect", store="s") == ["robot", "recorder", "teleop"]
    assert names("deploy", checkpoint="c", store="s") == ["robot", "recorder", "teleop", "server", "policy"]
    assert names("rollout", checkpoint="c", store="s") == ["robot", "recorder", "server", "policy", "rollout"]
    assert names("replay", store="s") == ["robot", "replay"]


def test_a_rig_against_a_simulated_franka_starts_that_first_and_waits_for_it():
    rig = "sim_fr3_franka_sim"
    assert names("collect", rig, store="s") == ["simulator", "robot", "front", "recorder", "teleop"]
    simulator = one("simulator", "collect", rig, store="s")
    assert simulator.arguments == ("--simulator", "franka-sim", "--timing", "enforced")
    assert simulator.ready is not None
    assert "simulator" not in names("collect", "fr3_two_realsense", store="s")


def test_a_real_rig_has_a_process_for_each_camera(real_rig):
    rig = real_rig()
    assert names("teleop", rig) == ["robot", "front", "wrist", "teleop"]
    assert one("robot", "teleop", rig).executable == "robot_node"
    assert one("wrist", "teleop", rig).parameters == {"rig": rig, "camera": "wrist"}


def test_a_camera_whose_stream_another_makers_driver_publishes_is_not_started(real_rig):
    topic = {"topic": "/wrist/color/image_raw", "type": "sensor_msgs/Image", "field": "image"}
    assert names("teleop", real_rig(topics={"wrist": topic})) == ["robot", "front", "teleop"]


def test_a_real_rig_is_not_simulated(real_rig):
    with pytest.raises(ConfigError, match="not a simulated rig; use teleop, collect or deploy"):
        plan("sim", real_rig())
    with pytest.raises(ConfigError, match="'seed' is for simulated rigs"):
        plan("teleop", real_rig(), {"seed": 3})


def test_in_deployment_a_persons_targets_go_through_the_policys_node():
    deployed = one("teleop", "deploy", checkpoint="c")
    assert deployed.remappings == {"robot/target": "policy/human_target"}
    assert one("teleop", "collect", store="s").remappings == {}


def test_exactly_one_process_commands_the_robot_in_each_mode():
    commanders = {n.executable for n in NODES if any(t.name == "robot/target" for t in n.publishes)}
    for mode in MODES:
        processes = plan(mode, "panda_sim", NEEDED.get(mode))
        direct = [p for p in processes if p.executable in commanders and "robot/target" not in p.remappings]
        assert len(direct) == (mode != "sim"), mode


def test_deployment_needs_no_server_here_no_person_and_no_recorder():
    assert names("deploy", server="tcp://gpu:5757", device="none") == ["robot", "policy"]
    assert one("policy", "deploy", server="tcp://gpu:5757").parameters["server"] == "tcp://gpu:5757"


def test_the_policy_waits_for_the_server_that_listens_where_it_asks():
    server = one("server", "deploy", checkpoint="outputs/run", server="tcp://127.0.0.1:6000", backend="onnx")
    assert " ".join(server.arguments) == "--checkpoint outputs/run --endpoint tcp://127.0.0.1:6000 --backend onnx"
    assert server.ready == "serving "
    assert server.node == ""


def test_the_server_is_told_which_goal():
    server = one("server", "rollout", checkpoint="c", store="s", goals="done", goal_episode="E1")
    assert server.arguments[-4:] == ("--goals", "done", "--goal-episode", "E1")
    assert "--goal-episode" not in one("server", "deploy", checkpoint="c", goals="done").arguments


def test_the_server_gets_the_rigs_keys(real_rig):
    rig = real_rig(server={"endpoint": "tcp://0.0.0.0:5757", "keys": "keys"})
    assert one("server", "deploy", rig, checkpoint="c").arguments[-2:] == ("--keys", "keys")


def test_whatever_would_move_the_robot_by_itself_is_not_started_again():
    assert one("robot", "sim").restart == "never"
    assert one("replay", "replay", store="s").restart == "never"
    assert one("teleop", "collect", store="s", device="scripted").restart == "never"
    assert one("policy", "deploy", start_paused=False).restart == "never"
    assert one("policy", "deploy").restart == "on_failure"
    assert one("recorder", "collect", store="s").restart == "on_failure"


def test_the_end_of_a_script_or_a_replay_is_the_end_of_all():
    assert one("teleop", "collect", store="s").leads
    assert one("replay", "replay", store="s").leads
    assert not one("teleop", "deploy").leads


def test_only_the_keyboard_needs_the_terminal():
    assert one("teleop", "teleop").terminal
    assert not one("teleop", "teleop", device="gamepad").terminal


def test_two_rigs_on_one_machine_differ_in_their_namespaces():
    assert {p.namespace for p in plan("teleop", "panda_sim")} == {"/panda_sim"}
    assert {p.namespace for p in plan("teleop", "panda_sim", {"namespace": "cell/left"})} == {"/cell/left"}


@pytest.mark.parametrize("namespace", ["2nd", "a b", "a//b", "/", "a/"])
def test_a_namespace_that_ros_would_refuse_is_refused(namespace):
    with pytest.raises(ConfigError, match="no ROS name"):
        plan("sim", "panda_sim", {"namespace": namespace})


def test_parameters_reach_a_node_as_the_types_that_they_are():
    words = one("recorder", "collect", store="1.5", task='say "aaah", slowly: 2 %', max_gap_s=2).command("python")
    assert words[:3] == ["python", "-m", "robot_learning.nodes.recorder_node"]
    assert {"__node:=recorder", "__ns:=/panda_sim"} <= set(words)
    given = dict(word.split(":=", 1) for word in words if ":=" in word)
    assert yaml.safe_load(given["store"]) == "1.5"
    assert yaml.safe_load(given["task"]) == 'say "aaah", slowly: 2 %'
    assert yaml.safe_load(given["max_gap_s"]) == 2.0
    assert isinstance(yaml.safe_load(given["max_gap_s"]), float)


def test_every_parameter_of_a_plan_is_declared_by_its_node():
    declared = {node.executable: {p.name for p in node.parameters} for node in NODES}
    for mode in MODES:
        for process in plan(mode, "panda_sim", NEEDED.get(mode)):
            if process.node:
                assert set(process.parameters) <= declared[process.executable]


@pytest.mark.parametrize(
    ("mode", "options", "says"),
    [
        ("collect", {}, "collect needs the option 'store'"),
        ("collect", {"store": "s", "stroe": "x"}, "unknown option of collect 'stroe'; did you mean 'store'"),
        ("teleop", {"device": "joystick"}, "allowed: '', 'keyboard', 'gamepad', 'spacemouse', 'web', 'scripted'"),
        ("teleop", {"speed_scale": 3.0}, "allowed: 0.05 to 1.0"),
        ("teleop", {"episodes": 2.5}, "'episodes' is a whole number; got 2.5"),
        ("teleop", {"cameras": 1}, "'cameras' is true or false; got 1"),
        ("deploy", {"execution": "fast"}, "'ensemble'"),
        ("deploy", {"server": "tcp://gpu:5757", "goals": "done"}, "Give --checkpoint, or leave --goals out"),
        ("deploy", {"checkpoint": "c", "goal_episode": "E1"}, "Say it with --goals"),
        ("colect", {}, "unknown mode 'colect'; did you mean 'collect'"),
    ],
)
def test_a_wrong_option_is_refused_in_a_sentence_that_says_what_is_allowed(mode, options, says):
    with pytest.raises(UserError) as refused:
        plan(mode, "panda_sim", options)
    assert says in str(refused.value)


def test_a_script_cannot_take_over_from_a_policy(real_rig):
    with pytest.raises(ConfigError, match="can't take over"):
        plan("deploy", real_rig(teleop={"device": "scripted"}))


def test_an_unknown_rig_is_refused():
    with pytest.raises(UnknownName, match="did you mean 'panda_sim'"):
        plan("sim", "panda_simm")


def test_everything_stays_on_this_machine_and_whole_frames_go_through_shared_memory():
    added = environment({})
    assert added["ROS_AUTOMATIC_DISCOVERY_RANGE"] == "LOCALHOST"
    assert Path(added["FASTDDS_DEFAULT_PROFILES_FILE"]).is_file()
    assert "FASTRTPS_DEFAULT_PROFILES_FILE" in environment({"ROS_DISTRO": "jazzy"})  # its name then


def test_what_the_user_has_set_stays_as_it_is():
    assert "RMW_IMPLEMENTATION" not in environment({"RMW_IMPLEMENTATION": "rmw_cyclonedds_cpp"})
    abroad = environment({"ROS_AUTOMATIC_DISCOVERY_RANGE": "SUBNET"})
    assert "FASTDDS_DEFAULT_PROFILES_FILE" not in abroad  # it speaks to this machine only


@pytest.mark.parametrize("mode", MODES)
def test_the_command_tells_every_option(mode, capsys, monkeypatch):
    monkeypatch.setattr("sys.argv", ["robot-learning", "up", mode, "--help"])
    with pytest.raises(SystemExit) as ended:
        main()
    assert ended.value.code == 0
    told = capsys.readouterr().out
    for option in MODES[mode].all_options():
        assert f"--{option.name.replace('_', '-')}" in told


def test_the_keyboard_without_a_terminal_is_refused(capsys, monkeypatch):
    monkeypatch.setattr("sys.argv", ["robot-learning", "up", "teleop", "--rig", "panda_sim"])
    monkeypatch.setattr("sys.stdin.isatty", lambda: False, raising=False)
    with pytest.raises(SystemExit) as ended:
        main()
    assert ended.value.code == 2
    assert "another --device" in capsys.readouterr().err


def test_without_ros_up_says_what_to_install(capsys, monkeypatch):
    monkeypatch.setattr("sys.argv", ["robot-learning", "up", "sim"])
    monkeypatch.setattr("robot_learning.cli.up.find_spec", lambda name: None)
    with pytest.raises(SystemExit) as ended:
        main()
    assert ended.value.code == 2
    assert "pip install 'robot_learning[ros]'" in capsys.readouterr().err
