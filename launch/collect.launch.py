"""Demonstrations into a store: `ros2 launch robot_learning collect.launch.py rig:=panda_sim store:=stores/lift`.

Arguments and processes are those of `robot-learning up collect`, see docs/ros.md.
"""

from launch import LaunchDescription

from robot_learning.nodes.launching import description


def generate_launch_description() -> LaunchDescription:
    """Called by `ros2 launch`."""
    return description("collect")
