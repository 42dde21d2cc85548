"""Closed-loop episodes: `ros2 launch robot_learning rollout.launch.py rig:=panda_sim checkpoint:=... store:=...`.

Arguments and processes are those of `robot-learning up rollout`, see docs/ros.md.
"""

from launch import LaunchDescription

from robot_learning.nodes.launching import description


def generate_launch_description() -> LaunchDescription:
    """Called by `ros2 launch`."""
    return description("rollout")
