"""A simulated Franka to connect to: `franka.address: 127.0.0.1`.

    python -m robot_learning.drivers.franka.simulate [--simulator franka-sim|franky-sim] [--timing enforced|ignored]

franka-sim enforces the limits and the timing that a real FR3 does; franky-sim enforces none, and has a hand in its
physics. Both stand in environments of their own, made by `make hardware`. Ends with Ctrl-C.
"""

from __future__ import annotations

import argparse
import signal
import sys
import time
from types import FrameType

from robot_learning.drivers.franka.simulator import WORTH_TELLING, Simulator
from robot_learning.errors import UserError


def main(arguments: list[str] | None = None) -> None:
    """Run it until it, or this, is ended."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--simulator", choices=("franka-sim", "franky-sim"), default="franka-sim")
    timing = "ignored: late commands stop no motion, for a computer too slow for 1 kHz"
    parser.add_argument("--timing", choices=("enforced", "ignored"), default="enforced", help=timing)
    parser.add_argument("--verbose", action="store_true", help="print all that it says")
    options = parser.parse_args(arguments)
    signal.signal(signal.SIGTERM, _end)

    def tell(line: str) -> None:
        if options.verbose or WORTH_TELLING.search(line):
            print(line, file=sys.stderr, flush=True)

    try:
        with Simulator(options.simulator, wait_s=0, log=tell, timing=options.timing) as simulator:
            print(f"ready: {simulator.name} at {simulator.address}, ports 1337 and 1338", flush=True)
            while (code := simulator.poll()) is None:
                time.sleep(0.2)
        sys.exit(f"{options.simulator} ended by itself, with code {code}")
    except KeyboardInterrupt:
        return
    except UserError as error:
        sys.exit(f"error: {error}")


def _end(signum: int, frame: FrameType | None) -> None:
    raise KeyboardInterrupt


if __name__ == "__main__":
    main()
