"""`robot-learning up` with real nodes: two rigs side by side, the loss of one, an end in order."""

import os
import re
import signal
import sys

from harness import Graph
from sensor_msgs.msg import JointState


def up(graph: Graph, namespace: str):
    logs = graph.folder / namespace
    command = ["-m", "robot_learning.cli.main", "up", "sim", "--rig", "panda_sim", "--no-cameras"]
    return graph.spawn([sys.executable, *command, "--namespace", namespace, "--logs", str(logs)], namespace)


def test_two_rigs_run_side_by_side_and_the_loss_of_one_ends_that_one_only(graph):
    left, right = up(graph, "left"), up(graph, "right")
    states = {name: graph.collect(JointState, f"/{name}/joint_states") for name in ("left", "right")}
    graph.until(lambda: all(states.values()))

    robot = int(re.search(r"robot started, process (\d+)", next(graph.folder.glob("left/*/up.log")).read_text())[1])
    os.kill(robot, signal.SIGKILL)
    graph.until(lambda: left.popen.poll() is not None)
    assert left.popen.returncode == 1
    assert "!!! robot died, killed by SIGKILL" in left.log
    assert "no gate" in left.log

    states["left"].clear()
    states["right"].clear()
    graph.until(lambda: len(states["right"]) > 20)
    assert not states["left"]
    assert right.stop() == 0
    assert "robot ended, exit code 0" in next(graph.folder.glob("right/*/up.log")).read_text()
