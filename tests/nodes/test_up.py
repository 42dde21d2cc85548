"""`robot-learning up` with real nodes: two rigs side by side, losses, the keyboard, an end in order."""

import os
import pty
import re
import signal
import sys
import time

from arm import patient_rig
from harness import Graph
from sensor_msgs.msg import JointState

from robot_learning.deployment.keeper import is_there


def up(graph: Graph, mode: str, namespace: str):
    logs = graph.folder / namespace
    rig = patient_rig(graph.folder, namespace)
    command = ["-m", "robot_learning.cli.main", "up", mode, "--rig", str(rig), "--no-cameras"]
    return [sys.executable, *command, "--namespace", namespace, "--logs", str(logs)]


def pid(graph: Graph, namespace: str, name: str) -> int:
    log = next(graph.folder.glob(f"{namespace}/*/up.log")).read_text()
    return int(re.search(rf"{name} started, process (\d+)", log)[1])


def test_two_rigs_run_side_by_side_and_the_loss_of_one_ends_that_one_only(graph):
    left, right = (graph.spawn(up(graph, "sim", name), name) for name in ("left", "right"))
    states = {name: graph.collect(JointState, f"/{name}/joint_states") for name in ("left", "right")}
    graph.until(lambda: all(states.values()))

    os.kill(pid(graph, "left", "robot"), signal.SIGKILL)
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


def test_keys_typed_at_ups_terminal_drive_the_robot_and_ctrl_c_ends_it(graph):
    keyboard, terminal = pty.openpty()
    # The controlling terminal of a session of its own, as a shell gives it.
    own = "import fcntl, os, sys, termios; os.setsid(); fcntl.ioctl(0, termios.TIOCSCTTY, 0); "
    command = [sys.executable, "-c", own + "os.execv(sys.argv[1], sys.argv[1:])", *up(graph, "teleop", "desk")]
    rig = graph.spawn(command, "up", stdin=terminal)
    commanded = graph.collect(JointState, "/desk/robot/commanded")

    def driven():
        # Held for a second, let go for a second: a key that was held before the robot's state came counts for nothing.
        if time.monotonic() % 2 < 1:
            os.write(keyboard, b"w")
        return len(commanded) > 2 and commanded[-1].position[0] > commanded[0].position[0] + 0.01

    graph.until(lambda: "what does what" in rig.log)
    graph.until(driven)
    os.write(keyboard, b"\x03")
    graph.until(lambda: rig.popen.poll() is not None)
    os.close(keyboard)
    os.close(terminal)
    assert rig.popen.returncode == 0, rig.log
    assert "Ctrl-C; ending" in rig.log


def test_no_node_is_left_when_up_itself_is_killed(graph):
    rig = graph.spawn(up(graph, "sim", "gone"), "up")
    states = graph.collect(JointState, "/gone/joint_states")
    graph.until(lambda: states)
    robot = pid(graph, "gone", "robot")
    rig.kill()
    graph.until(lambda: not is_there(robot))
