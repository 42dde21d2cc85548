"""`robot-learning ros-demo`: the demo over ROS."""

from __future__ import annotations

import tyro

from robot_learning.ros_demo import RosDemoConfig


def main(arguments: list[str]) -> int:
    """Run the demo, print the headline and where the page is."""
    config = tyro.cli(RosDemoConfig, prog="robot-learning ros-demo", args=arguments)
    from robot_learning.ros_demo import ros_demo

    report = ros_demo(config)
    low, high = (100 * x for x in report["interval"])
    without = report["without_ros"]
    print(
        f"\nover ROS: success {100 * report['success_rate']:.0f} % ({report['successes']} of {report['episodes']} "
        f"unseen seeds), 95 % interval {low:.1f} to {high:.1f} %; the same checkpoint and seeds without ROS: "
        f"{100 * without['success_rate']:.0f} %; {report['seconds']['total'] / 60:.1f} min"
    )
    print(f"page: {config.output / 'report.html'}")
    return 0
