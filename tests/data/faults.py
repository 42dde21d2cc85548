"""An operating system that fails, or kills the process, at its k-th change to the disk."""

from __future__ import annotations

import errno
import os
import signal
import threading
from collections.abc import Callable
from typing import Any

CHANGES = ("pwrite", "ftruncate", "fsync", "rename", "unlink", "rmdir", "mkdir", "link", "posix_fallocate")


class FaultyOs:
    """Stands in for `os` in robot_learning.data.files; changes count from :meth:`arm` on.

    Modes:
        count: nothing fails; `count` says how many changes there were.
        kill: SIGKILL at change `at`; a write is left half done.
        power: as kill, and what was not synced before is gone: those bytes are zeros.
        full: from change `at` on, whatever needs space fails, a write after a part of it.
    """

    def __init__(self, mode: str, at: int = 0) -> None:
        self.mode, self.at, self.count = mode, at, 0
        self._armed = False
        self._lock = threading.Lock()
        self._paths: dict[int, str] = {}
        self._written: dict[str, int] = {}  # size
        self._synced: dict[str, int] = {}  # size at the last sync

    def arm(self) -> None:
        self._armed = True

    def __getattr__(self, name: str) -> Any:
        function = getattr(os, name)
        if name not in CHANGES:
            return function

        def change(*args: Any, **kwargs: Any) -> Any:
            with self._lock:
                return self._change(name, function, *args, **kwargs)

        return change

    def _change(self, name: str, function: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        self.count += self._armed
        if self._armed and self.mode in ("kill", "power") and self.count == self.at:
            self._die(name, args)
        if (
            self._armed
            and self.mode == "full"
            and self.count >= self.at
            and name in ("pwrite", "posix_fallocate", "mkdir", "link")
        ):
            if name == "pwrite":
                os.pwrite(args[0], bytes(args[1])[: len(args[1]) // 2], args[2])
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        result = None if name == "fsync" else function(*args, **kwargs)  # death by signal needs no real sync
        self._account(name, args)
        return result

    def open(self, path: Any, flags: int, mode: int = 0o777) -> int:
        fd = os.open(path, flags, mode)
        self._paths[fd] = str(path)  # a number in use belongs to one file, whichever thread opened it
        if flags & (os.O_RDWR | os.O_WRONLY):
            size = os.fstat(fd).st_size
            self._written[str(path)] = size
            self._synced[str(path)] = size if not flags & os.O_TRUNC else 0
        return fd

    def _account(self, name: str, args: tuple) -> None:
        path = self._paths.get(args[0]) if args and isinstance(args[0], int) else None
        if name == "pwrite" and path is not None:
            self._written[path] = max(self._written[path], args[2] + len(args[1]))
        elif name == "ftruncate" and path is not None:
            self._written[path] = args[1]
            self._synced[path] = min(self._synced[path], args[1])
        elif name == "fsync" and path in self._written:
            self._synced[path] = self._written[path]

    def _die(self, name: str, args: tuple) -> None:
        if name == "pwrite":
            os.pwrite(args[0], bytes(args[1])[: len(args[1]) // 2], args[2])
        if self.mode == "power":
            for path, size in self._synced.items():
                if os.path.exists(path) and os.path.getsize(path) > size:
                    with open(path, "r+b") as file:
                        lost = os.path.getsize(path) - size
                        file.seek(size)
                        file.write(bytes(lost))
        os.kill(os.getpid(), signal.SIGKILL)
