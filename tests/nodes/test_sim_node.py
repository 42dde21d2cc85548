"""sim_node on a real graph: robot, cameras and task in one process, in real time."""

import signal
import subprocess
import sys

import numpy as np
import pytest
import yaml

pytest.importorskip("rclpy", reason="ROS 2 is not installed: pip install robot_learning[ros]")

from arm import EVERY, LATCHED, Arm, Commander, patient_rig
from diagnostic_msgs.msg import DiagnosticArray
from rcl_interfaces.msg import Parameter, ParameterType, ParameterValue
from rcl_interfaces.srv import SetParameters
from sensor_msgs.msg import CameraInfo, Image, JointState
from std_msgs.msg import Bool

from robot_learning.nodes import messages
from robot_learning.sim.panda import PandaEnv

_BURN = "import itertools\nfor _ in itertools.count(): pass"


@pytest.fixture
def sim(graph, tmp_path):
    return Arm(graph, patient_rig(tmp_path), "sim_node", seed=3)


def test_state_objects_and_pictures_of_one_world_come_at_their_rates(graph, tmp_path):
    fronts = graph.collect(Image, "/r/front/color/image_raw", EVERY)
    wrists = graph.collect(Image, "/r/wrist/color/image_raw", EVERY)
    infos = graph.collect(CameraInfo, "/r/front/color/camera_info", EVERY)
    cubes = graph.collect(JointState, "/r/robot/objects/cube_position", EVERY)
    sim = Arm(graph, patient_rig(tmp_path), "sim_node")
    graph.until(lambda: len(sim.states) > 200 and len(fronts) > 30 and len(wrists) > 30 and infos and cubes)
    states = np.array([messages.stamp_of(m) for m in sim.states])
    assert (np.diff(states) == 10_000_000).all()
    for images in (fronts, wrists):
        stamps = np.array([messages.stamp_of(m) for m in images])
        periods = np.diff(stamps) / 1e9 * 30
        assert np.abs(periods - np.round(periods)).max() < 0.05  # a frame may be missing, never beside its time
        assert messages.pixels(images[-1]).shape == (128, 128, 3)
        assert messages.pixels(images[-1]).std() > 10
    assert fronts[-1].header.frame_id == "front_optical"
    assert (infos[-1].width, infos[-1].k[2]) == (128, 64.0)
    assert set(map(messages.stamp_of, cubes)) & set(states.tolist())  # sampled with the robot's state
    assert sim.process.stop() == 0


def test_a_reset_makes_the_very_start_that_an_environment_makes_of_the_seed(graph, sim):
    cubes = graph.collect(JointState, "/r/robot/objects/cube_position", EVERY)
    parameters = graph.node.create_client(SetParameters, "/r/robot/set_parameters")
    graph.until(parameters.service_is_ready)
    value = ParameterValue(type=ParameterType.PARAMETER_INTEGER, integer_value=11)
    future = parameters.call_async(SetParameters.Request(parameters=[Parameter(name="seed", value=value)]))
    graph.until(future.done)
    Commander(graph, sim).begin()
    graph.until(lambda: sim.gate == "active")
    sim.call("stop")
    sim.until_stopped("stop")
    answer = sim.call("reset")
    assert (answer.success, answer.message) == (True, "reset to seed 11")
    start, _ = PandaEnv("lift", cameras=False).reset(seed=11)
    graph.until(lambda: np.allclose(sim.states[-1].position, start["joint_position"], atol=1e-3))
    graph.until(lambda: cubes and np.allclose(cubes[-1].position, start["cube_position"], atol=1e-3))
    graph.until(lambda: sim.gate == "inactive")  # nothing of before is left, nor is the stop
    stamps = [messages.stamp_of(m) for m in sim.states]
    assert stamps == sorted(stamps)


def test_success_is_told_once_the_task_is_done_and_taken_back_by_a_reset(graph, tmp_path):
    successes = graph.collect(Bool, "/r/robot/success", LATCHED)
    cubes = graph.collect(JointState, "/r/robot/objects/cube_position", EVERY)
    sim = Arm(graph, patient_rig(tmp_path), "sim_node", seed=3, cameras=False)
    assert sim.call("reset").success
    graph.until(lambda: successes and cubes)
    assert not successes[-1].data
    commander = Commander(graph, sim)
    commander.begin()
    graph.until(lambda: sim.gate == "active")

    # Over the cube, down, close, up: each leg ends when the arm is there.
    def go(position, width):
        goal = np.array(position)

        def move():
            away = goal - commander.values[:3]
            commander.values[:3] += away * min(1.0, 0.012 / max(np.linalg.norm(away), 1e-9))
            commander.values[9] = width
            return np.linalg.norm(sim.position - goal) < 0.008

        step = graph.node.create_timer(0.05, move)
        graph.until(lambda: np.linalg.norm(sim.position - goal) < 0.008)
        graph.node.destroy_timer(step)

    cube = np.array(cubes[-1].position)
    go([*cube[:2], 0.15], 0.08)
    go([*cube[:2], cube[2]], 0.08)
    commander.values[9] = 0.0
    graph.until(lambda: sim.grippers[-1].position[0] < 0.045)
    go([*cube[:2], 0.18], 0.0)
    graph.until(lambda: successes[-1].data)
    assert sim.call("reset").success
    graph.until(lambda: not successes[-1].data)


def test_a_stop_under_full_load_brakes_the_arm_and_it_holds(graph, tmp_path):
    images = graph.collect(Image, "/r/front/color/image_raw", EVERY)
    sim = Arm(graph, patient_rig(tmp_path), "sim_node")
    burners = [subprocess.Popen([sys.executable, "-c", _BURN]) for _ in range(4)]
    try:
        graph.until(lambda: images)
        commander = Commander(graph, sim)
        commander.begin(step=(0.0, 0.004, 0.0))
        graph.until(lambda: sim.speed > 0.03)
        assert sim.call("stop").success  # while targets go on coming
        sim.until_stopped("stop")
        graph.until(lambda: sim.told["trip"] == "stopped")
    finally:
        for burner in burners:
            burner.kill()
            burner.wait()


def test_a_machine_that_cannot_keep_up_is_told_in_diagnostics(graph, tmp_path):
    diagnostics = graph.collect(DiagnosticArray, "/diagnostics")
    sim = Arm(graph, patient_rig(tmp_path), "sim_node", cameras=False)
    sim.process.popen.send_signal(signal.SIGSTOP)
    graph.spin(0.5)
    sim.process.popen.send_signal(signal.SIGCONT)
    graph.until(
        lambda: any(
            "the machine can't keep up: the simulation was 0." in s.message for d in diagnostics for s in d.status
        )
    )
    stamps = np.array([messages.stamp_of(m) for m in sim.states])
    assert (np.diff(stamps) == 10_000_000).all()  # it has caught up, and left nothing out


def test_a_rig_that_is_not_simulated_is_a_sentence_and_exit_code_2(graph, tmp_path):
    rig = patient_rig(tmp_path)
    content = yaml.safe_load(rig.read_text())
    del content["simulation"]
    rig.write_text(yaml.safe_dump(content))
    process = graph.start("robot_learning.nodes.sim_node", rig=str(rig))
    graph.until(lambda: process.popen.poll() is not None)
    assert process.popen.returncode == 2
    assert "the rig patient is not simulated" in process.log
    assert "Traceback" not in process.log
