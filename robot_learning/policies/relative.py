"""Actions relative to the newest observation of their window, not to each other (UMI: Chi et al., arXiv 2402.10329).

| unit                             | relative to the observation o        | back               |
|----------------------------------|--------------------------------------|--------------------|
| `rotation_6d`, `quaternion_wxyz` | R_o^-1 R_a, as `rotation_6d`         | R_o R              |
| `angle_rad`                      | cosine and sine of a - o             | those of o + angle |
| any other                        | a - o                                | o + difference     |

Positions are differences in the frame that both are expressed in, such as the robot's base. UMI's are in the gripper's
frame, R_o^-1 (p_a - p_o): a policy that looks through a camera on the wrist may like these better. Rotations are turns
in the frame of the observed body, as UMI's are.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from robot_learning.contract import Contract
from robot_learning.errors import ConfigError, unknown_name
from robot_learning.policies.encode import Encoding, rotation_6d_axes
from robot_learning.policies.features import FeatureVector
from robot_learning.policies.normalizer import Normalizer
from robot_learning.policies.view import View


@dataclass(frozen=True)
class Reference:
    """Columns of an action's encoded rows, and the observation that they are relative to."""

    observation: str
    encoding: Encoding
    begin: int

    @property
    def end(self) -> int:
        """One past the last column."""
        return self.begin + self.encoding.dim // self.encoding.rows


class Relative:
    """Takes encoded actions to relative ones and back. Actions without a reference stay as they are.

    Args:
        pairs: see `PolicyConfig.relative`.

    Attributes:
        references: name of each action that is relative, wholly or in part, to its references.

    Raises:
        UnknownName: an action or an observation that the contract does not have.
        ConfigError: an observation that the policy does not read, or one that no part of the action fits.
    """

    def __init__(self, contract: Contract, view: View, pairs: Sequence[tuple[str, str]]) -> None:
        self.references: dict[str, list[Reference]] = {}
        for action, observation in pairs:
            if action not in view.actions:
                raise unknown_name("action feature in `relative`", action, view.actions)
            if observation not in (allowed := [f.name for f in contract.observations]):
                raise unknown_name("observation feature in `relative`", observation, allowed)
            if observation not in view.observations:
                raise ConfigError(
                    f"action '{action}' is to be relative to '{observation}', which the policy does not read; "
                    f"observe it as well: {' '.join(('--observations', *view.observations, observation))}."
                )
            found = self.references.setdefault(action, [])
            found.append(_reference(contract, action, observation, found))

    def subtract(self, name: str, encoded: Tensor, observation: Mapping[str, Tensor]) -> Tensor:
        """What `encoded` actions are, seen from the newest observation.

        Args:
            name: the action feature.
            encoded: (B, T, dim), see `Encoding`.
            observation: feature name to (B, To, *shape) in the contract's units.
        """
        return self._change(_minus, name, encoded, observation)

    def add(self, name: str, relative: Tensor, observation: Mapping[str, Tensor]) -> Tensor:
        """The inverse of `subtract`."""
        return self._change(_plus, name, relative, observation)

    def _change(
        self,
        how: Callable[[str, Tensor, Tensor], Tensor],
        name: str,
        encoded: Tensor,
        observation: Mapping[str, Tensor],
    ) -> Tensor:
        if name not in self.references:
            return encoded
        rows = self.references[name][0].encoding.rows
        x = encoded.unflatten(-1, (rows, -1)).clone()
        for r in self.references[name]:
            newest = r.encoding.encode(observation[r.observation][:, -1:].to(encoded)).unflatten(-1, (rows, -1))
            parts, begin = r.encoding.encoded_parts, r.begin
            for (unit, n), o in zip(parts, newest.split([n for _, n in parts], dim=-1), strict=True):
                x[..., begin : begin + n] = how(unit, x[..., begin : begin + n], o)
                begin += n
        return x.flatten(-2)


