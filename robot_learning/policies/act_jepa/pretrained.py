"""Fine-tuning from a checkpoint, such as one that was pre-trained without actions."""

from __future__ import annotations

from pathlib import Path

from robot_learning.errors import ConfigError
from robot_learning.policies import checkpoint
from robot_learning.policies.act_jepa.policy import ActJepaPolicy


def load_weights_into(policy: ActJepaPolicy, path: str | Path) -> None:
    """Copy encoders and predictor of the checkpoint at `path`, and its action decoder if it was trained with actions.

    The normaliser stays the policy's own, of the data that it is to be trained on.

    Raises:
        ConfigError: another policy's checkpoint, or one whose encoders have other sizes or inputs.
        StoreError: missing or damaged.
    """
    source = checkpoint.load(path)
    if not isinstance(source, ActJepaPolicy):
        raise ConfigError(f"{path} is a checkpoint of '{source.config.policy}'; begin from one of act_jepa.")
    parts = (
        ("context", "target", "predictor") if source.config.pretrain else ("context", "target", "predictor", "decode")
    )
    for part in parts:
        theirs, mine = source.get_submodule(part).state_dict(), policy.get_submodule(part)
        shapes = [{n: tuple(t.shape) for n, t in s.items()} for s in (theirs, mine.state_dict())]
        if shapes[0] != shapes[1]:
            name = min(n for n in shapes[0].keys() | shapes[1].keys() if shapes[0].get(n) != shapes[1].get(n))
            raise ConfigError(
                f"{path} does not fit this configuration: '{part}.{name}' has shape {shapes[0].get(name)} there and "
                f"{shapes[1].get(name)} here; use the same sizes and observations."
            )
        mine.load_state_dict(theirs)
