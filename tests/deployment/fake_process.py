"""A stand-in for a node: says that it runs, then does what its arguments say.

`--exit N` ends at once, `--stubborn` ignores SIGTERM, `--child` starts a process of its own, `--say TEXT` prints,
`--keys` reads keys from the terminal.
The file named by FAKE_EVENTS gets one line for each start and each orderly end.
"""

import argparse
import os
import select
import signal
import subprocess
import sys
import time
import tty
from pathlib import Path

arguments = argparse.ArgumentParser()
arguments.add_argument("name")
arguments.add_argument("--exit", type=int)
arguments.add_argument("--first-exit", type=int, help="ends so only where no earlier start is among the events")
arguments.add_argument("--at-end", type=int, default=0)
arguments.add_argument("--after", type=float, default=0.0)
arguments.add_argument("--say", default="")
arguments.add_argument("--stubborn", action="store_true")
arguments.add_argument("--child", action="store_true")
arguments.add_argument("--keys", action="store_true", help="reads keys from the terminal, and leaves it without echo")
given = arguments.parse_args()


def tell(what: str) -> None:
    with open(os.environ["FAKE_EVENTS"], "a") as events:
        events.write(f"{what} {given.name} {os.getpid()}\n")


def end(*_: object) -> None:
    if not given.stubborn:
        tell("end")
        os._exit(given.at_end)


signal.signal(signal.SIGTERM, end)
signal.signal(signal.SIGINT, end)
if given.child:
    sleeper = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(300)"])
    print(f"child {sleeper.pid}", flush=True)
earlier = Path(os.environ["FAKE_EVENTS"]).read_text() if os.path.exists(os.environ["FAKE_EVENTS"]) else ""
first = f"start {given.name} " not in earlier
tell("start")
print(f"{given.name} runs", flush=True)
time.sleep(given.after)
if given.say:
    print(given.say, flush=True)
if given.exit is not None:
    sys.exit(given.exit)
if given.first_exit is not None and first:
    sys.exit(given.first_exit)
if given.keys:
    tty.setcbreak(0)
while True:
    if given.keys and select.select([0], [], [], 0.05)[0]:
        print(f"key {os.read(0, 1).decode()}", file=sys.stderr, flush=True)
    time.sleep(0.05)
