"""recorder_node on a disk that is full from the moment that the file named by FAKE_FULL_DISK exists.

What the store has kept back is given back with its ballast: sealing has room again, as on a real disk.
"""

from __future__ import annotations

import errno
import os
from pathlib import Path

from robot_learning.data import files
from robot_learning.nodes.recorder_node import main


class FakeFullDisk:
    """Stands in for `os` where the store uses it."""

    def __init__(self, when: Path) -> None:
        self._when, self._given_back = when, False

    def __getattr__(self, name):
        def refuse(*_):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

        full = self._when.exists() and not self._given_back
        return refuse if full and name in ("pwrite", "posix_fallocate") else getattr(os, name)

    def unlink(self, path) -> None:
        self._given_back |= self._when.exists() and Path(path).name == "ballast"
        os.unlink(path)


if __name__ == "__main__":
    files.os = FakeFullDisk(Path(os.environ["FAKE_FULL_DISK"]))
    main()
