"""`ros2 launch` itself, where it is installed and this package has been built with colcon and sourced."""

import shutil

import pytest
from sensor_msgs.msg import JointState

ament_packages = pytest.importorskip("ament_index_python.packages")


def built_with_colcon():
    try:
        ament_packages.get_package_share_directory("robot_learning")
    except (ament_packages.PackageNotFoundError, OSError):  # OSError: nothing has been sourced
        return False
    return True


pytestmark = [
    pytest.mark.skipif(shutil.which("ros2") is None, reason="ros2 launch is not installed"),
    pytest.mark.skipif(not built_with_colcon(), reason="robot_learning has not been built with colcon and sourced"),
]


def test_a_launched_rig_publishes_its_state_and_ends_cleanly(graph):
    launched = graph.spawn(["ros2", "launch", "robot_learning", "sim.launch.py", "cameras:=false"], "launch")
    states = graph.collect(JointState, "/panda_sim/joint_states")
    graph.until(lambda: len(states) > 10)
    launched.stop()
    assert "process has finished cleanly" in launched.log


def test_an_argument_that_is_not_allowed_is_refused_by_name(graph):
    launched = graph.spawn(["ros2", "launch", "robot_learning", "sim.launch.py", "cameras:=perhaps"], "launch")
    graph.until(lambda: launched.popen.poll() is not None)
    assert "cameras" in launched.log
    assert "perhaps" in launched.log
