"""Folders and files that a command leaves behind: checked early, written whole or not at all."""

from __future__ import annotations

import contextlib
import json
import os
from pathlib import Path
from typing import Any

from robot_learning.errors import UserError


def prepare_folder(path: str | Path) -> Path:
    """Make an output folder, prove that a file can be written there, and return it.

    Raises:
        UserError: it can't be made or written; better now than after an hour's work.
    """
    folder = Path(path)
    probe = folder / f".write-test-{os.getpid()}"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        probe.write_bytes(b"x" * 4096)
    except OSError as error:
        raise unwritable(folder, error) from None
    finally:
        with contextlib.suppress(OSError):  # the reason has been told already
            probe.unlink(missing_ok=True)
    return folder


def write_bytes(path: str | Path, content: bytes) -> Path:
    """Write a file atomically: readers see the old content or the new, never a part.

    Raises:
        UserError: the disk is full or the place can't be written.
    """
    path = Path(path)
    partial = path.with_name(f".{path.name}.part-{os.getpid()}")
    try:
        partial.write_bytes(content)
        os.replace(partial, path)
    except OSError as error:
        with contextlib.suppress(OSError):
            partial.unlink(missing_ok=True)
        raise unwritable(path, error) from None
    return path


def write_text(path: str | Path, text: str) -> Path:
    """Write a text file atomically, as UTF-8; raises as :func:`write_bytes`."""
    return write_bytes(path, text.encode())


def write_json(path: str | Path, content: Any) -> Path:
    """Write JSON atomically, indented, strict (no NaN)."""
    return write_text(path, json.dumps(content, indent=1, allow_nan=False) + "\n")


def unwritable(path: Path, error: OSError) -> UserError:
    """The sentence for a place that can't be written."""
    reason = error.strerror or str(error)
    return UserError(f"can't write {path}: {reason}; give another folder with --output or make room there.")
