"""robot_node with a Stretch on a real graph; within the library's process is a fake library."""

import sys
from pathlib import Path

import numpy as np
import pytest
import yaml

pytest.importorskip("rclpy", reason="ROS 2 is not installed: pip install robot_learning[ros]")
pytest.importorskip("stretch_urdf", reason="hello-robot-stretch-urdf is not installed")
HERE = Path(__file__).parent
sys.path.insert(0, str(HERE.parents[1] / "nodes"))

from arm import EVERY, PERIOD_S, Arm, Commander  # noqa: E402
from diagnostic_msgs.msg import DiagnosticArray  # noqa: E402
from harness import graph_of  # noqa: E402
from sensor_msgs.msg import JointState  # noqa: E402
from stretch_rigs import stretch_content  # noqa: E402

from robot_learning.nodes import messages  # noqa: E402


@pytest.fixture
def runstop(tmp_path, monkeypatch):
    """The button: a file."""
    monkeypatch.setenv("FAKE_STRETCH_LOG", str(tmp_path / "log.jsonl"))
    monkeypatch.setenv("FAKE_STRETCH_RUNSTOP", str(tmp_path / "runstop"))
    monkeypatch.setenv("PYTHONPATH", str(HERE / "fake_library"))
    monkeypatch.setenv("HELLO_FLEET_PATH", str(tmp_path))
    monkeypatch.setenv("HELLO_FLEET_ID", "robot")
    return tmp_path / "runstop"


@pytest.fixture
def graph(tmp_path, runstop):
    with graph_of(tmp_path) as made:
        yield made


@pytest.fixture
def stretch(graph, tmp_path):
    content = stretch_content()
    content["watchdog"]["timeout_s"] = content["limits"]["command_age_max_s"] = 5.0  # on a busy machine, too
    content["stretch"] = {"silence_s": 2.0, "base_timeout_s": 1.0}
    path = tmp_path / "stretch.yaml"
    path.write_text(yaml.safe_dump(content))
    robot = Arm(graph, path)
    robot.speeds = graph.collect(JointState, "/r/robot/base_velocity", EVERY)
    robot.diagnostics = graph.collect(DiagnosticArray, "/diagnostics", EVERY)
    graph.until(lambda: robot.speeds and robot.diagnostics)
    return robot


class Driver(Commander):
    """Lifts the arm and drives ahead."""

    def drive(self):
        self.values = np.array([*self._arm.states[-1].position, 0.05, 0.1, 0.0])
        self._step = np.array([0.001, 0.0, 0.0])
        self._timer = self._graph.node.create_timer(PERIOD_S, self._again)


def test_a_stretch_is_driven_stopped_by_its_runstop_and_recovered_by_the_operator_alone(graph, stretch, runstop):
    assert list(stretch.states[-1].name) == list(stretch.rig.robot.joint_names)
    driver = Driver(graph, stretch)
    driver.drive()
    graph.until(lambda: stretch.speeds[-1].position[0] > 0.09)
    graph.until(lambda: stretch.states[-1].position[0] > 0.32)
    runstop.touch()
    graph.until(lambda: stretch.gate.startswith("stopped: robot: the runstop is on"))
    graph.until(lambda: stretch.speeds[-1].position[0] == 0)
    driver.end()
    answer = stretch.call("recover")
    assert not answer.success
    assert "hold its button for two seconds" in answer.message
    runstop.unlink()
    graph.until(lambda: stretch.call("recover").success)
    there = stretch.states[-1].position[0]
    driver.drive()
    graph.until(lambda: stretch.gate == "active")
    graph.until(lambda: stretch.states[-1].position[0] > there + 0.01)


def test_the_librarys_death_is_told_in_diagnostics_and_at_the_gate(graph, stretch, tmp_path):
    import json
    import os
    import signal

    pid = next(json.loads(line)["pid"] for line in (tmp_path / "log.jsonl").read_text().splitlines())
    os.kill(pid, signal.SIGKILL)

    def told():
        return [
            status.message
            for array in stretch.diagnostics
            for status in array.status
            if status.name.endswith("robot: robot") and "ended by signal 9" in status.message
        ]

    graph.until(told)
    graph.until(lambda: "ended by signal 9" in stretch.gate)
    values = messages.values_of(stretch.gates[-1])
    assert values["state"] == "stopped"
