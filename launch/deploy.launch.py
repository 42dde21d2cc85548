"""A policy on a rig: `ros2 launch robot_learning deploy.launch.py rig:=panda_sim checkpoint:=outputs/train/lift`.

Arguments and processes are those of `robot-learning up deploy`, see docs/ros.md.
"""

from launch import LaunchDescription

from robot_learning.nodes.launching import description


def generate_launch_description() -> LaunchDescription:
    """Called by `ros2 launch`."""
    return description("deploy")
