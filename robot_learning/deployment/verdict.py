"""What the unasked end of a process means for the others: the same under `robot-learning up` and `ros2 launch`."""

from __future__ import annotations

import signal
from dataclasses import dataclass

from robot_learning.deployment.plan import Process
from robot_learning.deployment.restarts import Restarts

PATIENCE_S = 10.0  # between the request to end and force: a recorder seals its episode in it
FAILED = 1
MISTAKE = 2  # exit code of a user's mistake, which starting again does not mend
LOSS = {
    "simulator": "the robot's driver has nobody to talk to: it holds, and says so",
    "robot": "there is no state and no gate any more: the arm holds only by its own controller",
    "recorder": "an episode that was open is recovered when the recorder starts again; nothing is recorded until then",
    "camera": "its stream is silent until it is back",
    "server": "the policy gets no more actions; it stops by itself when it has none left",
    "commander": "nothing commands the robot: its watchdog makes it slow down and hold",
}


@dataclass(frozen=True)
class Verdict:
    """What is to be done, and what the operator is told.

    Attributes:
        loud: it was a loss.
        end: why everything must end; empty: it goes on.
        code: exit code for the whole, where everything must end.
        delay_s: after which the process starts again; None: it doesn't.
    """

    text: str
    loud: bool = False
    end: str = ""
    code: int = 0
    delay_s: float | None = None


def judge(process: Process, code: int, failures: Restarts) -> Verdict:
    """Judge the end of a process that nobody had asked to end; a failure is counted in `failures`.

    Args:
        code: its exit code; negative: the signal that killed it.
    """
    name = process.name
    if code == 0 and process.leads:
        return Verdict(f"{name} is done", end=f"{name} is done")
    if code == 0 and process.role != "robot":
        return Verdict(f"{name} has ended by itself")
    if code == MISTAKE:
        return Verdict(f"{name} refused to run", loud=True, end=f"{name} refused to run", code=MISTAKE)
    text = f"{name} died, {how(code)}: {LOSS[process.role]}"
    if process.restart == "on_failure" and (delay_s := failures.delay_s()) is not None:
        return Verdict(text, loud=True, delay_s=delay_s)
    again = "is not started again" if process.restart == "never" else "failed too often"
    return Verdict(text, loud=True, end=f"{name} {again}", code=code if process.leads and code > 0 else FAILED)


def how(code: int) -> str:
    """An exit code in words."""
    return f"killed by {signal.Signals(-code).name}" if code < 0 else f"exit code {code}"
