"""Ends what a supervisor that was killed could not end: it runs beside one, as a script, with its standard input open.

The supervisor writes `+<pid> <rank> <own group: 0 or 1>` for each process that it starts and `-<pid>` for each that has
ended. When the input ends, so has the supervisor: whatever is left gets SIGTERM, the lowest rank first, and SIGKILL
after as many seconds as the only argument says.
Only the standard library, and nothing of it that is slow to import.
"""

import os
import signal
import sys
import time


def is_there(pid: int) -> bool:
    """Whether a process still runs; a dead one that nobody has waited for does not."""
    try:
        os.kill(pid, 0)
        with open(f"/proc/{pid}/stat", "rb") as stat:
            return stat.read().rsplit(b")", 1)[1].split()[0] != b"Z"
    except ProcessLookupError:
        return False
    except OSError:  # it has just gone; or the system has no /proc, and what can be signalled is there
        return not os.path.exists("/proc/self")


def send(pid: int, group: bool, which: int) -> None:
    """Signal a process, or all of its group."""
    try:
        if group:
            os.killpg(pid, which)
        else:
            os.kill(pid, which)
    except (ProcessLookupError, PermissionError):
        pass


def end(left: dict[int, tuple[int, bool]], patience_s: float) -> None:
    """End processes, given as pid to (rank, own group)."""
    for rank in sorted({rank for rank, _ in left.values()}):
        these = {pid: group for pid, (of, group) in left.items() if of == rank}
        for pid, group in these.items():
            send(pid, group, signal.SIGTERM)
        until = time.monotonic() + patience_s
        while any(map(is_there, these)) and time.monotonic() < until:
            time.sleep(0.05)
        for pid, group in these.items():
            send(pid, group, signal.SIGKILL)


def main() -> None:
    """Follow the supervisor's list until it ends."""
    for which in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(which, signal.SIG_IGN)
    left: dict[int, tuple[int, bool]] = {}
    for line in sys.stdin:
        pid, *rest = line[1:].split()
        if line[0] == "+":
            left[int(pid)] = (int(rest[0]), rest[1] == "1")
        else:
            left.pop(int(pid), None)
    end(left, float(sys.argv[1]))


if __name__ == "__main__":
    main()
