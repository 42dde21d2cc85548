"""What the crash tests kill; as a script, a process that forks one victim for each line it reads.

Importing the libraries takes longer than a victim lives, and forking the tests themselves, which have
threads, would not be safe.
"""

from __future__ import annotations

import json
import os
import sys
import time
from pathlib import Path

import faults
import recordings

from robot_learning.data import files
from robot_learning.data.recorder import Recorder
from robot_learning.data.recovery import recover
from robot_learning.data.store import Store
from robot_learning.data.writer import EpisodeWriter

CONTRACT = recordings.contract("wrist", "joint_position")
FLUSHED = {"wrist": 254, "joint_position": 1100}
COUNTS = {"wrist": 258, "joint_position": 1200}  # more than a shard of frames, more than a block of positions


def write_and_seal(path: str, mode: str, at: int) -> int:
    """Flush `FLUSHED`, append up to `COUNTS`, then seal, with a fault at change `at`; returns the changes made."""
    files.os = system = faults.FaultyOs(mode, at)
    writer = EpisodeWriter(Store.open(path), CONTRACT, {"task": "test"})
    writer.append(recordings.samples(FLUSHED))
    writer.flush()
    writer.sync()
    system.arm()
    writer.append(recordings.samples(COUNTS, FLUSHED))
    writer.seal("success", "operator")
    return system.count


def recover_store(path: str, mode: str, at: int) -> int:
    """Recover with a fault at change `at`; returns the changes made."""
    files.os = system = faults.FaultyOs(mode, at)
    system.arm()
    recover(Store.open(path))
    return system.count


def record(path: str) -> int:
    """A recorder in real time, until killed."""
    recorder = Recorder(Store.open(path), CONTRACT, disk_reserve_bytes=0)
    recorder.start("test")
    begin, index = time.monotonic(), 0
    while True:
        while index <= (time.monotonic() - begin) * 1000:
            recorder.record(recordings.sample("joint_position", index)._replace(received_ns=time.time_ns()))
            if index % 10 == 0:
                recorder.record(recordings.sample("wrist", index // 10)._replace(received_ns=time.time_ns()))
            index += 1
        if not (Path(path) / "started").exists():
            (Path(path) / "started").touch()
        time.sleep(0.002)


def main() -> None:
    for line in sys.stdin:
        name, *arguments = json.loads(line)
        pid = os.fork()
        if pid == 0:
            os._exit(globals()[name](*arguments) if arguments[1:2] == ["count"] else globals()[name](*arguments) and 0)
        print(pid, flush=True)
        print(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), flush=True)


if __name__ == "__main__":
    main()
