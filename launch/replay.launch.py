"""An episode again: `ros2 launch robot_learning replay.launch.py rig:=panda_sim store:=stores/lift`.

Arguments and processes are those of `robot-learning up replay`, see docs/ros.md.
"""

from launch import LaunchDescription

from robot_learning.nodes.launching import description


def generate_launch_description() -> LaunchDescription:
    """Called by `ros2 launch`."""
    return description("replay")
