"""`robot-learning probe`: what a frozen representation tells of the robot's future state."""

from __future__ import annotations

import tyro

from robot_learning.evaluation.probe import ProbeConfig


def main(arguments: list[str]) -> int:
    """Probe, print the tables and where the page is."""
    config = tyro.cli(ProbeConfig, prog="robot-learning probe", args=arguments)
    from robot_learning.evaluation.probe import probe
    from robot_learning.evaluation.probe_report import headline, text

    report = probe(config)
    print(text(report))
    print()
    print(headline(report))
    print(f"report: {config.output / 'probe.html'}, curve: {config.output / 'probe.svg'}")
    return 0
