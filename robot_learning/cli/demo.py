"""`robot-learning demo`: collect, check, train and evaluate in one go."""

from __future__ import annotations

import tyro

from robot_learning.demo import DemoConfig


def main(arguments: list[str]) -> int:
    """Run the demo, print the headline and where the page is."""
    config = tyro.cli(DemoConfig, prog="robot-learning demo", args=arguments)
    from robot_learning.demo import demo

    report = demo(config)
    low, high = (100 * x for x in report["interval"])
    print(
        f"\nsuccess {100 * report['success_rate']:.1f} % ({report['successes']} of {report['episodes']} unseen seeds), "
        f"95 % interval {low:.1f} to {high:.1f} %, in {report['seconds']['total'] / 60:.1f} min"
    )
    print(f"page: {config.output / 'report.html'}")
    return 0
