"""Training that begins with the weights of a checkpoint, such as one that was pre-trained without actions."""

from __future__ import annotations

from pathlib import Path

from robot_learning.errors import ConfigError
from robot_learning.policies import checkpoint
from robot_learning.policies.base import Policy


def begin_with(policy: Policy, path: str | Path) -> None:
    """Copy the parts that `policy` takes over from the checkpoint at `path` (`Policy.taken_from`).

    The normaliser stays the policy's own, of the data that it is to be trained on.

    Raises:
        ConfigError: another policy's checkpoint, or one of other sizes or features.
        StoreError: missing or damaged.
    """
    source = checkpoint.load(path)
    if source.config.policy != policy.config.policy:
        raise ConfigError(
            f"{path} is a checkpoint of '{source.config.policy}'; begin with one of '{policy.config.policy}'."
        )
    for part in policy.taken_from(source):
        theirs, mine = source.get_submodule(part).state_dict(), policy.get_submodule(part)
        shapes = [{n: tuple(t.shape) for n, t in s.items()} for s in (theirs, mine.state_dict())]
        if shapes[0] != shapes[1]:
            name = min(n for n in shapes[0].keys() | shapes[1].keys() if shapes[0].get(n) != shapes[1].get(n))
            raise ConfigError(
                f"{path} does not fit this configuration: '{part}.{name}' has shape {shapes[0].get(name)} there and "
                f"{shapes[1].get(name)} here; use the same sizes and features."
            )
        mine.load_state_dict(theirs)
