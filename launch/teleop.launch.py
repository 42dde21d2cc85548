"""A rig and a person who drives it: `ros2 launch robot_learning teleop.launch.py rig:=panda_sim device:=gamepad`.

Arguments and processes are those of `robot-learning up teleop`, see docs/ros.md.
"""

from launch import LaunchDescription

from robot_learning.nodes.launching import description


def generate_launch_description() -> LaunchDescription:
    """Called by `ros2 launch`."""
    return description("teleop")