class ActionVector(FeatureVector):
    """The action features as one normalised vector, and back: the one place where actions become relative.

    `forward` and `inverse` are of values that are relative already; policies use `encode` and `decode`.
    """

    def __init__(
        self, contract: Contract, view: View, normalizer: Normalizer, relative: Sequence[tuple[str, str]] = ()
    ) -> None:
        super().__init__(contract, view.actions, normalizer)
        self.relative = Relative(contract, view, relative)

    def encode(self, action: Tensor, observation: Mapping[str, Tensor]) -> Tensor:
        """Absolute actions to what the network learns.

        Args:
            action: (B, T, raw_dim) in the contract's units, the features concatenated.
            observation: feature name to (B, To, *shape), the observations of the same windows.

        Returns:
            (B, T, dim) normalised.
        """
        encoded = self.encoded(self.split(action))
        return self.normalized({n: self.relative.subtract(n, z, observation) for n, z in encoded.items()})

    def decode(self, chunk: Tensor, observation: Mapping[str, Tensor]) -> Tensor:
        """(B, T, dim) normalised to (B, T, raw_dim) absolute, the inverse of `encode`; rotations are proper ones."""
        encoded = self.unnormalized(chunk)
        return self.decoded({n: self.relative.add(n, z, observation) for n, z in encoded.items()})


def _reference(contract: Contract, action: str, observation: str, taken: Sequence[Reference]) -> Reference:
    """The first part of `action` with the units of `observation` that is not taken."""
    a, o = contract.spec_of(action), contract.spec_of(observation)
    where, what = Encoding(action, a), Encoding(observation, o)
    if a.frame and o.frame and a.frame != o.frame:
        raise ConfigError(
            f"action '{action}' is in the frame '{a.frame}' and observation '{observation}' in '{o.frame}'; "
            "an action can be relative to an observation in its own frame."
        )
    length = len(what.encoded_parts)
    for i in range(len(where.encoded_parts) - length + 1):
        begin = sum(n for _, n in where.encoded_parts[:i])
        found = Reference(observation, what, begin)
        same = where.encoded_parts[i : i + length] == what.encoded_parts and where.shape[:-1] == what.shape[:-1]
        if same and all(found.end <= t.begin or t.end <= found.begin for t in taken):
            return found
    raise ConfigError(
        f"action '{action}' has no {'other ' if taken else ''}part of the shape and unit of observation "
        f"'{observation}': they are {a.shape} '{a.unit}' and {o.shape} '{o.unit}'. Choose another observation."
    )


def _minus(unit: str, a: Tensor, o: Tensor) -> Tensor:
    """Encoded actions relative to encoded observations, of one unit."""
    if unit == "angle_rad":
        return _turned(a, o, -1)
    if unit == "rotation_6d":
        R_o = rotation_6d_axes(o.unflatten(-1, (-1, 6)))  # rows are R_o's columns
        return (a.unflatten(-1, (-1, 2, 3)) @ R_o.mT).flatten(-3)  # (R_o^T c)^T = c^T R_o
    return a - o


def _plus(unit: str, r: Tensor, o: Tensor) -> Tensor:
    """The inverse of `_minus`."""
    if unit == "angle_rad":
        return _turned(r, o, 1)
    if unit == "rotation_6d":
        R_o = rotation_6d_axes(o.unflatten(-1, (-1, 6)))
        return (r.unflatten(-1, (-1, 2, 3)) @ R_o).flatten(-3)
    return r + o


def _turned(a: Tensor, o: Tensor, sign: int) -> Tensor:
    """Cosine and sine of a + sign * o."""
    (cos_a, sin_a), (cos_o, sin_o) = (x.unflatten(-1, (-1, 2)).unbind(-1) for x in (a, o))
    sin_o = sign * sin_o
    return torch.stack([cos_a * cos_o - sin_a * sin_o, sin_a * cos_o + cos_a * sin_o], dim=-1).flatten(-2)
