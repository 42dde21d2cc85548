"""A directory that appears whole or not at all."""

from __future__ import annotations

import contextlib
import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import safetensors

from robot_learning.errors import StoreError, UserError
from robot_learning.output import unwritable


@contextlib.contextmanager
def atomic_directory(directory: Path) -> Iterator[Path]:
    """A hidden sibling to write files in; when the block ends it is synced and renamed to `directory`.

    Raises:
        StoreError: `directory` exists already.
        UserError: the disk is full or the place can't be written.
    """
    if directory.exists():
        raise StoreError(f"{directory} exists already; checkpoints are never overwritten.")
    partial = directory.with_name(f".{directory.name}.part-{os.getpid()}")
    try:
        partial.mkdir(parents=True)
        yield partial
        for path in partial.iterdir():
            _sync(path)
        _sync(partial)
        os.rename(partial, directory)
        _sync(directory.parent)
    except OSError as error:
        raise unwritable(directory, error) from None
    except safetensors.SafetensorError as error:  # how the library reports a full disk
        raise UserError(f"can't write {directory}: {' '.join(str(error).split())}; make room there.") from None
    finally:
        with contextlib.suppress(OSError):
            shutil.rmtree(partial)


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
