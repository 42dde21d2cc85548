"""A directory of files that appears whole or not at all."""

from __future__ import annotations

import contextlib
import os
import shutil
from collections.abc import Mapping
from pathlib import Path

from robot_learning.errors import StoreError
from robot_learning.output import unwritable


def write_directory(directory: Path, files: Mapping[str, bytes]) -> Path:
    """Write and sync the files in a hidden sibling, then rename it to `directory`.

    Raises:
        StoreError: `directory` exists already.
        UserError: the disk is full or the place can't be written.
    """
    if directory.exists():
        raise StoreError(f"{directory} exists already; checkpoints are never overwritten.")
    partial = directory.with_name(f".{directory.name}.part-{os.getpid()}")
    try:
        partial.mkdir(parents=True)
        for name, content in files.items():
            with open(partial / name, "wb") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
        _sync(partial)
        os.rename(partial, directory)
        _sync(directory.parent)
    except OSError as error:
        with contextlib.suppress(OSError):
            shutil.rmtree(partial)
        raise unwritable(directory, error) from None
    return directory


def _sync(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
