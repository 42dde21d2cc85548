"""`python -m robot_learning.benchmark.child PID ...`: a command of `robot-learning` that ends with its parent.

A benchmark that is killed can't end its children, and two trainings in one folder would spoil it: so each child
asks the system to be killed when its parent is.
"""

from __future__ import annotations

import ctypes
import os
import signal
import sys

_PR_SET_PDEATHSIG = 1  # linux/prctl.h


def main() -> None:
    """Tie this process to its parent, and run the command."""
    parent, *arguments = sys.argv[1:]
    signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell may have us started with Ctrl-C ignored
    if sys.platform == "linux":
        ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() != int(parent):  # it was killed before we asked
            sys.exit(1)
    sys.argv = ["robot-learning", *arguments]
    from robot_learning.cli.main import main as command

    command()


if __name__ == "__main__":
    main()
