"""The directory of an open episode and its lock: whoever holds the lock owns the episode.

open/<id>/lock       flock'ed for as long as the writer (or a recovery) lives; the kernel frees it at death
open/<id>/header     JSON: format version, contract, metadata
open/<id>/journal    see robot_learning.data.journal
open/<id>/ballast    space kept back so that an episode can still be sealed on a full disk
open/<id>/episode/   becomes episodes/<id>/ by one rename
"""

from __future__ import annotations

import fcntl
import os
from pathlib import Path

from ulid import ULID

from robot_learning.data import files
from robot_learning.data.format import OPEN


class OpenFolder:
    """An open episode's directory, locked by this object until :meth:`release`."""

    def __init__(self, path: Path, lock: int) -> None:
        self.path = path
        self._lock = lock

    @classmethod
    def create(cls, store: Path) -> OpenFolder:
        """A new directory under a fresh ULID."""
        while True:
            path = store / OPEN / str(ULID())
            files.make_directory(path)
            # a recovery may see the empty directory first and take it away; then another name is tried
            if folder := cls.adopt(path):
                files.make_directory(folder.episode)
                return folder

    @classmethod
    def adopt(cls, path: Path) -> OpenFolder | None:
        """Lock an existing directory; None where a living process holds it or it is gone."""
        try:
            lock = os.open(path / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        except FileNotFoundError:
            return None
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            held = os.fstat(lock).st_ino == os.stat(path / "lock").st_ino
        except (BlockingIOError, FileNotFoundError):
            held = False
        if not held:
            os.close(lock)
            return None
        return cls(path, lock)

    @property
    def id(self) -> str:
        """The episode's ULID."""
        return self.path.name

    @property
    def header(self) -> Path:
        """What was known at the start."""
        return self.path / "header"

    @property
    def journal(self) -> Path:
        """The journal."""
        return self.path / "journal"

    @property
    def ballast(self) -> Path:
        """Space kept for sealing."""
        return self.path / "ballast"

    @property
    def episode(self) -> Path:
        """The zarr group in the making."""
        return self.path / "episode"

    def remove(self) -> None:
        """Take away all that is left; the lock goes last, so that nobody adopts a half-removed directory."""
        files.remove_tree(self.episode)
        for path in (self.ballast, self.journal, self.header):
            files.remove(path)
        files.remove_tree(self.path)
        self.release()

    def release(self) -> None:
        """Unlock; twice does no harm."""
        if self._lock >= 0:
            os.close(self._lock)
            self._lock = -1
