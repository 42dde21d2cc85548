"""Errors that a user can mend: each names what was received, what is allowed, and what to do next.

The command line prints a :class:`UserError` as one sentence and exits with its ``exit_code``;
anything else is a bug of ours and keeps its traceback.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class UserError(Exception):
    """A mistake in the input or the surroundings, told in one sentence."""

    exit_code = 2


class ConfigError(UserError):
    """A rig file, preset or option that breaks a rule."""


class ContractMismatch(UserError):
    """Two contracts that should agree do not; the message names both sides."""


class UnknownName(UserError):
    """A name that is not in its registry; the message gives the closest match."""


class StoreError(UserError):
    """A store or episode that can't be opened, written or trusted."""


class SafetyError(UserError):
    """A command or an activation refused for the robot's safety."""


class DeploymentError(UserError):
    """A part of a deployment that can't be reached, does not fit, or may not be started this way."""


def closest(name: str, allowed: Iterable[str]) -> str:
    """`"; did you mean 'x'?"` where something allowed resembles `name`, else `"."`."""
    matches = difflib.get_close_matches(name, list(allowed), n=1, cutoff=0.5)
    return f"; did you mean '{matches[0]}'?" if matches else "."


def unknown_name(kind: str, name: str, allowed: Iterable[str]) -> UnknownName:
    """The error for a `kind` of thing called `name` that is not among `allowed`."""
    names = sorted(allowed)
    shown = ", ".join(names if len(names) <= 20 else [*names[:20], f"... ({len(names)} in all)"])
    return UnknownName(f"unknown {kind} '{name}'{closest(name, names)} Allowed: {shown}.")
