"""`robot-learning evaluate`: success on unseen seeds, with its interval."""

from __future__ import annotations

import tyro

from robot_learning.evaluation.evaluate import EvaluateConfig


def main(arguments: list[str]) -> int:
    """Evaluate, print the headline and where the page is."""
    config = tyro.cli(EvaluateConfig, prog="robot-learning evaluate", args=arguments)
    from robot_learning.evaluation.evaluate import evaluate

    report = evaluate(config)
    low, high = (100 * x for x in report["interval"])
    print(
        f"success {100 * report['success_rate']:.1f} % ({report['successes']} of {report['episodes']}), "
        f"95 % interval {low:.1f} to {high:.1f} %"
    )
    if "paired" in report:
        paired = report["paired"]
        print(
            f"only the first succeeded on {paired['only_first']} seeds, only the second on {paired['only_second']}; "
            f"McNemar p = {paired['success_p']:.3g}"
        )
    print(f"report: {config.output / 'report.html'}")
    return 0
