"""A simulated rig by itself: `ros2 launch robot_learning sim.launch.py`.

Arguments and processes are those of `robot-learning up sim`, see docs/ros.md.
"""

from launch import LaunchDescription

from robot_learning.nodes.launching import description


def generate_launch_description() -> LaunchDescription:
    """Called by `ros2 launch`."""
    return description("sim")
