"""The simulated Stretch on a real graph: its base over topics, and the script's demonstrations by `up collect`."""

import sys

import numpy as np
import pytest
import yaml

pytest.importorskip("rclpy", reason="ROS 2 is not installed: pip install robot_learning[ros]")

from arm import EVERY, PERIOD_S, Arm, Commander
from sensor_msgs.msg import Image, JointState

from robot_learning.data.store import Store
from robot_learning.data.validation import check
from robot_learning.nodes import messages
from robot_learning.rig import rig_path


def patient_stretch(folder, timeout_s=2.0, cameras=True):
    """The rig's file with a watchdog that a busy machine doesn't wake, and without depth."""
    content = yaml.safe_load(rig_path("stretch_sim").read_text())
    content["name"] = "patient_stretch"
    content["watchdog"]["timeout_s"] = content["limits"]["command_age_max_s"] = timeout_s
    for name, camera in content["cameras"].items():
        camera["depth"] = False
        del content["policy"]["alignment"][f"{name}_depth"]
        if not cameras:
            del content["policy"]["alignment"][name]
    if not cameras:
        del content["cameras"]
    path = folder / "patient_stretch.yaml"
    path.write_text(yaml.safe_dump(content))
    return path


class Driver(Commander):
    """Holds the joints where they are and drives the base."""

    def drive(self, forward, turn):
        state, gripper = self._arm.states[-1], self._arm.grippers[-1]
        self.values = np.array([*state.position, gripper.position[0], forward, turn])
        self._step = np.zeros(3)
        self._timer = self._graph.node.create_timer(PERIOD_S, self._again)


@pytest.fixture
def stretch(graph, tmp_path):
    sim = Arm(graph, patient_stretch(tmp_path, timeout_s=20.0), "sim_node", seed=3, cameras=False)
    sim.speeds = graph.collect(JointState, "/r/robot/base_velocity", EVERY)
    sim.odometry = graph.collect(JointState, "/r/robot/base", EVERY)
    graph.until(lambda: sim.speeds and sim.odometry)
    return sim


def at_rest(stretch):
    return np.abs(stretch.speeds[-1].position).max() < 0.002


def test_a_base_that_hears_nothing_more_stops_by_itself_long_before_the_watchdog(graph, stretch):
    driver = Driver(graph, stretch)
    driver.drive(0.15, 0.0)
    graph.until(lambda: stretch.speeds[-1].position[0] > 0.12)
    assert list(stretch.odometry[-1].name) == ["base_x", "base_y", "base_heading"]
    driver.end()
    graph.until(lambda: at_rest(stretch))
    assert stretch.gate == "active"
    assert stretch.odometry[-1].position[0] > 0.05
    assert abs(stretch.odometry[-1].position[1]) < 0.01


def test_a_stop_brakes_the_base_too_and_it_holds_until_recovered(graph, stretch):
    driver = Driver(graph, stretch)
    driver.drive(0.15, 0.2)
    graph.until(lambda: stretch.speeds[-1].position[0] > 0.1)
    assert stretch.call("stop").success  # while targets go on coming
    graph.until(lambda: stretch.gate == "stopped: stop" and at_rest(stretch))
    count, there = len(stretch.odometry), stretch.odometry[-1].position
    graph.until(lambda: len(stretch.odometry) > count + 20)
    np.testing.assert_allclose(stretch.odometry[-1].position, there, atol=0.005)
    driver.end()
    assert stretch.call("recover").success
    driver.drive(-0.1, 0.0)
    graph.until(lambda: stretch.speeds[-1].position[0] < -0.08)


def test_both_cameras_and_the_tasks_streams_come(graph, tmp_path):
    pictures = {name: graph.collect(Image, f"/r/{name}/color/image_raw", EVERY) for name in ("head", "wrist")}
    headings = graph.collect(JointState, "/r/robot/objects/table_heading", EVERY)
    Arm(graph, patient_stretch(tmp_path), "sim_node")
    graph.until(lambda: all(pictures.values()) and headings)
    for images in pictures.values():
        assert messages.pixels(images[-1]).shape == (128, 128, 3)
        assert messages.pixels(images[-1]).std() > 10


def test_up_collect_has_the_script_record_demonstrations_of_driving_and_picking(graph, tmp_path):
    rig, store = patient_stretch(tmp_path, cameras=False), tmp_path / "store"
    command = ["-m", "robot_learning.cli.main", "up", "collect", "--rig", str(rig), "--device", "scripted"]
    command += ["--store", str(store), "--episodes", "2", "--first-seed", "5"]
    station = graph.spawn([sys.executable, *command, "--logs", str(tmp_path / "logs")], "up")
    graph.until(lambda: station.popen.poll() is not None, timeout_s=150)
    assert station.popen.returncode == 0, station.log
    episodes = Store.open(store).episodes()
    assert [e.metadata["outcome"] for e in episodes] == ["success"] * 2
    for episode in episodes:
        assert check(episode) == []
        cube, base = episode.streams["cube_position"], episode.streams["base_pose"]
        rise = np.diff(cube.read([0, len(cube) - 1])[:, 2])[0]
        assert rise > 0.05
        assert np.abs(np.diff(base.read([0, len(base) - 1]), axis=0)).max() > 0.005
        assert episode.streams["action_gated"].read([0]).shape == (1, 10)
