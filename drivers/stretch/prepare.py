"""Home or stow a Stretch, for an operator who stands beside it:

python -m robot_learning.drivers.stretch.prepare home --rig stretch_se3
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable

from robot_learning.clock import SystemClock
from robot_learning.drivers.stretch.checks import refusal
from robot_learning.drivers.stretch.process import ProcessBody
from robot_learning.errors import SafetyError, UserError
from robot_learning.rig import load_rig

WARNINGS = {
    "home": (
        "The robot will search its hard stops: the head turns, the lift goes to the top of the mast, the arm in, the "
        "wrist and the gripper through their whole range. It watches for collisions with nothing."
    ),
    "stow": (
        "The robot will draw in its arm, fold its wrist and lower its lift. It watches for collisions with nothing."
    ),
}
_CLEAR = "Clear a metre and a half around it and above it, empty the gripper, keep a hand at the runstop."


def main(arguments: list[str] | None = None, ask: Callable[[str], str] = input) -> int:
    """The command; returns its exit status."""
    parser = argparse.ArgumentParser(prog="prepare", description="Home or stow a Hello Robot Stretch.")
    parser.add_argument("what", choices=sorted(WARNINGS), help="find the joints' zeros, or fold the arm")
    parser.add_argument("--rig", default="stretch_se3", help="name or path of the rig file")
    parser.add_argument("--yes", action="store_true", help="the space is clear: don't ask")
    options = parser.parse_args(arguments)
    try:
        rig = load_rig(options.rig)
        if rig.robot.type != "stretch":
            raise UserError(f"{rig.name} has a {rig.robot.type}, not a stretch; only that can be prepared.")
        print(f"{WARNINGS[options.what]}\n{_CLEAR}")
        if not options.yes and ask("Type yes to begin: ").strip().lower() != "yes":
            print("Nothing was done.")
            return 1
        body = ProcessBody(rig, SystemClock())
        try:
            _prepare(body, options.what)
        finally:
            body.close()
    except UserError as error:
        print(f"prepare: {error}", file=sys.stderr)
        return error.exit_code
    except KeyboardInterrupt:
        print("prepare: broken off; the motors are in their safe state. Home the robot before it moves again.")
        return 130
    return 0


def _prepare(body: ProcessBody, what: str) -> None:
    if not body.startup():
        raise UserError(f"the Stretch did not start: {body.why}.")
    # Homing is what an unhomed robot is for; all else that keeps it from moving holds here, too.
    if why := refusal(body.status(), homed=what == "home" or body.is_homed()):
        raise SafetyError(f"the Stretch does not {what}: {why}")
    body.prepare(what)
    if not body.is_homed():
        raise SafetyError("the Stretch is still not homed; see what its library wrote, and that no joint is blocked.")
    print({"home": "Homed.", "stow": "Stowed."}[what])


if __name__ == "__main__":
    sys.exit(main())
